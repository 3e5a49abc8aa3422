//! Time as the framework uses it: one clock that tests can pause, deadlines that cost an ask little,
//! and durations as people write them.
//!
//! Owns [`Clock`] (what time it is), [`Timer`] (who wakes whom when) and [`Deadline`] (how long one
//! future waits). Timers never run on an arbiter that hosts user actors: a handler that blocks its
//! thread would hold up the deadlines of all others.

mod clock;
mod deadline;
mod duration;
mod timer;
mod wheel;

pub(crate) use clock::Clock;
pub(crate) use deadline::Deadline;
pub use duration::{DurationError, parse_duration};
pub(crate) use timer::{Registration, Timer};

/// The wall clock in milliseconds of Unix time, for what people read; 0 before 1970.
pub(crate) fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
