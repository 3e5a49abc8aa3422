use bytes::Bytes;

use super::{
    AT_CHECKSUM, AT_COUNT, AT_FIRST, AT_LANE, AT_NAMES, AT_PRODUCER, CHAIN_LENGTH_MAX, FORMAT,
    FRAME_BYTES_TARGET, HAS_CHAIN, HAS_CORRELATION, HAS_KEY_HASH, HAS_MOVED, HAS_REMAINING,
    HAS_REPLY_TO, HAS_TARGET, HAS_TRACE, HEADER_BYTES, Kind, Message, checksum, varint,
};
use crate::{
    bus::codec::{BODY_BYTES_MAX, CodecError},
    id::{Incarnation, check_message_name},
};

/// What became of a message that was pushed into a frame.
#[derive(Debug)]
pub enum Pushed {
    /// It is in the frame; its kind stands at this offset.
    In {
        /// For [`FrameBuilder::withdraw`].
        place: usize,
    },
    /// The frame has no room: here is the encoded body, for the next frame. The frame is as before.
    NoRoom(Vec<u8>),
    /// The body is larger than any message may be, with its size in bytes. The frame is as before.
    TooLarge(usize),
}

/// Builds a frame in one buffer: bodies are encoded where they will lie.
#[derive(Debug)]
pub struct FrameBuilder {
    buffer: Vec<u8>,
    names: Vec<String>,
    names_bytes: usize,
    count: u32,
}

/// Takes back what a failed or panicking encoder left behind.
struct Undo<'a> {
    builder: &'a mut FrameBuilder,
    bytes: usize,
    names: usize,
    names_bytes: usize,
    armed: bool,
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.builder.buffer.truncate(self.bytes);
            self.builder.names.truncate(self.names);
            self.builder.names_bytes = self.names_bytes;
        }
    }
}

impl Default for FrameBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl FrameBuilder {
    /// An empty frame.
    pub fn new() -> Self {
        let mut buffer = Vec::with_capacity(512);
        buffer.resize(HEADER_BYTES, 0);
        Self { buffer, names: Vec::new(), names_bytes: 0, count: 0 }
    }

    /// How many messages it holds.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Its size in bytes when it is sealed.
    pub fn size_bytes(&self) -> usize {
        self.buffer.len() + 5 + self.names_bytes
    }

    /// Appends a message whose body the closure encodes straight into the frame.
    ///
    /// # Errors
    /// Whatever the closure returns; the frame is as before then, and also when it panics.
    pub fn push(
        &mut self,
        message: &Message<'_>,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>,
    ) -> Result<Pushed, CodecError> {
        let start = self.buffer.len();
        let mut undo = Undo {
            bytes: start,
            names: self.names.len(),
            names_bytes: self.names_bytes,
            armed: true,
            builder: self,
        };
        let builder = &mut *undo.builder;
        builder.check_names(message)?;
        builder.head(message);
        let body = builder.buffer.len();
        encode(&mut builder.buffer)?;
        let body_bytes = builder.buffer.len().saturating_sub(body);
        if body_bytes > BODY_BYTES_MAX {
            return Ok(Pushed::TooLarge(body_bytes));
        }
        if builder.count > 0 && builder.size_bytes() > FRAME_BYTES_TARGET {
            return Ok(Pushed::NoRoom(builder.buffer.split_off(body)));
        }
        builder.end(start);
        undo.armed = false;
        Ok(Pushed::In { place: start + 4 })
    }

    /// Appends a message whose body was encoded before, however large it is.
    pub(super) fn raw(&mut self, message: &Message<'_>, body: &[u8]) {
        let start = self.buffer.len();
        self.head(message);
        self.buffer.extend_from_slice(body);
        self.end(start);
    }

    /// Writes the length of the message that started here.
    fn end(&mut self, start: usize) {
        let length = (self.buffer.len() - start - 4) as u32;
        self.buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.count += 1;
    }

    /// Turns the message at this place into a cancel of nothing, which receivers skip. Only for a
    /// frame that nobody has been shown yet.
    pub fn withdraw(&mut self, place: usize) {
        if let Some(byte) = self.buffer.get_mut(place) {
            *byte = (*byte & 0xf0) | Kind::Cancel as u8;
        }
    }

    /// Ends the frame: header, table of names and checksum.
    pub fn seal(self, producer: Incarnation, lane: u32, first: u64) -> Bytes {
        Bytes::from(self.finish(0, producer, lane, first, |_| ()))
    }

