use std::sync::Arc;

use bytes::Bytes;

use super::{
    AT_CHECKSUM, CHAIN_LENGTH_MAX, FLAG_LETTER, FLAG_UNREADABLE, FORMAT, FrameError, HAS_CHAIN,
    HAS_CORRELATION, HAS_KEY_HASH, HAS_MOVED, HAS_REMAINING, HAS_REPLY_TO, HAS_TARGET, HAS_TRACE,
    HEADER_BYTES, Kind, Letter, Message, Moved, Trace, Waiting, checksum, letter, message::Read,
    varint::Reader,
};
use crate::{
    bus::codec::Codec,
    id::{ActorId, Incarnation, NAME_BYTES_MAX, check_message_name},
    log::{EntryId, FRAME_BYTES_MAX},
};

/// A frame that was read: every part of it has been checked.
///
/// Cloning is cheap enough to keep one; bodies are slices of the bytes as they came.
#[derive(Debug, Clone)]
pub struct Frame {
    bytes: Bytes,
    producer: Incarnation,
    lane: u32,
    first: u64,
    names: Vec<Arc<str>>,
    /// Where each message's kind stands, and where the last message ends.
    places: Vec<u32>,
    /// What most messages have, read once.
    heads: Vec<Head>,
    letter: Option<Letter>,
}

/// The head of a message, as far as every message has it.
#[derive(Debug, Clone, Copy)]
struct Head {
    kind: Kind,
    codec: Codec,
    /// It has no optional field, so this is all of it.
    is_plain: bool,
    /// Place in the table, from 1.
    name: u32,
    version: u32,
    /// Where the body begins.
    body: u32,
}

struct Header {
    flags: u8,
    producer: Incarnation,
    lane: u32,
    first: u64,
    count: u32,
    names_at: usize,
}

impl Frame {
    /// Reads a frame. Checks everything; allocates only in proportion to what is there.
    ///
    /// # Errors
    /// [`FrameError`] says what is wrong with it. There is no input that makes it panic.
    pub fn parse(bytes: Bytes) -> Result<Self, FrameError> {
        let header = header(&bytes)?;
        let (names, end) = names(&bytes, header.names_at)?;
        let places = places(&bytes, &header)?;
        let letter = match header.flags & FLAG_LETTER {
            0 if end == bytes.len() => None,
            0 => return Err(FrameError::Contradiction("bytes after the names")),
            _ => Some(letter::read(&bytes, end, header.flags & FLAG_UNREADABLE != 0)?),
        };
        if letter.is_some() && header.count != 1 {
            return Err(FrameError::Contradiction("a dead letter is one message"));
        }
        let frame = Self {
            bytes,
            producer: header.producer,
            lane: header.lane,
            first: header.first,
            names,
            heads: Vec::with_capacity(places.len()),
            places,
            letter,
        };
        let mut frame = frame;
        for index in 0..frame.count() {
            let head = frame.check(index)?;
            frame.heads.push(head);
        }
        Ok(frame)
    }

    /// Who sent it.
    pub fn producer(&self) -> Incarnation {
        self.producer
    }

    /// The producer's lane.
    pub fn lane(&self) -> u32 {
        self.lane
    }

    /// The sequence of its first message in the lane.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// How many messages it holds; at least 1.
    pub fn count(&self) -> u32 {
        self.places.len().saturating_sub(1) as u32
    }

    /// All of its bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What is said of it as a dead letter.
    pub fn letter(&self) -> Option<&Letter> {
        self.letter.as_ref()
    }

    /// What a message is for.
    pub fn kind(&self, index: u32) -> Option<Kind> {
        Some(self.heads.get(index as usize)?.kind)
    }

    /// How a message's body is encoded.
    pub fn codec(&self, index: u32) -> Option<Codec> {
        Some(self.heads.get(index as usize)?.codec)
    }

    /// The body of a message; `None` past the end.
    pub fn body(&self, index: u32) -> Option<&[u8]> {
        let head = self.heads.get(index as usize)?;
        self.bytes.get(head.body as usize..self.extent(index)?.1)
    }

    /// Whether a message has fields that most do not have: those for which it must be read anew.
    pub(crate) fn is_plain(&self, index: u32) -> bool {
        self.heads.get(index as usize).is_some_and(|head| head.is_plain)
    }

    /// How many messages from this one on are plain tells with its name and version; none where it is
    /// something else.
    pub(crate) fn run_from(&self, index: u32) -> u32 {
        let rest = self.heads.get(index as usize..).unwrap_or_default();
        let Some(first) = rest.first().filter(|head| head.is_plain && head.name != 0) else {
            return 0;
        };
        let alike = |head: &&Head| {
            head.is_plain && head.name == first.name && head.version == first.version
        };
        rest.iter().take_while(alike).count() as u32
    }

    /// The version of a message.
    pub(crate) fn version(&self, index: u32) -> Option<u32> {
        Some(self.heads.get(index as usize)?.version)
    }

