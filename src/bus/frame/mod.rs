//! The wire format: frames of messages, as they lie in a log.
//!
//! Owns the layout, building and parsing. Knows nothing of streams, lanes or time. Pure.
//!
//! A frame holds one or more messages of one producer's lane and can be read by itself, years later
//! and by a process that saw nothing before. All fixed numbers are little-endian; *varint* is seven
//! bits a byte, lowest first, never longer than needed.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 1 | format, 1 |
//! | 1 | 1 | flags: 1 dead letter, 2 its body is a whole entry that could not be read |
//! | 2 | 1 | key id, 0 = not sealed |
//! | 3 | 1 | 0 |
//! | 4 | 4 | CRC-32 (IEEE) of all other bytes |
//! | 8 | 16 | producer's incarnation |
//! | 24 | 4 | lane |
//! | 28 | 8 | sequence of the first message, from 1 |
//! | 36 | 4 | count of messages, from 1 |
//! | 40 | 4 | offset of the table of names |
//! | 44 | | messages, then names, then the letter when flag 1 is set |
//!
//! **Message:** u32 length of what follows; a byte with the kind in its low half (1 tell, 2 ask,
//! 3 cancel, 4 publish, 5 reply, 6 refusal) and the codec in its high half (1 bincode, 2 JSON); a
//! byte that says which optional fields follow; varint name (0 none, else index + 1 in the table);
//! varint version; for a publish, varint topic (as the name). Then, if its bit is set: 1 varint
//! target actor; 2 u64 hash of the partition key; 4 varint correlation id; 8 varint remaining
//! milliseconds; 16 of a message that was moved: varint attempt (0 of a dead letter that begins anew), varint milliseconds and varint
//! number of the entry that it was first in; 32 u128 incarnation that waits for the reply; 64 trace
//! (16 bytes trace id, 8 bytes span id, 1 byte flags); 128 chain of waiting actors: varint count,
//! each u128 incarnation and varint actor. The rest is the body.
//!
//! **Names:** varint count, each varint length and text.
//!
//! **Letter:** varint length and text of the reason; varint attempts; varint milliseconds and number
//! of the entry it was first in; varint index there; varint first and last time in milliseconds;
//! then, if it was for one process alone, u128 incarnation of that.

mod build;
mod error;
mod letter;
mod message;
mod parse;
mod varint;

pub use build::{FrameBuilder, Pushed, renumber};
pub use error::FrameError;
pub use letter::{
    Again, Letter, letter_of_entry, letter_of_message, messages_again, moved_message,
};
pub use message::{Kind, Message, Moved, Trace, Waiting};
pub use parse::Frame;

/// The format version that is written and read.
pub const FORMAT: u8 = 1;
/// The largest frame of several messages in bytes, all in. A message that is larger travels alone.
///
/// Just below 64 KiB: one of exactly that size would waste a quarter in the next allocator class.
pub const FRAME_BYTES_TARGET: usize = 65_000;
/// The most actors in a chain of waiting ones.
pub const CHAIN_LENGTH_MAX: usize = 64;

const HEADER_BYTES: usize = 44;
const AT_CHECKSUM: usize = 4;
const AT_PRODUCER: usize = 8;
const AT_LANE: usize = 24;
const AT_FIRST: usize = 28;
const AT_COUNT: usize = 36;
const AT_NAMES: usize = 40;

const FLAG_LETTER: u8 = 1;
const FLAG_UNREADABLE: u8 = 2;

const HAS_TARGET: u8 = 1;
const HAS_KEY_HASH: u8 = 2;
const HAS_CORRELATION: u8 = 4;
const HAS_REMAINING: u8 = 8;
const HAS_MOVED: u8 = 16;
const HAS_REPLY_TO: u8 = 32;
const HAS_TRACE: u8 = 64;
const HAS_CHAIN: u8 = 128;

fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..AT_CHECKSUM.min(bytes.len())]);
    hasher.update(bytes.get(AT_CHECKSUM + 4..).unwrap_or_default());
    hasher.finalize()
}

#[cfg(test)]
mod tests;
