use std::time::Duration;

/// Exponential backoff with full jitter: the n-th wait is drawn evenly from zero to
/// `min(longest, shortest * 2^n)`, which spreads the restarts of many actors best.
///
/// Source: M. Brooker, "Exponential Backoff And Jitter", 2015.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    shortest: Duration,
    longest: Duration,
    attempt: u32,
}

impl Backoff {
    pub(crate) fn new(shortest: Duration, longest: Duration) -> Self {
        Self { shortest, longest: longest.max(shortest), attempt: 0 }
    }

    /// The next wait; `random` is drawn from 0..1.
    pub(crate) fn next(&mut self, random: f64) -> Duration {
        let factor = 1u32.checked_shl(self.attempt.min(31)).unwrap_or(u32::MAX);
        self.attempt = self.attempt.saturating_add(1);
        let ceiling = self.shortest.saturating_mul(factor).min(self.longest);
        ceiling.mul_f64(random.clamp(0.0, 1.0))
    }

    /// Starts over, after a calm period.
    pub(crate) fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_the_longest() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let waits: Vec<_> = (0..6).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
        backoff.reset();
        assert_eq!(backoff.next(1.0).as_millis(), 100);
    }

    #[test]
    fn jitter_is_full() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        assert_eq!(backoff.next(0.0), Duration::ZERO);
    }

    #[test]
    fn many_attempts_do_not_overflow() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        for _ in 0..1000 {
            assert!(backoff.next(1.0) <= Duration::from_secs(60));
        }
    }
}
