use bytes::Bytes;

use super::{
    FLAG_LETTER, FLAG_UNREADABLE, Frame, FrameBuilder, FrameError, Kind, Message, Moved,
    varint::{self, Reader},
};
use crate::{
    bus::codec::Codec,
    id::Incarnation,
    log::{EntryId, FRAME_BYTES_MAX},
};

/// The longest reason in bytes that a dead letter keeps.
const REASON_BYTES_MAX: usize = 1024;
/// What a letter adds to an entry that could not be read, at most.
const LETTER_BYTES_MAX: usize = REASON_BYTES_MAX + 256;

/// What a dead letter says beside the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Why it was buried; cut to 1 KiB.
    pub reason: String,
    /// How many times a handler tried.
    pub attempts: u32,
    /// The entry that it was first in.
    pub origin: EntryId,
    /// Its index in the entry that it was buried from.
    pub index: u32,
    /// When it was appended first, in milliseconds of the log's clock.
    pub first_ms: u64,
    /// When it was buried.
    pub last_ms: u64,
    /// The process that it was for, when it was for one alone.
    pub inbox: Option<Incarnation>,
    /// The body is a whole entry that could not be read.
    pub unreadable: bool,
}

/// The dead letter of one message of a frame. `None` past the frame's end.
pub fn letter_of_message(frame: &Frame, index: u32, letter: &Letter) -> Option<Bytes> {
    let (message, body) = frame.message(index)?;
    let builder = single(&message, &body);
    let sequence = frame.first() + u64::from(index);
    Some(write(builder, FLAG_LETTER, frame.producer(), frame.lane(), sequence, letter))
}

/// The dead letter of a whole entry that could not be read; an oversized one is cut.
pub fn letter_of_entry(entry: &[u8], letter: &Letter) -> Bytes {
    let kept = &entry[..entry.len().min(FRAME_BYTES_MAX - LETTER_BYTES_MAX)];
    // Its bytes are no body in any codec; the flag says so.
    let builder = single(&Message::new(Kind::Tell, Codec::Bincode), kept);
    let flags = FLAG_LETTER | FLAG_UNREADABLE;
    write(builder, flags, Incarnation::from_u128(0), 0, 1, letter)
}

/// How messages go into a stream again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Again {
    /// The entry that they were first in, where they do not say it themselves.
    pub origin: EntryId,
    /// Whether they are for the same actor as before; else for the service.
    pub keeps_target: bool,
}

/// Some messages of a frame as they go into a stream again: with their sender and trace, as a first
/// attempt, and without an end of their time, which may have passed while they lay. `None` when there
/// is none with such an index.
pub fn messages_again(frame: &Frame, indices: &[u32], again: Again) -> Option<Bytes> {
    let first = *indices.first()?;
    let mut builder = FrameBuilder::new();
    for index in indices {
        let (mut message, body) = frame.message(*index)?;
        let (attempt, origin) = match (frame.letter(), message.moved) {
            (Some(letter), _) => (0, letter.origin),
            (None, Some(moved)) => (1, moved.origin),
            (None, None) => (1, again.origin),
        };
        message.moved = Some(Moved { attempt, origin });
        message.remaining_ms = None;
        if !again.keeps_target {
            message.target = None;
        }
        builder.raw(&message, &body);
    }
    let sequence = frame.first().saturating_add(u64::from(first));
    Some(builder.seal(frame.producer(), frame.lane(), sequence))
}

/// A frame of one message of another frame, as it waits in the delay set.
pub fn moved_message(frame: &Frame, index: u32, moved: Moved) -> Option<Bytes> {
    let (mut message, body) = frame.message(index)?;
    message.moved = Some(moved);
    let sequence = frame.first() + u64::from(index);
    Some(single(&message, &body).seal(frame.producer(), frame.lane(), sequence))
}

fn single(message: &Message<'_>, body: &[u8]) -> FrameBuilder {
    let mut builder = FrameBuilder::new();
    builder.raw(message, body);
    builder
}

fn write(
    builder: FrameBuilder,
    flags: u8,
    producer: Incarnation,
    lane: u32,
    sequence: u64,
    letter: &Letter,
) -> Bytes {
    let reason = cut(&letter.reason);
    Bytes::from(builder.finish(flags, producer, lane, sequence, |into| {
        varint::put(into, reason.len() as u64);
        into.extend_from_slice(reason.as_bytes());
        varint::put(into, u64::from(letter.attempts));
        varint::put(into, letter.origin.ms);
        varint::put(into, letter.origin.seq);
        varint::put(into, u64::from(letter.index));
        varint::put(into, letter.first_ms);
        varint::put(into, letter.last_ms);
        if let Some(inbox) = letter.inbox {
            into.extend_from_slice(&inbox.to_u128().to_le_bytes());
        }
    }))
}

/// Reads the letter at the end of a frame.
pub(super) fn read(bytes: &[u8], at: usize, unreadable: bool) -> Result<Letter, FrameError> {
    let mut reader = Reader::new(bytes, at);
    let mut letter = Letter {
        reason: reader.text(REASON_BYTES_MAX)?.to_owned(),
        attempts: reader.varint_u32()?,
        origin: EntryId { ms: reader.varint()?, seq: reader.varint()? },
        index: reader.varint_u32()?,
        first_ms: reader.varint()?,
        last_ms: reader.varint()?,
        inbox: None,
        unreadable,
    };
    if reader.left() > 0 {
        letter.inbox = Some(Incarnation::from_u128(reader.u128()?));
    }
    if reader.left() > 0 {
        return Err(FrameError::Contradiction("bytes after the letter"));
    }
    Ok(letter)
}

fn cut(reason: &str) -> &str {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}
