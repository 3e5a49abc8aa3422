//! The log port: what the bus needs of a message log, and the logs that ship.
//!
//! Owns the trait [`MessageLog`] and its vocabulary. Does not know what is inside a frame: the bus
//! tells it how many messages an entry holds and what became of them. The model is Redis Streams:
//! entries with ids, consumer groups with pending entries and idle clocks, and compound steps that
//! are atomic (scripts there).

mod account;
mod check;
mod embedded;
mod error;
mod outcome;
#[cfg(feature = "redis")]
mod redis;
mod request;
mod stream;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

#[cfg(feature = "redis")]
pub use self::redis::{RedisLog, RedisOptions};
pub use account::AccountingError;
pub use embedded::{EmbeddedLog, EmbeddedLogOptions};
pub use error::LogError;
pub use outcome::{
    Accounting, Append, Claim, ClaimedEntry, Due, Fence, GroupInfo, Ownership, Recorded,
    ReplayStop, Replayed, StreamInfo,
};
pub use request::{
    AppendRequest, Attempt, BuryEntryRequest, BuryRequest, ClaimRequest, Consumer,
    DEDUP_ID_BYTES_MAX, DEDUP_WINDOW_MAX, DedupId, Disposal, Done, Mark, Owner, Place,
    PostponeRequest, Progress, ReadGroupRequest, ReplayFrame, ReplayRequest, Retain, Settle, Start,
    Totals,
};
pub use stream::{EntryId, FRAME_BYTES_MAX, StreamKind, StreamName};

/// How long a log must have been up before it gives away entries of consumers that seem to be gone.
pub const CLAIM_GRACE: Duration = Duration::from_secs(35);

/// One entry of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place; the milliseconds in it are the log's clock when it was appended.
    pub id: EntryId,
    /// The bytes as they were appended.
    pub frame: Bytes,
    /// Messages of it that nobody is to handle, because their dedup ids were known when it was
    /// appended. They are recorded as cancelled from then on.
    pub skip: Done,
    /// Whether the log knows how many messages it holds. It does not when others than this library
    /// have put it there; such a one is to be [adopted](MessageLog::adopt).
    pub is_counted: bool,
}

impl Entry {
    /// An entry that is counted, with nothing to skip.
    pub fn new(id: EntryId, frame: Bytes) -> Self {
        Self { id, frame, skip: Done::default(), is_counted: true }
    }

    /// What is recorded of it when it is given out for the first time.
    pub fn recorded(&self) -> Recorded {
        let cancelled = u32::try_from(self.skip.count()).unwrap_or(u32::MAX);
        let totals = Totals { cancelled, ..Totals::default() };
        Recorded { totals, done: self.skip.clone(), attempt: None }
    }
}

/// Entries that a read gave, with their stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadBatch {
    /// The stream.
    pub stream: StreamName,
    /// The entries, oldest first.
    pub entries: Vec<Entry>,
}

