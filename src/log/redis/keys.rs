//! The keys of a stream and of what belongs to it. All share the part in braces of the unit, and so one
//! slot of a Redis Cluster.

use crate::log::{Consumer, Owner, Place, StreamKind, StreamName};

/// The entries.
pub(super) fn live(stream: &StreamName) -> String {
    stream.to_string()
}

/// Kind, lanes and counters; a stream exists when this does.
pub(super) fn hw(stream: &StreamName) -> String {
    format!("{}{HW}", stream.unit())
}

/// How [`hw`] ends.
pub(super) const HW: &str = ":hw";

/// What is recorded of entries: of a topic, for each group.
pub(super) fn prog(stream: &StreamName, owner: &Owner) -> String {
    match owner {
        Owner::Consumer(consumer) => prog_of_group(stream, consumer),
        Owner::Fence { .. } => prog_of_all(stream),
    }
}

pub(super) fn prog_of_group(stream: &StreamName, consumer: &Consumer) -> String {
    match stream.kind() {
        StreamKind::Topic => format!("{}:prog:{}", stream.unit(), consumer.group),
        _ => prog_of_all(stream),
    }
}

pub(super) fn prog_of_all(stream: &StreamName) -> String {
    format!("{}:prog", stream.unit())
}

/// Entries, dead letters or retained entries.
pub(super) fn place(stream: &StreamName, place: Place) -> String {
    match place {
        Place::Live => live(stream),
        Place::Dead => format!("{}:dlq", stream.unit()),
        // A topic's own entries have this name; what it keeps, it keeps there.
        Place::Retained if stream.kind() == StreamKind::Topic => format!("{}:kept", stream.unit()),
        Place::Retained => format!("{}:log", stream.unit()),
    }
}

pub(super) fn fence(stream: &StreamName) -> String {
    format!("{}:fence", stream.unit())
}

/// The lanes of producers that are gone.
pub(super) fn gone(stream: &StreamName) -> String {
    format!("{}:gone", stream.unit())
}

/// The dedup ids that are known, with the time until when.
pub(super) fn once(stream: &StreamName) -> String {
    format!("{}:once", stream.unit())
}

/// The delay set: times, frames, ids.
pub(super) fn delay(stream: &StreamName) -> [String; 3] {
    let unit = stream.unit();
    [format!("{unit}:delay"), format!("{unit}:delay:b"), format!("{unit}:delay:id")]
}

/// How far a replay of retained entries came.
pub(super) fn run(stream: &StreamName, run: &str) -> String {
    format!("{}:run:{run}", stream.unit())
}

/// What says that a letter of another stream lies here.
pub(super) fn seen(into: &StreamName, from: &StreamName, what: &str) -> String {
    format!("{}:seen:{from}:{what}", into.unit())
}

/// How a stream's kind is written.
pub(super) fn kind(stream: &StreamName) -> &'static str {
    match stream.kind() {
        StreamKind::Service => "service",
        StreamKind::Inbox => "inbox",
        StreamKind::Replies => "replies",
        StreamKind::Topic => "topic",
    }
}

pub(super) fn kind_of(text: &str) -> Option<StreamKind> {
    match text {
        "service" => Some(StreamKind::Service),
        "inbox" => Some(StreamKind::Inbox),
        "replies" => Some(StreamKind::Replies),
        "topic" => Some(StreamKind::Topic),
        _ => None,
    }
}
