use std::{path::Path, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    LetterSummary, RecordingError, Selection,
    plan::{messages_of, one_again},
    scan::Shelf,
};
use crate::{
    bus::{codec::Codec, frame::Frame},
    log::EntryId,
};

/// The most bytes of a recording.
pub const RECORDING_BYTES_MAX: usize = 64 << 20;
/// What a recording begins with.
const MAGIC: &[u8] = b"callboard recording 1\n";
/// What stands before each frame: milliseconds, length.
const HEAD_BYTES: usize = 12;

/// Messages that were copied out of a log, with the times at which they came, to be fed to an actor in a
/// test: [`TestSystem::feed`](crate::testing::TestSystem::feed) (feature `testing`).
///
/// It holds what the messages hold: treat a file of it as you treat the data of your users.
///
/// As bytes: `callboard recording 1` and a line feed, then for each message its time (u64, milliseconds
/// since 1970), the length of its frame (u32), both little-endian, and the frame, which holds this one
/// message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recording {
    messages: Vec<RecordedMessage>,
}

/// One message of a [`Recording`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedMessage {
    at_ms: u64,
    frame: Bytes,
    name: String,
    version: u32,
    codec: Codec,
}

impl Recording {
    /// The messages, in order.
    pub fn messages(&self) -> &[RecordedMessage] {
        &self.messages
    }

    /// Some of its messages, in order.
    #[must_use]
    pub fn filtered(&self, mut keep: impl FnMut(&RecordedMessage) -> bool) -> Self {
        Self { messages: self.messages.iter().filter(|message| keep(message)).cloned().collect() }
    }

    /// From the first message to the last.
    pub fn span(&self) -> Duration {
        let at = |message: Option<&RecordedMessage>| message.map_or(0, |message| message.at_ms);
        let (first, last) = (at(self.messages.first()), at(self.messages.last()));
        Duration::from_millis(last.saturating_sub(first))
    }

    /// It as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = BytesMut::from(MAGIC);
        for RecordedMessage { at_ms, frame, .. } in &self.messages {
            bytes.put_u64_le(*at_ms);
            // A frame is much smaller than 4 GiB.
            bytes.put_u32_le(u32::try_from(frame.len()).unwrap_or(u32::MAX));
            bytes.extend_from_slice(frame);
        }
        bytes.to_vec()
    }

    /// Reads it from bytes. Every part is checked.
    ///
    /// # Errors
    /// [`RecordingError::Malformed`] says what is wrong, [`RecordingError::TooLarge`] above
    /// [`RECORDING_BYTES_MAX`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordingError> {
        if bytes.len() > RECORDING_BYTES_MAX {
            return Err(RecordingError::TooLarge { max: RECORDING_BYTES_MAX });
        }
        let malformed = |reason: String| RecordingError::Malformed { reason };
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            return Err(malformed("they begin with something else".to_owned()));
        };
        let mut rest = Bytes::copy_from_slice(rest);
        let mut recording = Self::default();
        while !rest.is_empty() {
            let number = recording.messages.len() + 1;
            let cut = || malformed(format!("message {number} is cut off"));
            let head = rest.get(..HEAD_BYTES).ok_or_else(cut)?;
            let (at, length) = head.split_at(8);
            let at_ms = u64::from_le_bytes(at.try_into().map_err(|_| cut())?);
            let length = u32::from_le_bytes(length.try_into().map_err(|_| cut())?) as usize;
            if rest.len() - HEAD_BYTES < length {
                return Err(cut());
            }
            let frame = rest.split_to(HEAD_BYTES + length).slice(HEAD_BYTES..);
            let message = RecordedMessage::new(at_ms, frame)
                .map_err(|reason| malformed(format!("message {number}: {reason}")))?;
            recording.messages.push(message);
        }
        Ok(recording)
    }

    /// Writes it to a file.
    ///
    /// # Errors
    /// [`RecordingError::File`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), RecordingError> {
        let path = path.as_ref();
        let failed = |source| RecordingError::File { path: path.to_owned(), source };
        std::fs::write(path, self.to_bytes()).map_err(failed)
    }

    /// Reads it from a file.
    ///
    /// # Errors
    /// [`RecordingError::File`], and as [`from_bytes`](Self::from_bytes).
    pub fn load(path: impl AsRef<Path>) -> Result<Self, RecordingError> {
        let path = path.as_ref();
        let failed = |source| RecordingError::File { path: path.to_owned(), source };
        Self::from_bytes(&std::fs::read(path).map_err(failed)?)
    }
}

impl RecordedMessage {
    fn new(at_ms: u64, frame: Bytes) -> Result<Self, String> {
        let parsed = Frame::parse(frame.clone()).map_err(|error| error.to_string())?;
        let Some((message, _)) = parsed.message(0).filter(|_| parsed.count() == 1) else {
            return Err("its frame does not hold one message".to_owned());
        };
        let Some(name) = message.name else { return Err("it has no name".to_owned()) };
        let (name, version, codec) = (name.to_owned(), message.version, message.codec);
        Ok(Self { at_ms, frame, name, version, codec })
    }

