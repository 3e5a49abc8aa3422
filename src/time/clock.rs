use std::{
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use crossbeam::utils::CachePadded;
use tokio::{sync::Notify, time::Instant};

/// How often the coarse clock moves while somebody looks at it.
pub(crate) const TICK: Duration = Duration::from_millis(2);
/// The coarse clock while it stands still.
const STANDING: u64 = 0;
/// Ticks without a look after which the coarse clock stops, so that an idle process sleeps.
const IDLE_TICKS: u32 = 100;

/// Nanoseconds since an hour before the first clock of the process was made, in two qualities. All clocks
/// of a process count from there: an actor may wait for one of another system.
///
/// [`now`](Self::now) reads the processor's counter (some 10 ns). [`coarse`](Self::coarse) reads a
/// word that a task on the I/O thread sets every [`TICK`] (some 1 ns): it is late by up to a tick,
/// and never ahead.
#[derive(Debug)]
pub(crate) struct Clock {
    source: Source,
    coarse: CachePadded<AtomicU64>,
    /// Somebody looked since the last tick.
    looked: CachePadded<AtomicBool>,
    /// The coarse clock stands and is to go.
    wanted: Notify,
}

enum Source {
    /// The processor's counter.
    Counter {
        clock: quanta::Clock,
        start: quanta::Instant,
        /// How long after the first clock it was made.
        offset: u64,
    },
    /// Tokio's clock, which tests pause and move. Every reading is exact.
    Tokio { start: Instant, real: std::time::Instant },
}

impl Clock {
    /// The clock of a process.
    pub(crate) fn new() -> Self {
        let clock = quanta::Clock::new();
        let start = clock.now();
        let offset = nanoseconds(base().elapsed());
        Self::from_source(Source::Counter { clock, start, offset })
    }

    /// A clock that goes with tokio's.
    pub(crate) fn of_tokio() -> Self {
        let real = base();
        Self::from_source(Source::Tokio { start: Instant::from_std(real), real })
    }

    fn from_source(source: Source) -> Self {
        Self {
            source,
            coarse: CachePadded::new(AtomicU64::new(STANDING)),
            looked: CachePadded::new(AtomicBool::new(false)),
            wanted: Notify::new(),
        }
    }

    /// The exact time.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        let elapsed = match &self.source {
            Source::Counter { clock, start, offset } => {
                nanoseconds(clock.now().duration_since(*start)) + offset
            }
            Source::Tokio { start, .. } => {
                let now = Instant::now();
                // A clock that stands may stand at a time before the first clock was made.
                return AHEAD + nanoseconds(now.saturating_duration_since(*start))
                    - nanoseconds(start.saturating_duration_since(now)).min(AHEAD - 1);
            }
        };
        AHEAD + elapsed
    }

    /// The time, late by up to a tick.
    #[inline]
    pub(crate) fn coarse(&self) -> u64 {
        match self.coarse.load(Ordering::Relaxed) {
            STANDING => self.set_going(),
            now => now,
        }
    }

    /// The time that passes for whoever looks how long something takes: the coarse clock, and where
    /// tests move the clock the one that they can't move.
    #[inline]
    pub(crate) fn watch(&self) -> u64 {
        match self.coarse.load(Ordering::Relaxed) {
            STANDING => self.watch_set_going(),
            now => now,
        }
    }

    #[cold]
    fn watch_set_going(&self) -> u64 {
        match &self.source {
            Source::Counter { .. } => self.set_going(),
            Source::Tokio { real, .. } => nanoseconds(real.elapsed()) + 1,
        }
    }

    /// Whether readings of the coarse clock are exact.
    pub(crate) fn is_exact(&self) -> bool {
        matches!(self.source, Source::Tokio { .. })
    }

    /// Keeps the coarse clock going. Cheap when it is called often.
    #[inline]
    pub(crate) fn look(&self) {
        if !self.looked.load(Ordering::Relaxed) {
            self.looked.store(true, Ordering::Relaxed);
        }
    }

    #[cold]
    fn set_going(&self) -> u64 {
        let now = self.now();
        if !self.is_exact() {
            self.coarse.store(now, Ordering::Relaxed);
            self.look();
            self.wanted.notify_one();
        }
        now
    }

    /// Moves the coarse clock. False when it stands because nobody looked for a while.
    pub(super) fn tick(&self, idle: &mut u32) -> bool {
        if self.coarse.load(Ordering::Relaxed) == STANDING {
            return false;
        }
        *idle = if self.looked.swap(false, Ordering::Relaxed) { 0 } else { *idle + 1 };
        let goes_on = *idle < IDLE_TICKS;
        self.coarse.store(if goes_on { self.now() } else { STANDING }, Ordering::Relaxed);
        goes_on
    }

    /// Waits until the coarse clock is to go.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Ends [`wanted`](Self::wanted).
    pub(super) fn wake(&self) {
        self.wanted.notify_one();
    }
}

/// What all clocks are ahead of their start: an hour, so that none reads zero.
const AHEAD: u64 = 3_600_000_000_000;

/// When the first clock of the process was made.
fn base() -> std::time::Instant {
    static BASE: OnceLock<std::time::Instant> = OnceLock::new();
    *BASE.get_or_init(std::time::Instant::now)
}

/// As many nanoseconds as fit; 584 years do.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 2)
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter { .. } => "Counter",
            Self::Tokio { .. } => "Tokio",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_clocks_of_a_process_tell_the_same_time() {
        let first = Clock::new();
        std::thread::sleep(Duration::from_millis(30));
        // A calibration is not exact; clocks with starts of their own would be far apart.
        let slack = 2_000_000;
        for other in [Clock::new(), Clock::of_tokio()] {
            let (before, between, after) = (first.now(), other.now(), first.now());
            assert!(before < between + slack && between < after + slack);
        }
    }
}
