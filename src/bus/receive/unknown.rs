//! Messages that this process does not know, in a service whose processes are not all of one version.
//! Pure.

use std::{sync::Arc, time::Duration};

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::{bus::membership::Listing, error::FailureKind};

/// How many of them are remembered at a time. With more the others wait until some are over.
const NOTES_MAX: usize = 1024;
/// How often it is looked for those that are over, when there are too many.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// What is remembered of a message counts only if it was looked at again within this time: a postponed
/// one comes back sooner.
const GAP_MAX: Duration = Duration::from_secs(5);
/// How far ahead of the log's clock, as it is known here, a message may have been stored.
const AHEAD_MS_MAX: u64 = 60_000;

/// Since when nobody who is alive has taken certain messages, as far as this process knows.
#[derive(Debug, Default)]
pub(super) struct Unknown {
    notes: FxHashMap<(Arc<str>, u32), Note>,
    swept: Option<Instant>,
}

/// Each look from `since` to `last` showed nobody.
#[derive(Debug, Clone, Copy)]
struct Note {
    since: Instant,
    last: Instant,
}

/// Whether it says that a message is not known here, as opposed to one that can't be read.
pub(super) fn is_unknown(kind: &FailureKind) -> bool {
    matches!(kind, FailureKind::VersionUnknown { .. } | FailureKind::NotHandled { .. })
}

/// How old a message is that was stored first at that time, on the log's clock. What claims to come
/// from far ahead is as old as can be: it would else wait for ever.
pub(super) fn age(origin_ms: u64, now_ms: u64) -> Duration {
    match now_ms.checked_sub(origin_ms) {
        Some(age) => Duration::from_millis(age),
        // The clock is sampled, and may be behind.
        None if origin_ms - now_ms <= AHEAD_MS_MAX => Duration::ZERO,
        None => Duration::MAX,
    }
}

impl Unknown {
    /// Whether the wait for somebody who takes this message is over. It lasts until a message of this
    /// age has been there for `grace`, and nobody was seen for as long: what the directory shows here
    /// may be older than what the sender saw there.
    pub(super) fn is_waited_for(
        &mut self,
        message: &(Arc<str>, u32),
        age: Duration,
        listing: Listing,
        grace: Duration,
        now: Instant,
    ) -> bool {
        let Listing::Nobody { lag } = listing else {
            self.notes.remove(message);
            return true;
        };
        if !self.notes.contains_key(message) && !self.has_room(now) {
            return true;
        }
        let note = self.notes.entry(message.clone()).or_insert(Note { since: now, last: now });
        if now.saturating_duration_since(note.last) > GAP_MAX {
            note.since = now;
        }
        note.last = now;
        let wait = grace.max(lag);
        age < wait || now.saturating_duration_since(note.since) < wait
    }

    /// Whether one more can be remembered. Those that nobody looks at any more make room: forgetting
    /// others would begin their wait anew, again and again.
    fn has_room(&mut self, now: Instant) -> bool {
        let is_due = |swept| now.saturating_duration_since(swept) >= SWEEP_EVERY;
        if self.notes.len() >= NOTES_MAX && self.swept.is_none_or(is_due) {
            self.swept = Some(now);
            self.notes.retain(|_, note| now.saturating_duration_since(note.last) <= GAP_MAX);
        }
        self.notes.len() < NOTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const GRACE: Duration = Duration::from_secs(10);
    const NOBODY: Listing = Listing::Nobody { lag: SECOND };

    fn add() -> (Arc<str>, u32) {
        ("Add".into(), 2)
    }

    #[test]
    fn a_message_waits_for_the_grace_and_no_longer() {
        let (mut unknown, began) = (Unknown::default(), Instant::now());
        for second in 0..10 {
            let now = began + SECOND * second;
            assert!(unknown.is_waited_for(&add(), SECOND * second, NOBODY, GRACE, now), "{second}");
        }
        assert!(!unknown.is_waited_for(&add(), GRACE, NOBODY, GRACE, began + GRACE));
        assert!(unknown.is_waited_for(&add(), SECOND, NOBODY, GRACE, began + GRACE), "a new one");
        let slow = Listing::Nobody { lag: GRACE * 2 };
        assert!(unknown.is_waited_for(&add(), GRACE, slow, GRACE, began + GRACE), "an old view");
    }

    #[test]
    fn an_old_message_waits_too_and_who_comes_ends_the_count() {
        let (mut unknown, began) = (Unknown::default(), Instant::now());
        let old = GRACE * 100;
        let at = |second: u32| began + SECOND * second;
        assert!(unknown.is_waited_for(&add(), old, NOBODY, GRACE, at(0)));
        assert!(unknown.is_waited_for(&add(), old, Listing::Possible, GRACE, at(4)));
        assert!(unknown.is_waited_for(&add(), old, NOBODY, GRACE, at(8)));
        assert!(unknown.is_waited_for(&add(), old, NOBODY, GRACE, at(12)), "counted from 8");
        assert!(unknown.is_waited_for(&add(), old, NOBODY, GRACE, at(30)), "nobody looked since");
        for second in [33, 36, 39] {
            assert!(unknown.is_waited_for(&add(), old, NOBODY, GRACE, at(second)));
        }
        assert!(!unknown.is_waited_for(&add(), old, NOBODY, GRACE, at(40)));
    }

    #[test]
    fn what_claims_to_come_from_far_ahead_does_not_wait_for_ever() {
        assert_eq!(age(1_000, 3_000), SECOND * 2);
        assert_eq!(age(3_000, 1_000), Duration::ZERO);
        assert_eq!(age(u64::MAX, 1_000), Duration::MAX);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_yet_each_wait_ends() {
        let (mut unknown, began) = (Unknown::default(), Instant::now());
        let mut waiting: Vec<u32> = (0..5000).collect();
        for second in 0..90 {
            let now = began + SECOND * second;
            waiting.retain(|version| {
                let message = ("Add".into(), *version);
                unknown.is_waited_for(&message, GRACE, NOBODY, GRACE, now)
            });
            assert!(unknown.notes.len() <= NOTES_MAX);
        }
        assert!(waiting.is_empty(), "five times as many as are remembered: five times the wait");
    }
}