    /// The wire name of a message, to keep.
    pub(crate) fn shared_name(&self, index: u32) -> Option<&Arc<str>> {
        let head = self.heads.get(index as usize)?;
        self.names.get((head.name as usize).checked_sub(1)?)
    }

    /// The message with this index and its body; `None` past the end.
    pub fn message(&self, index: u32) -> Option<(Message<'_>, Bytes)> {
        let head = self.heads.get(index as usize)?;
        let (start, end) = self.extent(index)?;
        if !head.is_plain {
            let read = self.read(start, end).ok()?;
            return Some((read.message, read.body));
        }
        let mut message = Message::new(head.kind, head.codec);
        message.name = name(u64::from(head.name), &self.names).ok()?;
        message.version = head.version;
        Some((message, self.bytes.slice(head.body as usize..end)))
    }

    /// A name or topic of one of its messages, to keep.
    pub fn shared(&self, name: &str) -> Option<Arc<str>> {
        self.names.iter().find(|known| &***known == name).cloned()
    }

    /// Where a message's kind stands and where its body ends.
    fn extent(&self, index: u32) -> Option<(usize, usize)> {
        let index = index as usize;
        let (start, next) = (*self.places.get(index)?, *self.places.get(index + 1)?);
        // The next message's kind stands after the four bytes of its length; see `places`.
        Some((start as usize, (next as usize).saturating_sub(4)))
    }

    fn read(&self, start: usize, end: usize) -> Result<Read<'_>, FrameError> {
        let slice = self.bytes.get(..end).ok_or(FrameError::Truncated)?;
        let mut reader = Reader::new(slice, start);
        let message = head(&mut reader, &self.names)?;
        Ok(Read { message, body: self.bytes.slice(reader.at()..end) })
    }

    /// Reads a message once, so that it can be read later.
    fn check(&self, index: u32) -> Result<Head, FrameError> {
        let (start, end) = self.extent(index).ok_or(FrameError::Truncated)?;
        let slice = self.bytes.get(..end).ok_or(FrameError::Truncated)?;
        let has = *slice.get(start + 1).ok_or(FrameError::Truncated)?;
        let mut reader = Reader::new(slice, start);
        if has == 0
            && let Some(head) = plain_head(&mut reader, &self.names)?
        {
            return Ok(head);
        }
        let mut reader = Reader::new(slice, start);
        let Message { kind, codec, name, version, .. } = head(&mut reader, &self.names)?;
        let place = |name: &str| self.names.iter().position(|known| **known == *name);
        let name = name.and_then(place).map_or(0, |at| at as u32 + 1);
        Ok(Head { kind, codec, is_plain: false, name, version, body: reader.at() as u32 })
    }
}

/// The head of a tell without optional fields, which most messages are; nothing for others.
fn plain_head(reader: &mut Reader<'_>, names: &[Arc<str>]) -> Result<Option<Head>, FrameError> {
    let first = reader.u8()?;
    let kind = Kind::from_bits(first & 0x0f).ok_or(FrameError::Kind(first & 0x0f))?;
    if kind != Kind::Tell {
        return Ok(None);
    }
    let codec = Codec::from_byte(first >> 4).ok_or(FrameError::Codec(first >> 4))?;
    reader.u8()?;
    let name = reader.varint_u32()?;
    if name as usize > names.len() {
        return Err(FrameError::Number);
    }
    let version = reader.varint_u32()?;
    Ok(Some(Head { kind, codec, is_plain: true, name, version, body: reader.at() as u32 }))
}

fn header(bytes: &Bytes) -> Result<Header, FrameError> {
    if bytes.len() > FRAME_BYTES_MAX {
        return Err(FrameError::TooLarge(bytes.len()));
    }
    let mut reader = Reader::new(bytes, 0);
    let format = reader.u8()?;
    if format != FORMAT {
        return Err(FrameError::Format(format));
    }
    let flags = reader.u8()?;
    let key = reader.u8()?;
    let zero = reader.u8()?;
    let sum = reader.u32()?;
    debug_assert_eq!(reader.at(), AT_CHECKSUM + 4);
    if bytes.len() < HEADER_BYTES {
        return Err(FrameError::Truncated);
    }
    if sum != checksum(bytes) {
        return Err(FrameError::Checksum);
    }
    let unknown = flags & !(FLAG_LETTER | FLAG_UNREADABLE);
    if unknown != 0 || zero != 0 || flags == FLAG_UNREADABLE {
        return Err(FrameError::Flags(flags));
    }
    if key != 0 {
        return Err(FrameError::Sealed(key));
    }
    let header = Header {
        flags,
        producer: Incarnation::from_u128(reader.u128()?),
        lane: reader.u32()?,
        first: reader.u64()?,
        count: reader.u32()?,
        names_at: reader.u32()? as usize,
    };
    if header.first == 0 || header.first.checked_add(u64::from(header.count)).is_none() {
        return Err(FrameError::Number);
    }
    Ok(header)
}

