use bytes::Bytes;

use crate::{
    bus::codec::Codec,
    id::{ActorId, Incarnation},
    log::EntryId,
};

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Handled, without an answer.
    Tell = 1,
    /// Handled and answered.
    Ask = 2,
    /// Takes an ask back.
    Cancel = 3,
    /// An event of a topic.
    Publish = 4,
    /// The outcome of an ask.
    Reply = 5,
    /// Why an ask has no outcome.
    Refusal = 6,
}

impl Kind {
    pub(super) const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            1 => Some(Self::Tell),
            2 => Some(Self::Ask),
            3 => Some(Self::Cancel),
            4 => Some(Self::Publish),
            5 => Some(Self::Reply),
            6 => Some(Self::Refusal),
            _ => None,
        }
    }
}

/// Where a message was before it was moved to the delay set or the dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Which attempt this is; the first delivery was 1. Of a dead letter that was replayed it is 0: it
    /// begins anew, with a first attempt.
    pub attempt: u32,
    /// The entry that it was first in; its milliseconds are the message's original time.
    pub origin: EntryId,
}

/// The trace that a message belongs to (W3C trace context).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The trace.
    pub trace_id: u128,
    /// The span that sent the message.
    pub span_id: u64,
    /// Its flags.
    pub flags: u8,
}

/// An actor that waits for the outcome of an ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Waiting {
    /// The process it lives in.
    pub incarnation: Incarnation,
    /// The actor there.
    pub actor: ActorId,
}

/// One message of a frame, without its body when it is built and with it when it was read.
///
/// Text and bytes are those of the frame; nothing is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// What it is for.
    pub kind: Kind,
    /// How the body is encoded.
    pub codec: Codec,
    /// Its wire name; none for replies and cancels.
    pub name: Option<&'a str>,
    /// The version of its form.
    pub version: u32,
    /// The topic of a publish.
    pub topic: Option<&'a str>,
    /// The actor it is for; none for the service.
    pub target: Option<ActorId>,
    /// Hash of the partition key.
    pub key_hash: Option<u64>,
    /// Which ask it is, or belongs to.
    pub correlation: Option<u64>,
    /// Time to live from its entry's (or original entry's) time, in milliseconds.
    pub remaining_ms: Option<u64>,
    /// Set on what was moved.
    pub moved: Option<Moved>,
    /// Who waits for the outcome.
    pub reply_to: Option<Incarnation>,
    /// Its trace.
    pub trace: Option<Trace>,
    /// The actors that wait for it, the first asker first.
    pub chain: Vec<Waiting>,
}

impl<'a> Message<'a> {
    /// A message of this kind with nothing optional.
    pub fn new(kind: Kind, codec: Codec) -> Self {
        Self {
            kind,
            codec,
            name: None,
            version: 0,
            topic: None,
            target: None,
            key_hash: None,
            correlation: None,
            remaining_ms: None,
            moved: None,
            reply_to: None,
            trace: None,
            chain: Vec::new(),
        }
    }

    /// The same with a name.
    #[must_use]
    pub fn named(mut self, name: &'a str, version: u32) -> Self {
        self.name = Some(name);
        self.version = version;
        self
    }
}

/// A message and its body, as they were read.
#[derive(Debug, Clone)]
pub(super) struct Read<'a> {
    pub(super) message: Message<'a>,
    pub(super) body: Bytes,
}
