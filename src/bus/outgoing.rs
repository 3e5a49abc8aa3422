use std::{fmt, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    codec::{Codec, CodecError},
    frame::{Kind, Message, Trace, Waiting},
};
use crate::id::ActorId;

/// Encodes a body straight into the frame that it will travel in. Called at most once.
///
/// It runs while the lane is locked: it must not send anything itself.
pub type EncodeBody<'a> = &'a mut (dyn FnMut(&mut Vec<u8>) -> Result<(), CodecError> + Send + 'a);

/// The body of a message to send.
pub enum Body<'a> {
    /// Encoded before.
    Bytes(Bytes),
    /// The same, to be copied.
    Slice(&'a [u8]),
    /// Encoded when its place is known; saves a copy.
    Encode(EncodeBody<'a>),
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Slice(bytes) => write!(f, "Slice({})", bytes.len()),
            Self::Encode(_) => f.write_str("Encode(..)"),
        }
    }
}

impl Body<'_> {
    pub(crate) fn write(&mut self, into: &mut Vec<u8>) -> Result<(), CodecError> {
        match self {
            Self::Bytes(bytes) => {
                into.extend_from_slice(bytes);
                Ok(())
            }
            Self::Slice(bytes) => {
                into.extend_from_slice(bytes);
                Ok(())
            }
            Self::Encode(encode) => encode(into),
        }
    }
}

/// A message to send, whatever the way.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Its wire name.
    pub name: &'a str,
    /// The version of its form.
    pub version: u32,
    /// How the body is encoded.
    pub codec: Codec,
    /// The actor it is for; none for the service.
    pub target: Option<ActorId>,
    /// Hash of the partition key.
    pub key_hash: Option<u64>,
    /// When it is worthless: an ask fails then, a tell is skipped if no handler saw it before.
    pub deadline: Option<Instant>,
    /// Its trace.
    pub trace: Option<Trace>,
    /// The actors that wait for it, the first asker first.
    pub chain: Vec<Waiting>,
    /// It is skipped if it was sent before under the same id. To services only.
    pub dedup: Option<Dedup>,
    /// The body.
    pub body: Body<'a>,
}

/// By which a tell is known as one that was sent before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dedup {
    /// The id, 1 to 128 bytes; of a service's stream.
    pub id: String,
    /// For how long it is remembered.
    pub window: Duration,
}

impl<'a> Outgoing<'a> {
    /// A message with nothing optional, its body in bincode.
    pub fn new(name: &'a str, version: u32, body: Body<'a>) -> Self {
        Self {
            name,
            version,
            codec: Codec::Bincode,
            target: None,
            key_hash: None,
            deadline: None,
            trace: None,
            chain: Vec::new(),
            dedup: None,
            body,
        }
    }

    /// Head and body for the wire. The remaining time counts from its append; it is read here.
    pub(crate) fn into_parts(self, kind: Kind) -> (Message<'a>, Body<'a>) {
        let mut message = Message::new(kind, self.codec).named(self.name, self.version);
        message.target = self.target;
        message.key_hash = self.key_hash;
        message.remaining_ms = self.deadline.map(|deadline| remaining_ms(deadline, Instant::now()));
        message.trace = self.trace;
        message.chain = self.chain;
        (message, self.body)
    }
}

/// Whole milliseconds to a deadline, rounded up: 0 would look as if it had passed.
pub(crate) fn remaining_ms(deadline: Instant, now: Instant) -> u64 {
    let micros = deadline.saturating_duration_since(now).as_micros();
    u64::try_from(micros.div_ceil(1000)).unwrap_or(u64::MAX)
}
