//! What one run of one line came to.

use std::time::Duration;

use super::shared::usage::Usage;

/// What the two processes and Redis use, as far as they belong to a line.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    /// The process that calls.
    pub caller: Option<Usage>,
    /// The process that is called.
    pub callee: Option<Usage>,
    /// Redis.
    pub redis: Option<Usage>,
}

impl Used {
    /// The processor time since an earlier reading; memory is as it is now.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        let since = |now: Option<Usage>, earlier: Option<Usage>| {
            let (now, earlier) = (now?, earlier?);
            Some(Usage { cpu: now.cpu.saturating_sub(earlier.cpu), ..now })
        };
        Self {
            caller: since(self.caller, earlier.caller),
            callee: since(self.callee, earlier.callee),
            redis: since(self.redis, earlier.redis),
        }
    }
}

/// What was timed, without what the processes used.
#[derive(Debug, Clone, Copy)]
pub struct Timed {
    /// From the first send to the last message handled, or to the last answer.
    pub elapsed: Duration,
    /// The middle one of the single latencies, where they were taken.
    pub middle: Option<Duration>,
    /// Messages of a frame, where there are frames.
    pub per_frame: Option<f64>,
}

impl Timed {
    /// Of messages that are neither timed one by one nor in frames.
    pub fn whole(elapsed: Duration) -> Self {
        Self { elapsed, middle: None, per_frame: None }
    }
}

/// One run of one line.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// How many messages or asks it had.
    pub messages: u64,
    /// What was timed.
    pub timed: Timed,
    /// What it used.
    pub used: Used,
}

impl Sample {
    /// Messages or asks a second.
    pub fn rate(&self) -> f64 {
        self.messages as f64 / self.timed.elapsed.as_secs_f64()
    }

    /// Processor time of one message in microseconds.
    pub fn micros_each(&self, used: Usage) -> f64 {
        used.cpu.as_secs_f64() * 1e6 / self.messages as f64
    }
}
