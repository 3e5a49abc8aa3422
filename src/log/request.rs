use std::time::Duration;

use bytes::Bytes;

use super::{EntryId, StreamKind, StreamName};
use crate::id::Incarnation;

/// A frame to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendRequest {
    /// Where to.
    pub stream: StreamName,
    /// Who sends it.
    pub producer: Incarnation,
    /// The producer's lane; sequences are counted within it.
    pub lane: u32,
    /// The sequence of the first message, from 1.
    pub first: u64,
    /// How many messages the frame holds.
    pub count: u32,
    /// The bytes; a resend has the same.
    pub frame: Bytes,
    /// Refuse (with [`Append::Gone`](super::Append::Gone)) instead of making the stream.
    pub must_exist: bool,
    /// Refuse (with [`Append::Full`](super::Append::Full)) above so many held and delayed messages.
    /// A stream whose messages are not counted ignores it.
    pub backlog_max: Option<u64>,
    /// Messages of it that nobody is to handle if they were stored before under the same id. Of a
    /// service's stream only; empty for most frames.
    pub dedup: Vec<DedupId>,
}

/// The longest dedup id in bytes.
pub const DEDUP_ID_BYTES_MAX: usize = 128;
/// The longest time for which a dedup id may be remembered.
pub const DEDUP_WINDOW_MAX: Duration = Duration::from_hours(24);

/// By which a message of a frame is known as one that was stored before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DedupId {
    /// The message's index in its frame.
    pub index: u32,
    /// The id, 1 to [`DEDUP_ID_BYTES_MAX`] bytes.
    pub id: String,
    /// For how long it is remembered when it was not known: 1 ms to [`DEDUP_WINDOW_MAX`].
    pub window: Duration,
}

impl AppendRequest {
    /// Whether its lane is not looked at: replies are known by their correlation, and whoever waits
    /// takes one of them.
    pub fn is_without_lane(&self) -> bool {
        self.must_exist && self.stream.kind() == StreamKind::Replies
    }
}

/// A consumer of a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Consumer {
    /// The group.
    pub group: String,
    /// The consumer: an incarnation, never the name of a node.
    pub name: String,
}

/// By which right an entry is settled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// It is pending for this consumer.
    Consumer(Consumer),
    /// The stream's fence is at this epoch and held by this owner (a stream without groups).
    Fence {
        /// The epoch.
        epoch: u64,
        /// The owner's incarnation.
        owner: String,
    },
}

/// Where a new group starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the first entry there is.
    Beginning,
    /// At what is appended from now on.
    New,
    /// After this entry.
    After(EntryId),
}

/// A read as a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadGroupRequest {
    /// The streams, all with a group of the consumer's group name.
    pub streams: Vec<StreamName>,
    /// The consumer.
    pub consumer: Consumer,
    /// The most entries per stream; at least 1.
    pub count: usize,
    /// How long to wait when there is nothing; zero does not wait.
    pub block: Duration,
}

/// What became of the messages of one entry, absolute. The sum of all is at most its count.
///
/// `dead` and `delayed` are raised by bury and postpone alone; progress and settle repeat what those
/// came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Handled.
    pub handled: u32,
    /// Past their time before a handler saw them.
    pub expired: u32,
    /// Taken back by their sender.
    pub cancelled: u32,
    /// Moved to the dead letters.
    pub dead: u32,
    /// Moved to the delay set.
    pub delayed: u32,
}

impl Totals {
    /// How many messages are done with.
    pub const fn sum(&self) -> u64 {
        self.handled as u64
            + self.expired as u64
            + self.cancelled as u64
            + self.dead as u64
            + self.delayed as u64
    }
}

/// Which messages of an entry are done: bit `i` of byte `i / 8`, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Done(pub Vec<u8>);

impl Done {
    /// Whether this message is done.
    pub fn contains(&self, index: u32) -> bool {
        self.0.get(index as usize / 8).is_some_and(|byte| byte & (1 << (index % 8)) != 0)
    }

    /// Marks this message. True when it was not marked before.
    pub fn insert(&mut self, index: u32) -> bool {
        let at = index as usize / 8;
        if self.0.len() <= at {
            self.0.resize(at + 1, 0);
        }
        let fresh = self.0[at] & (1 << (index % 8)) == 0;
        self.0[at] |= 1 << (index % 8);
        fresh
    }

    /// How many are marked.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|byte| u64::from(byte.count_ones())).sum()
    }
}

/// A try at one message, written before its handler runs, so that whoever claims the entry after a
/// crash knows which message was being handled and for the how manieth time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The message's index in its entry.
    pub index: u32,
    /// Which try it is, from 1.
    pub number: u32,
}

