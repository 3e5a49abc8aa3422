//! What one run of one line came to.

use std::time::Duration;

/// Processor time of the two processes and of Redis.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu {
    /// Of the process that calls.
    pub caller: Duration,
    /// Of the process that is called.
    pub callee: Duration,
    /// Of Redis.
    pub redis: Duration,
}

impl Cpu {
    /// What was used since an earlier reading.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            caller: self.caller.saturating_sub(earlier.caller),
            callee: self.callee.saturating_sub(earlier.callee),
            redis: self.redis.saturating_sub(earlier.redis),
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

/// One run of one line.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// How many messages or asks it had.
    pub messages: u64,
    /// What was timed.
    pub timed: Timed,
    /// What it used.
    pub cpu: Cpu,
}

impl Sample {
    /// Messages or asks a second.
    pub fn rate(&self) -> f64 {
        self.messages as f64 / self.timed.elapsed.as_secs_f64()
    }

    /// Processor time of one message in microseconds.
    pub fn micros_each(&self, used: Duration) -> f64 {
        used.as_secs_f64() * 1e6 / self.messages as f64
    }
}

/// The middle one of latencies, which it sorts; nothing of none.
pub fn middle(latencies: &mut [Duration]) -> Option<Duration> {
    latencies.sort_unstable();
    latencies.get(latencies.len() / 2).copied()
}

/// Processor time of this process so far.
pub fn used_here() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).expect("a process does not run backwards");
    Duration::new(seconds, u32::try_from(time.tv_nsec).expect("less than a second"))
}