/// A log of streams.
///
/// Every method is one atomic step. A stream comes into being with what is first stored in it: an
/// append (unless the request says that it must exist), a group, a fence, a dead letter of another
/// stream, or by [`open`](Self::open). Reading outside a group makes none. `now` is the log's own
/// clock.
///
/// **Accounting.** For a stream of kind [`StreamKind::Service`] or [`StreamKind::Inbox`] the log
/// counts messages: `appended = handled + expired + cancelled + dead + delayed + held` holds after
/// every step; see [`Accounting`]. Totals are absolute per entry and the log adds the difference
/// from what it stored, so that saying a thing twice counts it once.
///
/// # Contract
/// Each line has a case of the same name in `callboard::testing::log_suite`.
///
/// Appending:
/// - MUST `append_gives_growing_ids`; an id's milliseconds come from the log's clock and never go
///   back.
/// - MUST `append_takes_only_the_next_sequence`: of one (producer, lane) it stores a frame only if
///   `first` is one more than the last sequence stored (a lane starts at 1), answers
///   [`Append::Stored`], and remembers `first + count - 1`.
/// - MUST `append_with_a_duplicate_stores_nothing`: a frame wholly at or below the last sequence is
///   [`Append::Duplicate`].
/// - MUST `append_with_a_gap_stores_nothing`: any other frame, a partial overlap too, is
///   [`Append::Gap`] with the last sequence.
/// - MUST `lanes_are_independent`.
/// - MUST `append_to_an_absent_stream_that_must_exist_is_gone`, without making it.
/// - MUST `replies_are_stored_without_lanes`: what goes to a stream of replies that must exist is stored
///   whatever its sequence is, and again when it is sent again.
/// - MUST `append_over_the_backlog_is_full`: with `backlog_max`, when held and delayed messages
///   together would exceed it; a duplicate is a duplicate all the same.
/// - MUST `a_forgotten_lane_does_not_start_again`: for a day after `forget_producer` a frame of a
///   lane that the producer had used, the first one too, is [`Append::Forgotten`], never stored.
///   A lane that it had not used starts as any other.
/// - MUST `what_is_over_the_bounds_is_refused`: an empty frame, a count or a first sequence of 0, a
///   frame over [`FRAME_BYTES_MAX`], a message index outside its entry.
/// - MUST `append_without_memory_stores_nothing_and_consumers_drain`: [`LogError::OutOfMemory`],
///   the lane stays where it was, and all but the two appends go on.
/// - MUST `append_skips_messages_whose_dedup_id_is_known`: the frame is stored as it is, and those
///   messages of it are in [`Entry::skip`], recorded as done and cancelled, and counted as cancelled,
///   in the same step. A frame without another message is [`Append::Duplicate`]: nothing is stored,
///   its messages are counted as appended and cancelled, and its lane goes on. The ids of a stored
///   frame are known from then on, also to its own later messages; those of a frame that was not
///   stored are not.
/// - MUST `dedup_ids_are_forgotten_after_their_window`, and with their stream.
/// - MUST `a_delayed_message_with_a_known_dedup_id_is_not_put_there`: it is [`Append::Duplicate`].
/// - MUST `open_makes_a_stream_that_ends_with_its_time`: it exists from then on, without group or
///   entry, until nobody opened it again for that time.
///
/// Reading:
/// - MUST `a_group_gives_each_entry_to_one_consumer`, oldest first, at most `count` per stream.
/// - MUST `read_group_makes_its_group_at_the_beginning`: a group that does not exist reads from the
///   first entry; making a group that exists changes nothing.
/// - MUST `ensure_group_starts_where_it_is_told`.
/// - MUST `a_blocked_read_wakes_on_append`, on any of its streams.
/// - MUST `a_blocked_read_ends_at_its_time`, with nothing.
/// - MUST `unblock_ends_a_blocked_read`, each of that reader's; if it has none, its next call does
///   not block.
/// - MUST `a_cancelled_read_loses_nothing`: entries that were assigned to the consumer of a read
///   whose future was dropped are pending for it and come back by `pending_of` and `claim`.
/// - MUST `read_from_gives_what_comes_after`, to any number of readers alike, and waits for a stream
///   that does not exist without making it.
/// - MUST `each_group_of_a_topic_gets_a_copy`; what is recorded of an entry is per group there.
///
/// Settling (`owner` is a consumer of a group, or a fence holder):
/// - MUST `settle_removes_the_entry_and_counts_it`.
/// - MUST `settle_on_a_topic_only_acknowledges`, for that group.
/// - MUST `settle_by_a_stale_owner_changes_nothing`: [`Ownership::OwnedByOther`].
/// - MUST `settle_twice_counts_once`: the second is [`Ownership::NotPending`].
/// - MUST `settle_refuses_totals_that_do_not_add_up` to the entry's count: [`Ownership::Disagrees`].
/// - MUST `progress_is_absolute`: the same totals twice count once; totals below the stored ones,
///   or a bitmap without what is marked there, or with another number of marks than the totals
///   come to, are [`Ownership::Disagrees`] and change nothing. It resets the idle clock.
/// - MUST `progress_without_marks_is_a_touch`: it leaves what is stored, and records its attempt.
/// - MUST `progress_by_a_stale_owner_changes_nothing`.
/// - MUST `what_is_recorded_can_be_read`: totals, bitmap and attempt, by anybody.
/// - MUST `only_moves_count_as_moved`: progress or settle with a number of dead or delayed messages
///   other than was buried and postponed are [`Ownership::Disagrees`].
/// - MUST `touch_resets_the_idle_clock` of what the consumer owns and changes nothing else.
/// - MUST `bury_moves_one_message_to_the_dead_letters` and records it as done in the same step;
///   saying it again adds nothing (it is known by entry and index) and is [`Ownership::Done`]; of a
///   message that was done otherwise it is [`Ownership::Disagrees`].
/// - MUST `bury_into_another_stream_counts_where_it_was`.
/// - MUST `bury_entry_ends_it_with_one_letter`: each of its messages that was not done counts as dead;
///   the second time it is [`Ownership::NotPending`].
/// - MUST `adopt_leaves_what_is_counted_alone`: [`Ownership::Disagrees`]. An entry that is not is
///   appended anew in the same step, as one of that many messages that are counted, and is
///   [`Ownership::Done`]; saying it again is [`Ownership::NotPending`].
/// - MUST `postpone_moves_one_message_to_the_delay_set`, likewise once; a topic refuses it.
/// - MUST `due_releases_in_order_of_time`, only what is due, as entries of one message each; a
///   release changes `delayed` and `held`, never `appended`.
/// - MUST `cancel_delayed_removes_once`.
///
/// Claiming:
/// - MUST `claim_waits_for_the_grace`: [`Claim::Grace`] until the log has been up for
///   [`CLAIM_GRACE`].
/// - MUST `claim_takes_only_what_is_idle`, of the named consumers or of all, never the caller's own.
/// - MUST `claim_while_the_owner_touches_takes_nothing`.
/// - MUST `claim_resumes_after_the_bitmap`: totals, the bitmap of what is done, the last attempt and
///   the number of deliveries come with the entry.
/// - MUST `claim_tells_what_is_gone`, once: ids that are pending while their entries were trimmed.
/// - MUST `claim_raises_the_delivery_count`, once each.
/// - MUST `after_a_claim_the_old_owner_is_stale`.
/// - MUST `remove_consumer_keeps_pending_entries`: a consumer with pending entries stays.
///
/// Fences:
/// - MUST `a_fence_only_rises`: a lower epoch, or an equal one of another owner, is refused with
///   the holder; the holder may raise to its own epoch again.
/// - MUST `fence_raised_under_a_reader_makes_it_stale`: settle, progress, bury and postpone of the
///   old epoch are [`Ownership::OwnedByOther`].
///
/// Keeping house:
/// - MUST `trim_removes_what_is_older` and only that; it refuses the live entries of a counted
///   stream, which leave by being settled.
/// - MUST `accounting_adds_up` after any sequence of steps.
/// - MUST `replay_moves_dead_letters_back`, at most `limit`, oldest first, each once, and counts
///   them as appended again.
/// - MUST `replay_copies_retained_entries`, which stay where they are.
/// - MUST `replay_of_a_run_copies_each_part_once`: what is at or before the last part that the same
///   run has put there within a day is left out, also when a call is made again.
/// - MUST `replay_moves_letters_into_another_stream_once`: they are counted there, and not where they
///   lay; into an inbox that does not exist none goes, and none is made by it.
/// - MUST `replay_stops_at_the_backlog`, with [`ReplayStop::Full`], and moves the rest when there is
///   room.
/// - MUST `dead_letters_are_listed_and_dropped`.
/// - MUST `delete_removes_all_of_a_stream`, lanes and dead letters too; a blocked read of it ends
///   with nothing or waits on.
/// - MUST `streams_are_listed_by_prefix`.
/// - MUST `remove_group_forgets_its_pending_entries`; the entries stay.
/// - MUST `retained_entries_are_kept_after_settling`, when the settle says so, until they are older
///   than it says; their number and size can be seen.
/// - MUST `retained_entries_are_bounded_in_number`: the oldest go first.
#[async_trait]
pub trait MessageLog: Send + Sync + fmt::Debug + 'static {
    /// Appends one frame if it is the next of its lane.
    async fn append(&self, request: AppendRequest) -> Result<Append, LogError>;

    /// Makes a stream that holds nothing yet. With `keep` it disappears with all that belongs to it
    /// when it was not opened again for that time (replies of a process that is gone).
    async fn open(&self, stream: &StreamName, keep: Option<Duration>) -> Result<(), LogError>;

    /// Makes a group; nothing happens when it exists. Streams of replies have none: refused.
    async fn ensure_group(
        &self,
        stream: &StreamName,
        group: &str,
        start: Start,
    ) -> Result<(), LogError>;

    /// Removes a group with its pending entries' bookkeeping (of a topic's subscriber that is gone).
    async fn remove_group(&self, stream: &StreamName, group: &str) -> Result<(), LogError>;

    /// Reads new entries as a consumer of a group, waiting for at most `block` until there is
    /// something on one of the streams.
    ///
    /// # Cancel safety
    /// Entries assigned by a dropped call are pending for the consumer; read them with
    /// [`pending_of`](Self::pending_of).
    async fn read_group(&self, request: ReadGroupRequest) -> Result<Vec<ReadBatch>, LogError>;

    /// Entries that are pending for this consumer, oldest first: what it was given and has not
    /// settled. Changes neither idle clock nor delivery count.
    async fn pending_of(
        &self,
        stream: &StreamName,
        consumer: &Consumer,
        limit: usize,
    ) -> Result<Vec<Entry>, LogError>;

    /// Reads what comes after an entry, outside any group, waiting for at most `block` until there
    /// is something on one of the streams. `reader` names the call for [`unblock`](Self::unblock).
    async fn read_from(
        &self,
        streams: &[(StreamName, EntryId)],
        reader: &str,
        limit: usize,
        block: Duration,
    ) -> Result<Vec<ReadBatch>, LogError>;

    /// Ends the blocked read of a reader (a consumer's name, or the name given to
    /// [`read_from`](Self::read_from)): it returns at once with what there is.
    async fn unblock(&self, reader: &str) -> Result<(), LogError>;

    /// Records what has been done of entries that are still held. One answer per entry, in order.
    async fn progress(
        &self,
        stream: &StreamName,
        owner: &Owner,
        entries: &[Progress],
    ) -> Result<Vec<Ownership>, LogError>;

    /// What is recorded of entries, as this owner would see it, whoever owns them; `None` where there
    /// is no such entry. One answer per entry, in order.
    async fn recorded(
        &self,
        stream: &StreamName,
        owner: &Owner,
        ids: &[EntryId],
    ) -> Result<Vec<Option<Recorded>>, LogError>;

    /// Resets the idle clock of what is held. One answer per entry, in order.
    async fn touch(
        &self,
        stream: &StreamName,
        consumer: &Consumer,
        ids: &[EntryId],
    ) -> Result<Vec<Ownership>, LogError>;

    /// Ends entries of which every message is done. One answer per entry, in order.
    async fn settle(
        &self,
        stream: &StreamName,
        owner: &Owner,
        entries: &[Settle],
    ) -> Result<Vec<Ownership>, LogError>;

    /// Moves one message of an entry to the dead letters.
    async fn bury(
        &self,
        stream: &StreamName,
        owner: &Owner,
        request: BuryRequest,
    ) -> Result<Ownership, LogError>;

    /// Moves a whole entry that nobody can read to the dead letters, as one letter, and ends it. Its
    /// reader does not know how many messages it holds; the log does.
    async fn bury_entry(
        &self,
        stream: &StreamName,
        owner: &Owner,
        request: BuryEntryRequest,
    ) -> Result<Ownership, LogError>;

    /// Takes in an entry that is not counted, by whoever reads its frame and so knows how many messages
    /// it holds: it comes again, as one that is. A log that nobody else can write to has no such.
    async fn adopt(
        &self,
        stream: &StreamName,
        owner: &Owner,
        id: EntryId,
        count: u32,
    ) -> Result<Ownership, LogError>;

    /// Moves one message of an entry to the delay set.
    async fn postpone(
        &self,
        stream: &StreamName,
        owner: &Owner,
        request: PostponeRequest,
    ) -> Result<Ownership, LogError>;

    /// Puts a message into the delay set that was in no entry yet (a delayed send). Answers like
    /// [`append`](Self::append), but the id of `Stored` is no entry's and only tells the log's clock;
    /// the request's count must be 1, and an `id` that is in the set already is refused.
    async fn append_delayed(
        &self,
        request: AppendRequest,
        id: &str,
        due_ms: u64,
    ) -> Result<Append, LogError>;

    /// Takes a delayed message back, by the id it was given. False when it is not there any more.
    async fn cancel_delayed(&self, stream: &StreamName, id: &str) -> Result<bool, LogError>;

    /// Releases delayed messages that are due into the stream, at most `limit`. On a stream of
    /// kind topic each group gets them.
    async fn due(&self, stream: &StreamName, limit: usize) -> Result<Due, LogError>;

    /// Takes over entries of consumers that are gone.
    async fn claim(&self, stream: &StreamName, request: ClaimRequest) -> Result<Claim, LogError>;

    /// Removes a consumer that has nothing pending. False when it has, or is not there.
    async fn remove_consumer(
        &self,
        stream: &StreamName,
        consumer: &Consumer,
    ) -> Result<bool, LogError>;

    /// Forgets the lanes of a producer that is gone, leaving what refuses its late frames.
    async fn forget_producer(
        &self,
        stream: &StreamName,
        producer: crate::Incarnation,
    ) -> Result<(), LogError>;

    /// Raises the fence of a stream to an epoch.
    async fn fence(&self, stream: &StreamName, epoch: u64, owner: &str) -> Result<Fence, LogError>;

    /// Lists entries between two ids, both included, oldest first. Never blocks.
    async fn range(
        &self,
        stream: &StreamName,
        place: Place,
        from: EntryId,
        to: EntryId,
        limit: usize,
    ) -> Result<Vec<Entry>, LogError>;

    /// Removes entries with ids below `before`, whoever may still want them (the bus decides that),
    /// and says how many. They stay pending where they were pending, until a claim or a settle finds
    /// that they are gone.
    async fn trim(
        &self,
        stream: &StreamName,
        place: Place,
        before: EntryId,
    ) -> Result<u64, LogError>;

    /// Puts dead letters (or retained entries) into the stream again.
    async fn replay(
        &self,
        stream: &StreamName,
        request: ReplayRequest,
    ) -> Result<Replayed, LogError>;

    /// Drops dead letters by id and says how many there were.
    async fn drop_dead(&self, stream: &StreamName, ids: &[EntryId]) -> Result<u64, LogError>;

    /// What can be counted of a stream; `None` when it does not exist.
    async fn info(&self, stream: &StreamName) -> Result<Option<StreamInfo>, LogError>;

    /// The streams whose unit starts with this, in order (for sweeping and for operators).
    async fn streams(&self, prefix: &str) -> Result<Vec<StreamName>, LogError>;

    /// Removes a stream with all that belongs to it.
    async fn delete(&self, stream: &StreamName) -> Result<bool, LogError>;

    /// The log's clock, in milliseconds since 1970.
    async fn now_ms(&self) -> Result<u64, LogError>;
}
