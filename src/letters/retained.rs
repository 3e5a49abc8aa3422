use std::{fmt, num::NonZeroUsize, ops::Deref, str::FromStr, sync::Arc};

use super::{
    LettersError, MessageBody, Recording, RecordingError, Replay, Selection,
    dead::page_limit,
    plan::{Plan, messages_of},
    recording::Recorder,
    scan::{PATIENCE, Shelf},
};
use crate::{
    address::CodecContext,
    bus::{
        Core,
        codec::Codec,
        frame::{Frame, Trace},
        keys,
    },
    id::{Incarnation, Name},
    log::{Entry, EntryId, LogError, Place, StreamName},
};

/// The most entries that are looked at for one page.
const LOOKED_AT_MAX: usize = 10_000;

/// One message of an entry: `<milliseconds>-<number>:<index>` as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessagePlace {
    /// The entry.
    pub id: EntryId,
    /// The message's index in it.
    pub index: u32,
}

/// What a service has handled and keeps; see
/// [`Serve::retain`](crate::Serve::retain).
///
/// Each message that was read is there once, where its entry was settled first, whatever became of
/// it: also one that expired, or ended in the dead letters. What was replayed from the dead letters came
/// twice, and is there twice. Cheap to clone.
#[derive(Clone)]
pub struct Retained {
    shelf: Shelf,
    context: CodecContext,
}

/// A retained message, all but its body.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetainedSummary {
    /// Its place; the milliseconds in it say when its entry was settled.
    pub place: MessagePlace,
    /// Its wire name.
    pub message: String,
    /// The version of its form.
    pub version: u32,
    /// How its body is encoded.
    pub codec: Codec,
    /// The size of its body in bytes.
    pub size: usize,
    /// Who sent it.
    pub sender: Incarnation,
    /// Hash of its partition key.
    pub key_hash: Option<u64>,
    /// Its trace.
    pub trace: Option<Trace>,
}

/// A retained message with its body.
#[derive(Debug, Clone)]
pub struct RetainedMessage {
    summary: RetainedSummary,
    /// Its body.
    pub body: MessageBody,
}

/// Some retained messages, oldest first.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RetainedPage {
    /// The messages, without their bodies.
    pub messages: Vec<RetainedSummary>,
    /// Where the next page begins: give it to [`Selection::after`]. None at the end; a page may hold
    /// fewer messages than asked for before that.
    pub next: Option<MessagePlace>,
}

impl Retained {
    pub(crate) fn new(core: Arc<Core>, service: &Name, context: CodecContext) -> Self {
        let stream = keys::service(&core.cluster, service, 0);
        Self { shelf: Shelf { core, stream, place: Place::Retained }, context }
    }

    /// How many messages of the selection there are.
    ///
    /// Reads through all of them, a bounded number of bytes at a time. The number of entries, and the
    /// memory that they take, [`System::accounting`](crate::System::accounting) tells at once.
    ///
    /// # Errors
    /// [`LettersError::Bound`] for a selection out of bounds, [`LettersError::Log`],
    /// [`LettersError::Stopped`].
    ///
    /// # Cancel safety
    /// It only reads.
    pub async fn count(&self, selection: impl Into<Selection>) -> Result<u64, LettersError> {
        let (shelf, selection) = (self.shelf.clone(), selection.into());
        selection.check()?;
        self.run(async move {
            let (mut scan, mut count) = (shelf.scan(&selection), 0);
            loop {
                let entries = scan.next().await?;
                if entries.is_empty() {
                    return Ok(count);
                }
                let counts = entries.iter().map(|entry| Plan::Retained.count(&selection, entry));
                count += counts.sum::<u64>();
            }
        })
        .await
    }

    /// Lists messages, oldest first, at most `limit`
    /// (1 to [`LETTERS_PER_PAGE_MAX`](super::LETTERS_PER_PAGE_MAX)).
    ///
    /// # Errors
    /// [`LettersError::Bound`] for a limit or a selection out of bounds, [`LettersError::Log`],
    /// [`LettersError::Stopped`].
    ///
    /// # Cancel safety
    /// It only reads.
    pub async fn list(
        &self,
        selection: impl Into<Selection>,
        limit: usize,
    ) -> Result<RetainedPage, LettersError> {
        let limit = page_limit(limit)?;
        let (shelf, selection) = (self.shelf.clone(), selection.into());
        selection.check()?;
        self.run(async move { list(&shelf, &selection, limit).await }).await
    }

    /// One message with its body; none when it is not there (any more).
    ///
    /// # Errors
    /// [`LettersError::Log`], [`LettersError::Stopped`].
    ///
    /// # Cancel safety
    /// It only reads.
    pub async fn show(&self, place: MessagePlace) -> Result<Option<RetainedMessage>, LettersError> {
        let (shelf, context) = (self.shelf.clone(), self.context.clone());
        self.run(async move {
            let found = shelf.range(place.id, place.id, 1).await?;
            let frame = found.into_iter().next().and_then(|entry| Frame::parse(entry.frame).ok());
            let Some(frame) = frame else { return Ok(None) };
            let summary = RetainedSummary::of(&frame, place);
            let body = frame.message(place.index).map(|(_, body)| body);
            Ok(summary.zip(body).map(|(summary, body)| {
                let body = MessageBody::new(summary.codec, body, context);
                RetainedMessage { summary, body }
            }))
        })
        .await
    }

