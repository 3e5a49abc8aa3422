use super::{Attempt, Done, Entry, EntryId, Totals};

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Append {
    /// Stored as this entry.
    Stored(EntryId),
    /// All of it was stored before.
    Duplicate {
        /// The last sequence of the lane.
        last: u64,
    },
    /// It is not the next of its lane; nothing was stored.
    Gap {
        /// The last sequence of the lane; 0 when none is known.
        last: u64,
    },
    /// The lane was forgotten with its producer, which was taken for gone; nothing was stored.
    Forgotten,
    /// The stream does not exist (any more).
    Gone,
    /// The stream holds as many messages as it may.
    Full,
}

/// What became of one entry of a settle, progress, touch, bury or postpone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// Done as asked.
    Done,
    /// Not pending: settled before, or trimmed.
    NotPending,
    /// Somebody else owns it now; the caller drops what it holds.
    OwnedByOther,
    /// It contradicts what is stored; the caller drops what it believes and reads it anew
    /// ([`recorded`](super::MessageLog::recorded)).
    Disagrees,
}

/// What is recorded of an entry that is not settled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recorded {
    /// What its messages came to so far.
    pub totals: Totals,
    /// Which of them are done.
    pub done: Done,
    /// The last try that was begun.
    pub attempt: Option<Attempt>,
}

/// An entry that was taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedEntry {
    /// The entry.
    pub entry: Entry,
    /// Who had it.
    pub previous: String,
    /// What is recorded of it: work on it goes on after that.
    pub recorded: Recorded,
    /// How many times it has been delivered, this time included.
    pub deliveries: u64,
}

/// What a claim did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The log has not been up for long enough to tell who is gone.
    Grace,
    /// These were taken; the ids were pending, but their entries are gone.
    Taken {
        /// The entries.
        entries: Vec<ClaimedEntry>,
        /// Pending ids without an entry; they are pending no more.
        gone: Vec<EntryId>,
    },
}

/// What raising a fence did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fence {
    /// The caller holds it now.
    Raised,
    /// Somebody else does.
    Refused {
        /// The epoch that stands.
        epoch: u64,
        /// Its holder.
        owner: String,
    },
}

/// What was released from the delay set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Due {
    /// How many messages went back into the stream.
    pub released: usize,
    /// When the next one is due, on the log's clock.
    pub next_ms: Option<u64>,
}

/// What a replay did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replayed {
    /// How many messages are in the stream again.
    pub messages: u64,
    /// The last id that was looked at; go on after it.
    pub last: Option<EntryId>,
    /// Why the rest was left where it is; none when all that was named and is there was moved, or the
    /// limit was reached.
    pub stop: Option<ReplayStop>,
}

/// Why a replay did not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplayStop {
    /// The stream holds as many messages as it may.
    Full,
    /// The stream that it goes into does not exist.
    Gone,
}

/// Messages of a stream by what became of them:
/// `appended = handled + expired + cancelled + dead + delayed + held`.
///
/// A message that is replayed counts as appended again. `delayed` goes down when a message is
/// released (and `held` up) or cancelled (and `cancelled` up). `dead` is what was ever buried, not
/// what lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accounting {
    /// Ever appended.
    pub appended: u64,
    /// Handled.
    pub handled: u64,
    /// Expired.
    pub expired: u64,
    /// Cancelled.
    pub cancelled: u64,
    /// Buried.
    pub dead: u64,
    /// In the delay set now.
    pub delayed: u64,
    /// In entries now and not done.
    pub held: u64,
    /// Entries ever stored in the stream (appended, released or replayed).
    pub frames_in: u64,
    /// Entries ever removed from it.
    pub frames_out: u64,
}

/// A group of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupInfo {
    /// Its name.
    pub name: String,
    /// The last entry that was given out.
    pub last_delivered: EntryId,
    /// Entries given out and not settled.
    pub pending: u64,
    /// The oldest of them.
    pub oldest_pending: Option<EntryId>,
    /// Its consumers with the number of entries pending for each.
    pub consumers: Vec<(String, u64)>,
}

/// A stream as it can be counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamInfo {
    /// Entries that are not settled.
    pub length: u64,
    /// The oldest entry.
    pub first: Option<EntryId>,
    /// The last id ever given.
    pub last: EntryId,
    /// Groups by name.
    pub groups: Vec<GroupInfo>,
    /// Dead letters that lie there.
    pub dead_letters: u64,
    /// Retained entries.
    pub retained: u64,
    /// About how much memory they take, in bytes.
    pub retained_bytes: u64,
    /// The fence's epoch and holder.
    pub fence: Option<(u64, String)>,
    /// What became of its messages (zero for kinds that are not counted).
    pub accounting: Accounting,
}
