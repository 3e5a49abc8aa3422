//! What a process uses, and how long single asks took.

use std::{fs, str::FromStr, time::Duration};

use super::Result;

/// Processor time and memory of a process.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Processor time so far.
    pub cpu: Duration,
    /// Bytes of memory that are resident.
    pub resident: u64,
}

impl Usage {
    /// That of this process.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn here() -> Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next());
        let kilobytes: u64 = kilobytes.ok_or("no VmRSS in /proc/self/status")?.parse()?;
        Ok(Self { cpu: used_here(), resident: kilobytes * 1024 })
    }

    /// As the answer to an order; [`FromStr`] reads it.
    pub fn answer(self) -> String {
        format!("{} {}", self.cpu.as_nanos(), self.resident)
    }
}

impl FromStr for Usage {
    type Err = Box<dyn std::error::Error + Send + Sync>;

    fn from_str(answer: &str) -> Result<Self> {
        let (nanos, bytes) = answer.split_once(' ').ok_or("two numbers")?;
        Ok(Self { cpu: Duration::from_nanos(nanos.parse()?), resident: bytes.parse()? })
    }
}

/// Processor time of this process so far.
pub fn used_here() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).expect("a process does not run backwards");
    Duration::new(seconds, u32::try_from(time.tv_nsec).expect("less than a second"))
}

/// The middle one of latencies, which it sorts; nothing of none.
pub fn middle(latencies: &mut [Duration]) -> Option<Duration> {
    latencies.sort_unstable();
    latencies.get(latencies.len() / 2).copied()
}
