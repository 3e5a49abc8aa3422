//! How fast a replay goes. Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::LettersError;

/// Messages per second of a replay that names no rate.
pub const REPLAY_RATE_DEFAULT: u32 = 1000;
/// The highest rate of a replay, in messages per second.
pub const REPLAY_RATE_MAX: u32 = 100_000;
/// How many steps there are in a second, where the rate allows it.
const STEPS_PER_SECOND: u32 = 20;
/// The most messages of a step, so that the log is not held up.
const STEP_MAX: u32 = 256;

/// Admits steps so that in no span of time more messages go than the rate allows, and one step. Time
/// that was lost is not made up for.
#[derive(Debug)]
pub(super) struct Pace {
    rate: u32,
    /// When the next step may go.
    next: Option<Instant>,
}

impl Pace {
    pub(super) fn new(rate: u32) -> Result<Self, LettersError> {
        if (1..=REPLAY_RATE_MAX).contains(&rate) {
            return Ok(Self { rate, next: None });
        }
        let reason = format!("{rate} messages per second: give 1 to {REPLAY_RATE_MAX}");
        Err(LettersError::Bound { setting: "the rate of a replay", reason })
    }

    /// The most messages of one step.
    pub(super) fn step(&self) -> u64 {
        u64::from((self.rate / STEPS_PER_SECOND).clamp(1, STEP_MAX))
    }

    /// When a step of so many messages may go.
    pub(super) fn admit(&mut self, messages: u64, now: Instant) -> Instant {
        let at = self.next.map_or(now, |next| next.max(now));
        self.next = Some(at + self.span(messages));
        at
    }

    /// So many messages of the last step did not go.
    pub(super) fn give_back(&mut self, messages: u64) {
        let span = self.span(messages);
        self.next = self.next.map(|next| next.checked_sub(span).unwrap_or(next));
    }

    fn span(&self, messages: u64) -> Duration {
        Duration::from_nanos(messages.saturating_mul(1_000_000_000) / u64::from(self.rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_and_lost_time_is_not_made_up_for() {
        let start = Instant::now();
        let mut pace = Pace::new(100).expect("a rate");
        assert_eq!(pace.step(), 5);
        let mut now = start;
        for step in 0..20 {
            now = pace.admit(5, now);
            assert_eq!(now - start, Duration::from_millis(50) * step);
        }
        let late = now + Duration::from_secs(10);
        assert_eq!(pace.admit(5, late), late);
        assert_eq!(pace.admit(5, late), late + Duration::from_millis(50));
        pace.give_back(5);
        assert_eq!(pace.admit(1, late), late + Duration::from_millis(50));
    }

    #[test]
    fn steps_are_bounded_and_rates_too() {
        let step = |rate| Pace::new(rate).expect("a rate").step();
        assert_eq!((step(1), step(20), step(1000), step(REPLAY_RATE_MAX)), (1, 1, 50, 256));
        for bad in [0, REPLAY_RATE_MAX + 1] {
            assert!(Pace::new(bad).expect_err("out of bounds").to_string().contains("give 1 to"));
        }
    }
}