    /// Copies messages into the service's stream, to be handled again. Lazy: nothing happens until it is
    /// awaited or [started](Replay::start).
    ///
    /// Each begins anew, as a replayed dead letter does. The messages stay where they are, and a replay
    /// of the same name puts none there twice; see [`Replay::named`].
    pub fn replay(&self, selection: impl Into<Selection>) -> Replay {
        Replay::new(self.shelf.clone(), selection.into(), Plan::Retained)
    }

    /// Copies messages out of the log, to be fed to an actor in a test.
    ///
    /// # Errors
    /// [`RecordingError::TooLarge`] above [`RECORDING_BYTES_MAX`](super::RECORDING_BYTES_MAX); else as
    /// [`list`](Self::list).
    ///
    /// # Cancel safety
    /// It only reads.
    pub async fn record(
        &self,
        selection: impl Into<Selection>,
    ) -> Result<Recording, RecordingError> {
        let (shelf, selection) = (self.shelf.clone(), selection.into());
        selection.check()?;
        let core = self.shelf.core.clone();
        let recorder = Recorder::default();
        let recorded = core.run(async move { recorder.retained(&shelf, &selection).await });
        recorded.await.ok_or(LettersError::Stopped)?
    }

    /// Drops what was settled before an id, whoever may still want it, and says how many entries. What
    /// is beyond its time goes by itself.
    ///
    /// # Errors
    /// [`LettersError::Log`], [`LettersError::Stopped`].
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it is done all the same.
    pub async fn trim(&self, before: EntryId) -> Result<u64, LettersError> {
        let shelf = self.shelf.clone();
        self.run(async move {
            let trim = || shelf.core.log.trim(&shelf.stream, Place::Retained, before);
            let trimmed: Result<u64, LogError> =
                shelf.core.patiently("a trim", PATIENCE, trim).await;
            trimmed.map_err(|error| shelf.failed("trim what is retained of", error))
        })
        .await
    }

    /// The stream of the service.
    pub fn stream(&self) -> &StreamName {
        &self.shelf.stream
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, LettersError>> + Send + 'static,
    ) -> Result<T, LettersError> {
        self.shelf.core.run(work).await.ok_or(LettersError::Stopped)?
    }
}

impl RetainedSummary {
    fn of(frame: &Frame, place: MessagePlace) -> Option<Self> {
        let (message, body) = frame.message(place.index)?;
        Some(Self {
            place,
            message: message.name?.to_owned(),
            version: message.version,
            codec: message.codec,
            size: body.len(),
            sender: frame.producer(),
            key_hash: message.key_hash,
            trace: message.trace,
        })
    }
}

impl Deref for RetainedMessage {
    type Target = RetainedSummary;

    fn deref(&self) -> &RetainedSummary {
        &self.summary
    }
}

async fn list(
    shelf: &Shelf,
    selection: &Selection,
    limit: NonZeroUsize,
) -> Result<RetainedPage, LettersError> {
    let (mut messages, mut looked_at) = (Vec::new(), 0);
    let mut scan = shelf.scan(selection);
    loop {
        let entries = scan.next().await?;
        if entries.is_empty() {
            return Ok(RetainedPage { messages, next: None });
        }
        for Entry { id, frame, skip, .. } in entries {
            looked_at += 1;
            let Ok(frame) = Frame::parse(frame) else { continue };
            for index in messages_of(&frame, &skip, id, selection) {
                let place = MessagePlace { id, index };
                messages.extend(RetainedSummary::of(&frame, place));
                if messages.len() == limit.get() {
                    return Ok(RetainedPage { messages, next: Some(place) });
                }
            }
            if looked_at >= LOOKED_AT_MAX {
                return Ok(RetainedPage { messages, next: Some(id.into()) });
            }
        }
    }
}

/// All of an entry.
impl From<EntryId> for MessagePlace {
    fn from(id: EntryId) -> Self {
        Self { id, index: u32::MAX }
    }
}

impl fmt::Display for MessagePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.id, self.index)
    }
}

impl FromStr for MessagePlace {
    type Err = LogError;
    fn from_str(text: &str) -> Result<Self, LogError> {
        let refused = || {
            let what = format!("{text:?} is no message: write milliseconds-number:index");
            LogError::Refused(what)
        };
        let (id, index) = text.split_once(':').ok_or_else(refused)?;
        let index = index.parse().map_err(|_| refused())?;
        Ok(Self { id: id.parse().map_err(|_| refused())?, index })
    }
}

impl fmt::Debug for Retained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retained").field("stream", &self.shelf.stream).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_text_and_are_in_order() {
        let place = MessagePlace { id: EntryId { ms: 17, seq: 2 }, index: 3 };
        assert_eq!(place.to_string(), "17-2:3");
        assert_eq!("17-2:3".parse::<MessagePlace>().expect("a place"), place);
        for bad in ["", "17-2", "17:3", "17-2:x"] {
            assert!(bad.parse::<MessagePlace>().is_err(), "{bad:?}");
        }
        assert!(place < MessagePlace::from(place.id) && place > EntryId { ms: 17, seq: 1 }.into());
    }
}
