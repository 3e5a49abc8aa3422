use std::ops::Deref;

use super::MessageBody;
use crate::{
    address::CodecContext,
    bus::{
        codec::Codec,
        frame::{Frame, Kind, Trace},
    },
    id::{ActorId, Incarnation},
    log::{Entry, EntryId},
};

/// A dead letter, all but its body.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LetterSummary {
    /// Its place; the milliseconds in it say when it came there.
    pub id: EntryId,
    /// Why it was buried, cut to 1 KiB.
    pub reason: String,
    /// How many times a handler tried.
    pub attempts: u32,
    /// The entry that the message was first in.
    pub origin: EntryId,
    /// Its index in the entry that it was buried from.
    pub index: u32,
    /// When it was sent first, in milliseconds since 1970 on the log's clock.
    pub first_ms: u64,
    /// When it was buried.
    pub last_ms: u64,
    /// What it was for.
    pub kind: Kind,
    /// Its wire name; none of what could not be read.
    pub message: Option<String>,
    /// The version of its form.
    pub version: u32,
    /// How its body is encoded.
    pub codec: Codec,
    /// The size of its body in bytes.
    pub size: usize,
    /// Who sent it.
    pub sender: Incarnation,
    /// The process that it was for, when it was for one alone.
    pub inbox: Option<Incarnation>,
    /// The actor that it was for, when it was for one alone.
    pub target: Option<ActorId>,
    /// The topic of an event.
    pub topic: Option<String>,
    /// Hash of its partition key.
    pub key_hash: Option<u64>,
    /// Its trace.
    pub trace: Option<Trace>,
    /// The body is a whole entry that nobody could read, or the letter itself can't be read: it can be
    /// looked at and dropped, but not replayed.
    pub unreadable: bool,
}

/// A dead letter with its body.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    summary: LetterSummary,
    /// The message's body, or the whole entry when that could not be read.
    pub body: MessageBody,
}

impl Deref for DeadLetter {
    type Target = LetterSummary;

    fn deref(&self) -> &LetterSummary {
        &self.summary
    }
}

impl LetterSummary {
    pub(super) fn of(entry: &Entry) -> Self {
        match Frame::parse(entry.frame.clone()) {
            Ok(frame) => Self::of_frame(entry, &frame),
            Err(error) => Self::of_bytes(entry, format!("the letter can't be read: {error}")),
        }
    }

    pub(super) fn of_frame(entry: &Entry, frame: &Frame) -> Self {
        let (Some(letter), Some((message, body))) = (frame.letter(), frame.message(0)) else {
            return Self::of_bytes(entry, "a frame without a letter lies here".to_owned());
        };
        Self {
            id: entry.id,
            reason: letter.reason.clone(),
            attempts: letter.attempts,
            origin: letter.origin,
            index: letter.index,
            first_ms: letter.first_ms,
            last_ms: letter.last_ms,
            kind: message.kind,
            message: message.name.map(str::to_owned),
            version: message.version,
            codec: message.codec,
            size: body.len(),
            sender: frame.producer(),
            inbox: letter.inbox,
            target: message.target,
            topic: message.topic.map(str::to_owned),
            key_hash: message.key_hash,
            trace: message.trace,
            unreadable: letter.unreadable,
        }
    }

    /// Of what somebody else has put there.
    fn of_bytes(entry: &Entry, reason: String) -> Self {
        Self {
            id: entry.id,
            reason,
            attempts: 0,
            origin: entry.id,
            index: 0,
            first_ms: entry.id.ms,
            last_ms: entry.id.ms,
            kind: Kind::Tell,
            message: None,
            version: 0,
            codec: Codec::default(),
            size: entry.frame.len(),
            sender: Incarnation::from_u128(0),
            inbox: None,
            target: None,
            topic: None,
            key_hash: None,
            trace: None,
            unreadable: true,
        }
    }
}

impl DeadLetter {
    pub(super) fn of(entry: &Entry, context: CodecContext) -> Self {
        let summary = LetterSummary::of(entry);
        let frame = Frame::parse(entry.frame.clone()).ok();
        let read = frame.filter(|frame| frame.letter().is_some());
        let body = read.and_then(|frame| frame.message(0).map(|(_, body)| body));
        let body = body.unwrap_or_else(|| entry.frame.clone());
        Self { body: MessageBody::new(summary.codec, body, context), summary }
    }

    /// The letter without its body.
    pub fn summary(&self) -> &LetterSummary {
        &self.summary
    }
}
