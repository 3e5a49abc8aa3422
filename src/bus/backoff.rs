//! Full-jitter exponential backoff.
//! (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.)

use std::time::Duration;

/// A span between the attempts of something that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The largest wait after the first failure.
    pub base: Duration,
    /// The largest wait ever.
    pub cap: Duration,
}

impl Backoff {
    /// The wait after this many failures (from 1): anything up to `base * 2^(failures - 1)`, at most
    /// `cap`, picked evenly by `random` in 0..1.
    pub fn wait(&self, failures: u32, random: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let ceiling = self.base.saturating_mul(1 << doublings).min(self.cap);
        ceiling.mul_f64(random.clamp(0.0, 1.0))
    }

    /// The same with a random number of its own.
    pub fn jittered(&self, failures: u32) -> Duration {
        self.wait(failures, fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap() {
        let backoff = Backoff { base: Duration::from_millis(100), cap: Duration::from_secs(30) };
        assert_eq!(backoff.wait(1, 1.0), Duration::from_millis(100));
        assert_eq!(backoff.wait(3, 1.0), Duration::from_millis(400));
        assert_eq!(backoff.wait(3, 0.5), Duration::from_millis(200));
        assert_eq!(backoff.wait(u32::MAX, 1.0), Duration::from_secs(30));
        assert_eq!(backoff.wait(5, 0.0), Duration::ZERO);
    }
}
