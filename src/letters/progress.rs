use std::{fmt, time::Duration};

use crate::log::EntryId;

/// How many skipped messages a report names.
pub(super) const SKIPS_NAMED_MAX: usize = 1000;

/// How far a replay is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct ReplayProgress {
    /// How many messages are meant; known before the first one goes.
    pub total: u64,
    /// How many are in their stream again; those that a run of the same name had put there too.
    pub replayed: u64,
    /// How many were left where they are; the report says why.
    pub skipped: u64,
    /// Since the first one was due.
    pub elapsed: Duration,
    /// It waits because half of the messages that may wait in the stream do: what is left is for those
    /// who send.
    pub is_waiting: bool,
}

impl ReplayProgress {
    /// How many were dealt with.
    pub fn done(&self) -> u64 {
        self.replayed + self.skipped
    }

    /// How many are left.
    pub fn remaining(&self) -> u64 {
        self.total.saturating_sub(self.done())
    }

    /// Messages per second on average; 0 in the first moment.
    pub fn rate(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.replayed as f64 / seconds } else { 0.0 }
    }

    /// How long the rest takes at this rate, if that can be said.
    pub fn time_left(&self) -> Option<Duration> {
        let rate = self.rate();
        let seconds = self.remaining() as f64 / rate;
        (rate > 0.0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }
}

impl fmt::Display for ReplayProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (done, total) = (self.done(), self.total);
        write!(f, "{done} of {total}, {:.0} a second", self.rate())?;
        match self.time_left() {
            _ if self.is_waiting => f.write_str(", waiting for the service"),
            Some(left) => write!(f, ", {} s left", left.as_secs()),
            None => Ok(()),
        }
    }
}

/// What a replay did.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ReplayReport {
    /// Its name: a replay of retained messages with the same name goes on where this one ended.
    pub name: String,
    /// How many messages were meant.
    pub total: u64,
    /// How many are in their stream again.
    pub replayed: u64,
    /// How many were left where they are.
    pub skipped: u64,
    /// The first 1000 of those, and why.
    pub skips: Vec<Skip>,
    /// The last entry that was dealt with: the rest of the selection is `.after` it.
    pub last: Option<EntryId>,
    /// It was told to stop before it was through.
    pub was_stopped: bool,
    /// How long it took.
    pub elapsed: Duration,
}

impl ReplayReport {
    /// How many were dealt with.
    pub fn done(&self) -> u64 {
        self.replayed + self.skipped
    }

    /// Whether all that was meant was dealt with.
    pub fn is_complete(&self) -> bool {
        !self.was_stopped && self.done() >= self.total
    }
}

/// A message that a replay left where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skip {
    /// Its entry; of what was taken by somebody else, the last one of the step that missed it.
    pub id: EntryId,
    /// Why.
    pub reason: SkipReason,
}

/// Why a replay left a message where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SkipReason {
    /// Nobody can read it.
    Unreadable,
    /// It is no tell and no event: nobody waits for an answer to it any more.
    NotATell,
    /// The process that it was for is gone.
    ProcessGone,
    /// It does not say for which actor of the process it was: an event for one instance.
    NoActor,
    /// It was not there any more: somebody else dropped or replayed it.
    Taken,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "nobody can read it",
            Self::NotATell => "it is no tell and no event",
            Self::ProcessGone => "the process that it was for is gone",
            Self::NoActor => "it does not say for which actor it was",
            Self::Taken => "somebody else dropped or replayed it",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_reads_as_a_sentence() {
        let elapsed = Duration::from_secs(2);
        let progress =
            ReplayProgress { total: 1000, replayed: 200, skipped: 50, elapsed, is_waiting: false };
        assert_eq!(progress.to_string(), "250 of 1000, 100 a second, 7 s left");
        let waiting = ReplayProgress { is_waiting: true, ..progress };
        assert!(waiting.to_string().ends_with("waiting for the service"), "{waiting}");
        assert_eq!(ReplayProgress::default().to_string(), "0 of 0, 0 a second");
    }
}
