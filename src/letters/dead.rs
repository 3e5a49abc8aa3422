use std::{fmt, num::NonZeroUsize, sync::Arc};

use super::{
    DeadLetter, LetterSummary, LettersError, Recording, RecordingError, Replay, Selection,
    plan::Plan,
    recording::Recorder,
    scan::{PATIENCE, Shelf},
};
use crate::{
    address::CodecContext,
    bus::{BusEvent, Core, Destination, add, keys},
    id::{Name, NameError},
    log::{EntryId, Place, StreamName},
};

/// The most letters of a page.
pub const LETTERS_PER_PAGE_MAX: usize = 1000;
/// The most entries that are looked at for one page.
const LOOKED_AT_MAX: usize = 10_000;
/// How many letters one step drops.
const DROPPED_MAX: usize = 500;

/// The dead letters of a service, or those of the inboxes of processes.
///
/// Cheap to clone. Nothing is read until it is asked for.
#[derive(Clone)]
pub struct DeadLetters {
    shelf: Shelf,
    context: CodecContext,
}

/// Some dead letters, oldest first.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LetterPage {
    /// The letters, without their bodies.
    pub letters: Vec<LetterSummary>,
    /// Where the next page begins: give it to [`Selection::after`]. None at the end. A page may hold
    /// fewer letters than asked for, and even none, before the end: at most 10 000 are looked at for it.
    pub next: Option<EntryId>,
}

impl DeadLetters {
    pub(crate) fn of_service(core: Arc<Core>, service: &Name, context: CodecContext) -> Self {
        let stream = keys::service(&core.cluster, service, 0);
        Self { shelf: Shelf { core, stream, place: Place::Dead }, context }
    }

    pub(crate) fn of_nodes(core: Arc<Core>, context: CodecContext) -> Self {
        let stream = keys::dead_letters_of_nodes(&core.cluster);
        Self { shelf: Shelf { core, stream, place: Place::Dead }, context }
    }

    /// How many there are.
    ///
    /// # Errors
    /// [`LettersError::Log`], [`LettersError::Stopped`].
    ///
    /// # Cancel safety
    /// It only reads.
    pub async fn count(&self) -> Result<u64, LettersError> {
        let shelf = self.shelf.clone();
        self.run(async move {
            let look = || shelf.core.log.info(&shelf.stream);
            let info = shelf.core.patiently("a look", PATIENCE, look).await;
            let info = info.map_err(|error| shelf.failed("count the dead letters of", error))?;
            Ok(info.map_or(0, |info| info.dead_letters))
        })
        .await
    }

