use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a bus has counted since it started.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        #[non_exhaustive]
        pub struct BusStats { $($(#[$doc])* pub $name: u64,)* }

        /// The counters themselves.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: AtomicU64,)* }

        impl Counters {
            pub(crate) fn snapshot(&self) -> BusStats {
                BusStats { $($name: self.$name.load(Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Messages that were put into a lane.
    messages_queued,
    /// Messages whose append was acknowledged.
    messages_stored,
    /// Frames whose append was acknowledged.
    frames_stored,
    /// Appends that were sent again because their outcome was unknown.
    frames_resent,
    /// Acknowledged frames that had been stored by an earlier attempt.
    frames_duplicate,
    /// Frames that the log refused for good; their messages were handed back.
    frames_refused,
    /// Messages that the log had acknowledged and lost, at most.
    messages_lost,
    /// Times a lane went on under a new number.
    lanes_renewed,
    /// Frames that were read and could be decoded.
    frames_received,
    /// Entries that could not be decoded and went to the dead letters.
    entries_unreadable,
    /// Messages that were read.
    messages_received,
    /// Messages that a handler took, or that were answered.
    handled,
    /// Messages past their time before a handler saw them.
    expired,
    /// Messages that their sender took back.
    cancelled,
    /// Messages that were moved to the delay set.
    postponed,
    /// Messages that were moved to the dead letters.
    buried,
    /// Entries that were settled.
    entries_settled,
    /// Entries of which this process turned out not to be the owner (any more).
    entries_disowned,
    /// Entries that were taken over from other processes.
    entries_claimed,
    /// Entries of inboxes of the gone that were ended by this process.
    entries_swept,
    /// Touches of what is held that failed.
    touches_failed,
    /// Looks and sweeps for what others left behind that failed.
    recoveries_failed,
    /// Reads of the log that failed.
    reads_failed,
    /// Replies that came when nobody waited any more.
    replies_late,
    /// Replies to a process that is gone.
    replies_undeliverable,
    /// Asks that were taken back after they were sent.
    asks_cancelled,
    /// Delayed messages that were released by this process.
    released,
    /// Messages that this process put into streams again (dead letters and retained messages).
    replayed,
    /// Dead letters that this process dropped.
    letters_dropped,
    /// Retained entries that this process dropped because they were beyond their time.
    retained_trimmed,
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Relaxed);
}
