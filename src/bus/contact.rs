//! Whether the log can be heard by this process without a gap. Pure.
//!
//! Idle clocks run on while the log is stopped, or cut off from everybody: after that each entry looks
//! abandoned, though its owner only could not touch it. Whoever was cut off itself can't tell the one
//! from the other and takes nothing over until owners had the time to say that they live.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Longer than any wait between two calls that are answered.
const GAP_MAX: Duration = Duration::from_secs(6);
/// How long the log must have been heard: twice as long as an owner may wait with a touch.
const STEADY: Duration = Duration::from_secs(10);
/// What a start counts for: owners have as long as a new process needs to be known.
const STARTED: Duration = Duration::from_secs(5);

/// When the log answered.
#[derive(Debug)]
pub(crate) struct Contact(Mutex<Heard>);

#[derive(Debug, Clone, Copy)]
struct Heard {
    last: Instant,
    since: Instant,
}

impl Contact {
    pub(crate) fn new(now: Instant) -> Self {
        let since = now.checked_sub(STEADY - STARTED).unwrap_or(now);
        Self(Mutex::new(Heard { last: now, since }))
    }

    /// The log answered a call.
    pub(crate) fn heard(&self, now: Instant) {
        let mut heard = self.0.lock();
        if now.saturating_duration_since(heard.last) > GAP_MAX {
            heard.since = now;
        }
        heard.last = now;
    }

    /// Whether it has not answered for so long.
    pub(crate) fn is_quiet(&self, span: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.0.lock().last) >= span
    }

    /// Whether what nobody touched was left by its owner, rather than by the log.
    pub(crate) fn is_steady(&self, now: Instant) -> bool {
        let heard = *self.0.lock();
        now.saturating_duration_since(heard.last) <= GAP_MAX
            && now.saturating_duration_since(heard.since) >= STEADY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_gap_owners_get_time_to_touch() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let contact = Contact::new(start);
        assert!(!contact.is_steady(at(4)));
        (1..=10).for_each(|second| contact.heard(at(second)));
        assert!(contact.is_steady(at(10)));
        assert!(!contact.is_steady(at(17)), "it has not answered for long");
        contact.heard(at(40));
        (41..=49).for_each(|second| contact.heard(at(second)));
        assert!(!contact.is_steady(at(49)));
        contact.heard(at(50));
        assert!(contact.is_steady(at(50)));
    }
}
