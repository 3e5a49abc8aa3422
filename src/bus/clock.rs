//! The log's clock, as it is known here: sampled now and then, carried on by the own clock between.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How often the log is asked for its time.
pub(crate) const SAMPLE_EVERY: Duration = Duration::from_secs(10);

/// A reading of the log's clock.
#[derive(Debug)]
pub(crate) struct LogClock(Mutex<Sample>);

#[derive(Debug, Clone, Copy)]
struct Sample {
    log_ms: u64,
    at: Instant,
}

impl LogClock {
    pub(crate) fn new(log_ms: u64, at: Instant) -> Self {
        Self(Mutex::new(Sample { log_ms, at }))
    }

    /// Takes a new reading.
    pub(crate) fn sample(&self, log_ms: u64, at: Instant) {
        *self.0.lock() = Sample { log_ms, at };
    }

    /// The log's time at this moment, in milliseconds.
    pub(crate) fn log_ms(&self, now: Instant) -> u64 {
        let sample = *self.0.lock();
        let since = now.saturating_duration_since(sample.at).as_millis();
        sample.log_ms.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }

    /// The own clock's moment for a time of the log; now for one that has passed.
    pub(crate) fn instant(&self, log_ms: u64, now: Instant) -> Instant {
        let ahead = log_ms.saturating_sub(self.log_ms(now));
        // Far ahead is never: a century keeps the sum in bounds.
        now + Duration::from_millis(ahead).min(Duration::from_secs(3_155_760_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_between_samples_and_follows_them() {
        let now = Instant::now();
        let clock = LogClock::new(1_000, now);
        let later = now + Duration::from_secs(2);
        assert_eq!(clock.log_ms(later), 3_000);
        assert_eq!(clock.instant(3_500, later), later + Duration::from_millis(500));
        assert_eq!(clock.instant(10, later), later);
        clock.sample(9_000, later);
        assert_eq!(clock.log_ms(later), 9_000);
        assert!(clock.instant(u64::MAX, later) > later);
    }
}