    /// Lists letters, oldest first, at most `limit` (1 to [`LETTERS_PER_PAGE_MAX`]).
    ///
    /// Reads a bounded number of bytes at a time, and keeps no bodies.
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
    ) -> Result<LetterPage, LettersError> {
        let limit = page_limit(limit)?;
        let (shelf, selection) = (self.shelf.clone(), selection.into());
        selection.check()?;
        self.run(async move { list(&shelf, &selection, limit).await }).await
    }

    /// All of one letter; none when it is not there (any more).
    ///
    /// # Errors
    /// [`LettersError::Log`], [`LettersError::Stopped`].
    ///
    /// # Cancel safety
    /// It only reads.
    pub async fn show(&self, id: EntryId) -> Result<Option<DeadLetter>, LettersError> {
        let (shelf, context) = (self.shelf.clone(), self.context.clone());
        self.run(async move {
            let found = shelf.range(id, id, 1).await?;
            Ok(found.first().map(|entry| DeadLetter::of(entry, context)))
        })
        .await
    }

    /// Drops letters for good, and says how many. What cannot be read is dropped too where it is
    /// meant.
    ///
    /// # Errors
    /// [`LettersError::Bound`] for a selection out of bounds; [`LettersError::Log`] and
    /// [`LettersError::Stopped`], after which some may have been dropped.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the letters are dropped all the same.
    pub async fn drop_letters(&self, selection: impl Into<Selection>) -> Result<u64, LettersError> {
        let (shelf, selection) = (self.shelf.clone(), selection.into());
        selection.check()?;
        self.run(async move { drop_letters(&shelf, &selection).await }).await
    }

    /// Puts letters back where they were: into the stream of the service, or into the inboxes of the
    /// processes that they were for, as far as those live. Lazy: nothing happens until it is awaited or
    /// [started](Replay::start).
    ///
    /// Each message begins anew: with its first attempt, its sender and its trace, and without an end of
    /// its time. Each moves in one step of the log; a replay that is stopped, dropped or killed anywhere
    /// leaves each letter either here or there, and goes on when it is begun again.
    pub fn replay(&self, selection: impl Into<Selection>) -> Replay {
        Replay::new(self.shelf.clone(), selection.into(), Plan::LettersHome)
    }

    /// Puts letters into the stream of another service, whichever they were for.
    ///
    /// As [`replay`](Self::replay); where the log keeps the two apart (Redis) a letter is written there
    /// first and removed here after that. A replay that was killed between the two and is begun again
    /// within a day finishes the move; later, at most the letters of its last step are doubled.
    ///
    /// # Errors
    /// [`NameError`] when the name breaks the rules.
    pub fn replay_to(
        &self,
        service: impl AsRef<str>,
        selection: impl Into<Selection>,
    ) -> Result<Replay, NameError> {
        let service = Name::new(service.as_ref())?;
        let plan = Plan::LettersTo(Destination::Service(service, 0));
        Ok(Replay::new(self.shelf.clone(), selection.into(), plan))
    }

    /// Copies letters out of the log, to be fed to an actor in a test; in the order in which they were
    /// sent first.
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
        let recorded =
            core.run(async move { Recorder::default().letters(&shelf, &selection).await });
        recorded.await.ok_or(LettersError::Stopped)?
    }

    /// Where they lie.
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

pub(super) fn page_limit(limit: usize) -> Result<NonZeroUsize, LettersError> {
    match NonZeroUsize::new(limit) {
        Some(limit) if limit.get() <= LETTERS_PER_PAGE_MAX => Ok(limit),
        _ => Err(LettersError::Bound {
            setting: "the limit of a page",
            reason: format!("{limit}: give 1 to {LETTERS_PER_PAGE_MAX}"),
        }),
    }
}

async fn list(
    shelf: &Shelf,
    selection: &Selection,
    limit: NonZeroUsize,
) -> Result<LetterPage, LettersError> {
    let (mut letters, mut looked_at) = (Vec::new(), 0);
    let mut scan = shelf.scan(selection);
    loop {
        let entries = scan.next().await?;
        if entries.is_empty() {
            return Ok(LetterPage { letters, next: None });
        }
        for entry in entries {
            let letter = LetterSummary::of(&entry);
            if selection.takes_letter(&letter) {
                letters.push(letter);
            }
            looked_at += 1;
            if letters.len() == limit.get() || looked_at >= LOOKED_AT_MAX {
                return Ok(LetterPage { letters, next: Some(entry.id) });
            }
        }
    }
}

async fn drop_letters(shelf: &Shelf, selection: &Selection) -> Result<u64, LettersError> {
    let core = &shelf.core;
    let mut dropped = 0;
    let mut scan = shelf.scan(selection);
    loop {
        let entries = scan.next().await?;
        if entries.is_empty() {
            break;
        }
        let meant = entries.iter().filter(|entry| {
            let letter = LetterSummary::of(entry);
            selection.takes_letter(&letter)
        });
        let ids: Vec<EntryId> = meant.map(|entry| entry.id).collect();
        for ids in ids.chunks(DROPPED_MAX) {
            let mut calls = 0;
            let drop = || {
                calls += 1;
                core.log.drop_dead(&shelf.stream, ids)
            };
            let gone = core.patiently("a drop", PATIENCE, drop).await;
            let gone = gone.map_err(|error| shelf.failed("drop dead letters of", error))?;
            // A call that had no answer may have dropped what the next one did not find.
            dropped += if calls > 1 { ids.len() as u64 } else { gone };
        }
    }
    if dropped > 0 {
        add(&core.counters.letters_dropped, dropped);
        let stream = shelf.stream.clone();
        core.events.tell(BusEvent::LettersDropped { stream, letters: dropped });
    }
    Ok(dropped)
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetters").field("stream", &self.shelf.stream).finish_non_exhaustive()
    }
}
