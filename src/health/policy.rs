use std::time::Duration;

/// How often the instances of a service are looked at, and how many times in a row something must be
/// found before it counts.
///
/// # Examples
/// ```
/// use callboard::{health::HealthPolicy, prelude::*};
///
/// let policy = HealthPolicy::new().interval(Duration::from_secs(10)).timeout(Duration::from_secs(3));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthPolicy {
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    pub(super) rise: u32,
    pub(super) fall: u32,
    pub(super) hung: Duration,
}

/// A policy out of bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("health policy: {0}")]
pub(crate) struct PolicyError(String);

const INTERVAL: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3600));
const IN_A_ROW_MAX: u32 = 100;

impl HealthPolicy {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            rise: 2,
            fall: 3,
            hung: Duration::from_secs(60),
        }
    }

    /// The time from one look to the next: 100 ms to 1 h, 2 s by default. A tenth more or less, at
    /// random, so that processes that started together don't look together.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How long a check or a ping may take: less than the interval, 1 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many good looks in a row bring an instance one state up: 1 to 100, 2 by default.
    pub fn rise(mut self, looks: u32) -> Self {
        self.rise = looks;
        self
    }

    /// How many bad looks in a row bring an instance one state down: 1 to 100, 3 by default.
    pub fn fall(mut self, looks: u32) -> Self {
        self.fall = looks;
        self
    }

    /// After how long in one handler an instance that answers no ping counts as failed and not only as
    /// slow: at least the interval, 60 s by default.
    pub fn hung(mut self, hung: Duration) -> Self {
        self.hung = hung;
        self
    }

    pub(crate) fn check(&self) -> Result<(), PolicyError> {
        let refuse = |text: String| Err(PolicyError(text));
        if !(INTERVAL.0..=INTERVAL.1).contains(&self.interval) {
            return refuse(format!("interval({:?}): give 100 ms to 1 h", self.interval));
        }
        if self.timeout.is_zero() || self.timeout >= self.interval {
            return refuse(format!(
                "timeout({:?}): give less than the interval, which is {:?}",
                self.timeout, self.interval
            ));
        }
        for (what, looks) in [("rise", self.rise), ("fall", self.fall)] {
            if !(1..=IN_A_ROW_MAX).contains(&looks) {
                return refuse(format!("{what}({looks}): give 1 to {IN_A_ROW_MAX}"));
            }
        }
        if self.hung < self.interval {
            return refuse(format!(
                "hung({:?}): give at least the interval, which is {:?}",
                self.hung, self.interval
            ));
        }
        Ok(())
    }
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_by_its_name() {
        let second = Duration::from_secs(1);
        let policy = HealthPolicy::new;
        policy().check().expect("the defaults");
        for (bad, name) in [
            (policy().interval(Duration::from_millis(99)), "interval"),
            (policy().interval(second * 3601), "interval"),
            (policy().timeout(second * 2), "timeout"),
            (policy().timeout(Duration::ZERO), "timeout"),
            (policy().rise(0), "rise"),
            (policy().fall(101), "fall"),
            (policy().hung(second), "hung"),
        ] {
            let error = bad.check().expect_err(name).to_string();
            assert!(error.starts_with(&format!("health policy: {name}(")), "{error}");
        }
    }
}