    /// When it came, in milliseconds since 1970: of a retained message when its entry was settled, of a
    /// dead letter when it was sent first.
    pub fn at_ms(&self) -> u64 {
        self.at_ms
    }

    /// Its wire name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version of its form.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// How its body is encoded.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    #[cfg_attr(not(feature = "testing"), expect(dead_code, reason = "only tests are fed"))]
    pub(crate) fn frame(&self) -> &Bytes {
        &self.frame
    }
}

/// Copies messages out of a log.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    messages: Vec<((u64, EntryId, u32), RecordedMessage)>,
    bytes: usize,
}

impl Recorder {
    pub(super) async fn retained(
        mut self,
        shelf: &Shelf,
        selection: &Selection,
    ) -> Result<Recording, RecordingError> {
        let mut scan = shelf.scan(selection);
        loop {
            let entries = scan.next().await?;
            if entries.is_empty() {
                return Ok(self.recording());
            }
            for entry in entries {
                let Ok(frame) = Frame::parse(entry.frame) else { continue };
                for index in messages_of(&frame, &entry.skip, entry.id, selection) {
                    self.put(&frame, index, entry.id, (entry.id.ms, entry.id, index))?;
                }
            }
        }
    }

    pub(super) async fn letters(
        mut self,
        shelf: &Shelf,
        selection: &Selection,
    ) -> Result<Recording, RecordingError> {
        let mut scan = shelf.scan(selection);
        loop {
            let entries = scan.next().await?;
            if entries.is_empty() {
                // Letters lie in the order in which they were buried.
                self.messages.sort_by_key(|(order, _)| *order);
                return Ok(self.recording());
            }
            for entry in entries {
                let letter = LetterSummary::of(&entry);
                let frame = Frame::parse(entry.frame).ok().filter(|_| !letter.unreadable);
                let Some(frame) = frame.filter(|_| selection.takes_letter(&letter)) else {
                    continue;
                };
                let order = (letter.first_ms, letter.origin, letter.index);
                self.put(&frame, 0, letter.origin, order)?;
            }
        }
    }

    fn put(
        &mut self,
        frame: &Frame,
        index: u32,
        origin: EntryId,
        order: (u64, EntryId, u32),
    ) -> Result<(), RecordingError> {
        let Some(frame) = one_again(frame, &[index], origin) else { return Ok(()) };
        self.bytes += HEAD_BYTES + frame.len();
        if MAGIC.len() + self.bytes > RECORDING_BYTES_MAX {
            return Err(RecordingError::TooLarge { max: RECORDING_BYTES_MAX });
        }
        // Replies that nobody waited for have no name.
        if let Ok(message) = RecordedMessage::new(order.0, frame) {
            self.messages.push((order, message));
        }
        Ok(())
    }

    fn recording(self) -> Recording {
        Recording { messages: self.messages.into_iter().map(|(_, message)| message).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bus::frame::{FrameBuilder, Kind, Message},
        id::Incarnation,
    };

    fn frame(messages: u32) -> Bytes {
        let mut builder = FrameBuilder::new();
        for _ in 0..messages {
            let message = Message::new(Kind::Tell, Codec::Json).named("Add", 2);
            let body = |into: &mut Vec<u8>| {
                into.extend_from_slice(b"{}");
                Ok(())
            };
            builder.push(&message, body).expect("it is small");
        }
        builder.seal(Incarnation::from_u128(1), 1, 1)
    }

    #[test]
    fn a_recording_survives_bytes() {
        let message = |at_ms| RecordedMessage::new(at_ms, frame(1)).expect("a message");
        let recording = Recording { messages: vec![message(1000), message(1500)] };
        let bytes = recording.to_bytes();
        assert_eq!(Recording::from_bytes(&bytes).expect("a recording"), recording);
        assert_eq!(recording.span(), Duration::from_millis(500));
        assert_eq!(
            (recording.messages()[1].name(), recording.messages()[1].at_ms()),
            ("Add", 1500)
        );
        for end in 0..bytes.len() {
            let cut = Recording::from_bytes(&bytes[..end]);
            let is_whole = cut.as_ref().is_ok_and(|cut| cut.to_bytes().len() == end);
            assert!(cut.is_err() || is_whole, "cut at {end}");
        }
        let mut flipped = bytes;
        *flipped.last_mut().expect("not empty") ^= 1;
        assert!(Recording::from_bytes(&flipped).is_err(), "a frame has a checksum");
    }

    #[test]
    fn a_frame_of_several_messages_is_no_message() {
        let error = RecordedMessage::new(1, frame(2)).expect_err("two messages");
        assert!(error.contains("one message"), "{error}");
    }
}