    /// Ends the frame with flags and a section after the names.
    pub(super) fn finish(
        mut self,
        flags: u8,
        producer: Incarnation,
        lane: u32,
        first: u64,
        tail: impl FnOnce(&mut Vec<u8>),
    ) -> Vec<u8> {
        let names_at = self.buffer.len() as u32;
        varint::put(&mut self.buffer, self.names.len() as u64);
        for name in &self.names {
            varint::put(&mut self.buffer, name.len() as u64);
            self.buffer.extend_from_slice(name.as_bytes());
        }
        tail(&mut self.buffer);
        let buffer = &mut self.buffer;
        buffer[0] = FORMAT;
        buffer[1] = flags;
        buffer[AT_PRODUCER..AT_LANE].copy_from_slice(&producer.to_u128().to_le_bytes());
        buffer[AT_LANE..AT_FIRST].copy_from_slice(&lane.to_le_bytes());
        buffer[AT_FIRST..AT_COUNT].copy_from_slice(&first.to_le_bytes());
        buffer[AT_COUNT..AT_NAMES].copy_from_slice(&self.count.to_le_bytes());
        buffer[AT_NAMES..HEADER_BYTES].copy_from_slice(&names_at.to_le_bytes());
        let sum = checksum(buffer);
        buffer[AT_CHECKSUM..AT_PRODUCER].copy_from_slice(&sum.to_le_bytes());
        // A frame may lie in a backlog for long: more than a quarter of waste is given back.
        if buffer.capacity() > buffer.len() + buffer.len() / 4 {
            buffer.shrink_to_fit();
        }
        self.buffer
    }

    fn head(&mut self, message: &Message<'_>) {
        let name = message.name.map_or(0, |name| self.name(name));
        let topic = message.topic.map_or(0, |topic| self.name(topic));
        let buffer = &mut self.buffer;
        buffer.extend_from_slice(&[0; 4]);
        buffer.push(message.kind as u8 | (message.codec.to_byte() << 4));
        buffer.push(optional(message));
        varint::put(buffer, name);
        varint::put(buffer, u64::from(message.version));
        if message.kind == Kind::Publish {
            varint::put(buffer, topic);
        }
        if let Some(target) = message.target {
            varint::put(buffer, target.to_u64());
        }
        if let Some(hash) = message.key_hash {
            buffer.extend_from_slice(&hash.to_le_bytes());
        }
        if let Some(correlation) = message.correlation {
            varint::put(buffer, correlation);
        }
        if let Some(remaining) = message.remaining_ms {
            varint::put(buffer, remaining);
        }
        if let Some(moved) = message.moved {
            varint::put(buffer, u64::from(moved.attempt));
            varint::put(buffer, moved.origin.ms);
            varint::put(buffer, moved.origin.seq);
        }
        if let Some(incarnation) = message.reply_to {
            buffer.extend_from_slice(&incarnation.to_u128().to_le_bytes());
        }
        if let Some(trace) = message.trace {
            buffer.extend_from_slice(&trace.trace_id.to_le_bytes());
            buffer.extend_from_slice(&trace.span_id.to_le_bytes());
            buffer.push(trace.flags);
        }
        if !message.chain.is_empty() {
            // Beyond the bound the oldest are kept: a cycle goes through one of them sooner.
            let chain = &message.chain[..message.chain.len().min(CHAIN_LENGTH_MAX)];
            varint::put(buffer, chain.len() as u64);
            for waiting in chain {
                buffer.extend_from_slice(&waiting.incarnation.to_u128().to_le_bytes());
                varint::put(buffer, waiting.actor.to_u64());
            }
        }
    }

    /// Refuses a name that readers would refuse. Those in the table have been checked.
    fn check_names(&self, message: &Message<'_>) -> Result<(), CodecError> {
        for name in [message.name, message.topic].into_iter().flatten() {
            if !self.names.iter().any(|known| known == name) {
                check_message_name(name).map_err(|error| CodecError::Encode(error.to_string()))?;
            }
        }
        Ok(())
    }

    /// The name's number in the table, from 1.
    fn name(&mut self, name: &str) -> u64 {
        if let Some(index) = self.names.iter().position(|known| known == name) {
            return index as u64 + 1;
        }
        self.names.push(name.to_owned());
        self.names_bytes += name.len() + 2;
        self.names.len() as u64
    }
}

/// The same frame as another part of a lane, or of another lane.
pub fn renumber(frame: &Bytes, lane: u32, first: u64) -> Bytes {
    let mut bytes = frame.to_vec();
    if bytes.len() >= HEADER_BYTES {
        bytes[AT_LANE..AT_FIRST].copy_from_slice(&lane.to_le_bytes());
        bytes[AT_FIRST..AT_COUNT].copy_from_slice(&first.to_le_bytes());
        let sum = checksum(&bytes);
        bytes[AT_CHECKSUM..AT_PRODUCER].copy_from_slice(&sum.to_le_bytes());
    }
    Bytes::from(bytes)
}

fn optional(message: &Message<'_>) -> u8 {
    let bit = |present: bool, bit: u8| if present { bit } else { 0 };
    bit(message.target.is_some(), HAS_TARGET)
        | bit(message.key_hash.is_some(), HAS_KEY_HASH)
        | bit(message.correlation.is_some(), HAS_CORRELATION)
        | bit(message.remaining_ms.is_some(), HAS_REMAINING)
        | bit(message.moved.is_some(), HAS_MOVED)
        | bit(message.reply_to.is_some(), HAS_REPLY_TO)
        | bit(message.trace.is_some(), HAS_TRACE)
        | bit(!message.chain.is_empty(), HAS_CHAIN)
}