/// What has been done of one entry so far.
///
/// With nothing marked as done it only touches the entry (and records the attempt, if there is
/// one), whatever is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The entry.
    pub id: EntryId,
    /// How many messages it holds.
    pub count: u32,
    /// What became of them.
    pub totals: Totals,
    /// Which ones are done; as many as the sum of the totals, and all that were recorded before.
    pub done: Done,
    /// The try that begins now; `None` leaves what is stored.
    pub attempt: Option<Attempt>,
}

/// The end of one entry.
///
/// A log need not know how many messages an entry holds but by the `count` given here, in
/// [`Progress`] and in [`Mark`]; one that does answers
/// [`Ownership::Disagrees`](super::Ownership::Disagrees) to another number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settle {
    /// The entry.
    pub id: EntryId,
    /// How many messages it holds.
    pub count: u32,
    /// What became of them; the sum is `count`.
    pub totals: Totals,
    /// Keep a copy among the retained entries. A topic ignores it: it keeps its entries anyway.
    pub retain: Option<Retain>,
}

/// How long, and how much at most, settled entries are kept. Whoever settles with it drops what is
/// beyond it, the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retain {
    /// Those settled longer ago than this go.
    pub age: Duration,
    /// The most entries that stay, at least 1.
    pub entries_max: u64,
}

/// One message of an entry that is moved out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The entry.
    pub id: EntryId,
    /// The message's index in it.
    pub index: u32,
    /// How many messages the entry holds.
    pub count: u32,
}

/// One message to the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuryRequest {
    /// Which message.
    pub mark: Mark,
    /// The dead letter: a frame of one message that holds its reason too.
    pub letter: Bytes,
    /// Where to: this stream's own dead letters, or those of another (an inbox whose owner is gone, a
    /// subscriber of a topic). Where the other sits in another slot the letter is written there
    /// first, known by stream, entry and index, and the message is marked after that.
    pub into: Option<StreamName>,
}

/// A whole entry to the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuryEntryRequest {
    /// The entry.
    pub id: EntryId,
    /// The dead letter: a frame of one message whose body is the entry.
    pub letter: Bytes,
    /// Where to, as in [`BuryRequest`].
    pub into: Option<StreamName>,
}

/// One message to the delay set (of a counted stream: what a topic releases goes to every group).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostponeRequest {
    /// Which message.
    pub mark: Mark,
    /// A frame of this one message.
    pub frame: Bytes,
    /// When it goes back into the stream, on the log's clock.
    pub due_ms: u64,
}

/// Which entries to take over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRequest {
    /// Who takes them.
    pub consumer: Consumer,
    /// Only of these consumers; of all others when `None`.
    pub from: Option<Vec<String>>,
    /// Only what nobody touched for so long.
    pub idle: Duration,
    /// At most so many.
    pub limit: usize,
}

/// The parts of a stream that can be listed. Dead letters and retained entries have ids of their
/// own, which say when they came there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// Entries that are not settled.
    Live,
    /// Dead letters.
    Dead,
    /// Settled entries that were kept.
    Retained,
}

/// What to put into the stream again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayRequest {
    /// [`Place::Dead`] (moved) or [`Place::Retained`] (copied).
    pub from: Place,
    /// First id, included.
    pub first: EntryId,
    /// Last id, included.
    pub last: EntryId,
    /// The most frames of this step.
    pub limit: usize,
    /// Put them into this stream instead of their own; one of kind inbox must exist. Dead letters
    /// only. Where the other sits in another slot they are written there first, known by where they
    /// lay for a day, and leave their place after that.
    pub into: Option<StreamName>,
    /// The name of the replay that this step belongs to. Retained entries only, which stay where they
    /// are: the log remembers for a day how far each run came, and puts nothing there twice.
    pub run: Option<String>,
    /// Stop where the stream would hold and delay more messages than this. A stream whose messages
    /// are not counted ignores it.
    pub backlog_max: Option<u64>,
    /// What becomes of the stored entries. Those of the range that are not named here stay.
    pub frames: Vec<ReplayFrame>,
}

/// What goes into the stream in the place of a stored entry, or for a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayFrame {
    /// The stored entry.
    pub id: EntryId,
    /// Which part of a retained entry it is, from 0; a dead letter has no parts.
    pub part: u32,
    /// How many messages the frame holds.
    pub count: u32,
    /// The frame.
    pub frame: Bytes,
}

/// How an entry ended, for logs and events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disposal {
    /// A handler took it.
    Handled,
    /// It was past its time.
    Expired,
    /// Its sender took it back.
    Cancelled,
    /// It went to the dead letters.
    Dead,
    /// It went to the delay set.
    Delayed,
}
