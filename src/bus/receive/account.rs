//! What became of the messages of one held entry, and what the log knows of that. Pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::log::{Attempt, Disposal, Done, EntryId, Progress, Recorded, Totals};

/// The account of one entry. Totals and marks always belong to the same moment, which is why they
/// sit behind one lock.
#[derive(Debug)]
pub(super) struct Account {
    count: u32,
    totals: Totals,
    done: Done,
    /// The try of one message that goes on, when they are tried one by one.
    attempt: Option<Attempt>,
    /// How many of the marks the log knows.
    told: u64,
    /// When the log heard of the entry last.
    told_at: Instant,
}

impl Account {
    pub(super) fn new(count: u32, recorded: Recorded, now: Instant) -> Self {
        let Recorded { totals, done, .. } = recorded;
        Self { count, totals, told: done.count(), done, attempt: None, told_at: now }
    }

    /// Whether each message is done.
    pub(super) fn is_over(&self) -> bool {
        self.totals.sum() >= u64::from(self.count)
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    pub(super) fn is_done(&self, index: u32) -> bool {
        self.done.contains(index)
    }

    /// Counts one message as done. True when it was the last one.
    pub(super) fn finish(&mut self, index: u32, disposal: Disposal) -> bool {
        let fresh = self.done.insert(index);
        debug_assert!(fresh, "each message is concluded once");
        if !fresh {
            return false;
        }
        let total = match disposal {
            Disposal::Handled => &mut self.totals.handled,
            Disposal::Expired => &mut self.totals.expired,
            Disposal::Cancelled => &mut self.totals.cancelled,
            Disposal::Dead => &mut self.totals.dead,
            Disposal::Delayed => &mut self.totals.delayed,
        };
        *total += 1;
        self.is_over()
    }

    /// Notes that a message is tried alone.
    pub(super) fn begin(&mut self, attempt: Attempt) {
        self.attempt = Some(attempt);
    }

    /// Which attempt at a message goes on, if it is tried alone.
    pub(super) fn attempt_at(&self, index: u32) -> Option<u32> {
        self.attempt.filter(|attempt| attempt.index == index).map(|attempt| attempt.number)
    }

    /// What the log is to know now.
    pub(super) fn progress(&self, id: EntryId) -> Progress {
        let (totals, done) = (self.totals, self.done.clone());
        Progress { id, count: self.count, totals, done, attempt: self.attempt }
    }

    /// Whether there is something that the log has not known for this long.
    pub(super) fn has_news(&self, age: Duration, now: Instant) -> bool {
        !self.is_over() && self.done.count() != self.told && self.is_silent(age, now)
    }

    /// Whether the log has not heard of the entry for this long.
    pub(super) fn is_silent(&self, age: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.told_at) >= age
    }

    /// The log heard of the entry by a call that began then, and knows so many marks.
    pub(super) fn mark_told(&mut self, marks: Option<u64>, at: Instant) {
        self.told = marks.unwrap_or(self.told);
        self.told_at = self.told_at.max(at);
    }
}

/// What to do with a message that goes on alone because its entry was delivered before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alone {
    /// Its handler runs, as this attempt.
    Try(u32),
    /// Its handler ended its process so many times.
    GiveUp(u32),
}

/// `tried` is the last attempt that was recorded of the entry, `base` the attempt as which the entry
/// brought the message.
///
/// Only the message that was being tried alone is charged with the end of its process. Of the others
/// nobody knows whether they had begun: that the entry was delivered counts as one attempt, but never
/// as the last one, so that none is buried which was not seen to end a process.
pub(super) fn next_attempt(tried: Option<Attempt>, index: u32, base: u32, max: u32) -> Alone {
    match tried {
        Some(tried) if tried.index == index && tried.number >= max => Alone::GiveUp(tried.number),
        Some(tried) if tried.index == index => Alone::Try(tried.number.saturating_add(1)),
        _ => Alone::Try(base.saturating_add(1).min(max)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_totals_go_together() {
        let now = Instant::now();
        let mut account = Account::new(3, Recorded::default(), now);
        for (index, disposal) in [(2, Disposal::Handled), (0, Disposal::Dead)] {
            assert!(!account.finish(index, disposal));
            let progress = account.progress(EntryId::MIN);
            assert_eq!(progress.done.count(), progress.totals.sum());
        }
        assert!(account.is_done(0) && !account.is_done(1));
        assert!(account.finish(1, Disposal::Expired));
        let totals = account.totals();
        assert_eq!((totals.handled, totals.dead, totals.expired), (1, 1, 1));
    }

    #[test]
    fn news_are_told_once_and_silence_is_measured_from_the_last_word() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let mut account = Account::new(2, Recorded::default(), now);
        assert!(!account.has_news(Duration::ZERO, now));
        account.finish(0, Disposal::Handled);
        assert!(!account.has_news(second, now), "too young");
        assert!(account.has_news(second, now + second));
        account.mark_told(Some(1), now + second);
        assert!(!account.has_news(Duration::ZERO, now + second));
        assert!(!account.is_silent(second * 5, now + second * 5));
        assert!(account.is_silent(second * 5, now + second * 6));
        account.mark_told(None, now + second * 6);
        account.finish(1, Disposal::Handled);
        assert!(!account.has_news(Duration::ZERO, now + second * 9), "it will be settled");
    }

    #[test]
    fn only_the_message_that_was_tried_is_charged() {
        let tried = |index, number| Some(Attempt { index, number });
        assert_eq!(next_attempt(None, 0, 1, 5), Alone::Try(2));
        assert_eq!(next_attempt(tried(0, 2), 0, 1, 5), Alone::Try(3));
        assert_eq!(next_attempt(tried(0, 4), 0, 1, 5), Alone::Try(5));
        assert_eq!(next_attempt(tried(0, 5), 0, 1, 5), Alone::GiveUp(5));
        assert_eq!(next_attempt(tried(0, 5), 1, 1, 5), Alone::Try(2), "a neighbour");
        assert_eq!(next_attempt(None, 0, 5, 5), Alone::Try(5), "it may not have begun");
        assert_eq!(next_attempt(tried(0, 1), 0, 1, 1), Alone::GiveUp(1));
    }
}