/// The table of names and where it ends.
fn names(bytes: &[u8], at: usize) -> Result<(Vec<Arc<str>>, usize), FrameError> {
    if at < HEADER_BYTES || at >= bytes.len() {
        return Err(FrameError::Contradiction("the names are outside the frame"));
    }
    let mut reader = Reader::new(bytes, at);
    let count = reader.varint()?;
    // Each takes two bytes at least.
    if count > (reader.left() / 2) as u64 {
        return Err(FrameError::Number);
    }
    let mut names: Vec<Arc<str>> = Vec::new();
    for _ in 0..count {
        let name = reader.text(NAME_BYTES_MAX)?;
        check_message_name(name).map_err(|_| FrameError::Text)?;
        names.push(name.into());
    }
    Ok((names, reader.at()))
}

/// Where the messages' kinds stand; one place more, four bytes after the end of the last.
fn places(bytes: &[u8], header: &Header) -> Result<Vec<u32>, FrameError> {
    let messages = bytes.get(..header.names_at).ok_or(FrameError::Truncated)?;
    let mut reader = Reader::new(messages, HEADER_BYTES);
    let mut places = Vec::new();
    while reader.left() > 0 {
        let length = reader.u32()? as usize;
        places.push(reader.at() as u32);
        reader.take(length)?;
    }
    if places.is_empty() || places.len() as u64 != u64::from(header.count) {
        return Err(FrameError::Contradiction("the count is not that of its messages"));
    }
    places.push(header.names_at as u32 + 4);
    Ok(places)
}

fn head<'a>(reader: &mut Reader<'_>, names: &'a [Arc<str>]) -> Result<Message<'a>, FrameError> {
    let first = reader.u8()?;
    let kind = Kind::from_bits(first & 0x0f).ok_or(FrameError::Kind(first & 0x0f))?;
    let codec = Codec::from_byte(first >> 4).ok_or(FrameError::Codec(first >> 4))?;
    let has = reader.u8()?;
    let mut message = Message::new(kind, codec);
    message.name = name(reader.varint()?, names)?;
    message.version = reader.varint_u32()?;
    if kind == Kind::Publish {
        message.topic = name(reader.varint()?, names)?;
    }
    if has & HAS_TARGET != 0 {
        message.target = Some(ActorId::from_u64(reader.varint()?));
    }
    if has & HAS_KEY_HASH != 0 {
        message.key_hash = Some(reader.u64()?);
    }
    if has & HAS_CORRELATION != 0 {
        message.correlation = Some(reader.varint()?);
    }
    if has & HAS_REMAINING != 0 {
        message.remaining_ms = Some(reader.varint()?);
    }
    if has & HAS_MOVED != 0 {
        let attempt = reader.varint_u32()?;
        let origin = EntryId { ms: reader.varint()?, seq: reader.varint()? };
        message.moved = Some(Moved { attempt, origin });
    }
    if has & HAS_REPLY_TO != 0 {
        message.reply_to = Some(Incarnation::from_u128(reader.u128()?));
    }
    if has & HAS_TRACE != 0 {
        let (trace_id, span_id, flags) = (reader.u128()?, reader.u64()?, reader.u8()?);
        message.trace = Some(Trace { trace_id, span_id, flags });
    }
    if has & HAS_CHAIN != 0 {
        message.chain = chain(reader)?;
    }
    check(&message)?;
    Ok(message)
}

/// What a kind must have.
fn check(message: &Message<'_>) -> Result<(), FrameError> {
    let whole = match message.kind {
        Kind::Ask => {
            message.name.is_some() && message.correlation.is_some() && message.reply_to.is_some()
        }
        Kind::Publish => message.name.is_some() && message.topic.is_some(),
        Kind::Reply | Kind::Refusal => message.correlation.is_some(),
        // A tell without a name is the entry in a dead letter; a cancel of nothing is a message
        // that its sender took back before the frame left.
        Kind::Tell | Kind::Cancel => true,
    };
    whole.then_some(()).ok_or(FrameError::Contradiction("a message lacks what its kind needs"))
}

fn name(index: u64, names: &[Arc<str>]) -> Result<Option<&str>, FrameError> {
    let Some(index) = index.checked_sub(1) else { return Ok(None) };
    let index = usize::try_from(index).map_err(|_| FrameError::Number)?;
    names.get(index).map(|name| Some(&**name)).ok_or(FrameError::Number)
}

fn chain(reader: &mut Reader<'_>) -> Result<Vec<Waiting>, FrameError> {
    let count = reader.varint()?;
    if count == 0 || count > CHAIN_LENGTH_MAX as u64 {
        return Err(FrameError::Number);
    }
    let mut chain = Vec::new();
    for _ in 0..count {
        let incarnation = Incarnation::from_u128(reader.u128()?);
        chain.push(Waiting { incarnation, actor: ActorId::from_u64(reader.varint()?) });
    }
    Ok(chain)
}
