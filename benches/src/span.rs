//! The measured part of a workload, without its warm-up.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use stats_alloc::Stats;

/// Reads the allocator's counters in a program that counts.
static COUNTERS: OnceLock<fn() -> Stats> = OnceLock::new();

/// Makes spans count allocations too.
pub fn count_allocations(counters: fn() -> Stats) {
    COUNTERS.set(counters).expect("set once, at the start of the program");
}

fn counters() -> Stats {
    COUNTERS.get().map_or_else(Stats::default, |read| read())
}

/// A span that has begun.
#[derive(Debug)]
pub struct Span {
    counted: Stats,
    began: Instant,
}

impl Span {
    /// Begins a span.
    pub fn begin() -> Self {
        let counted = counters();
        Self { counted, began: Instant::now() }
    }

    /// Ends it.
    pub fn end(self) -> Sample {
        let elapsed = self.began.elapsed();
        let counted = counters() - self.counted;
        let freed = counted.bytes_deallocated as i64;
        Sample {
            elapsed,
            allocations: (counted.allocations + counted.reallocations) as u64,
            bytes: counted.bytes_allocated as i64 - freed + counted.bytes_reallocated as i64,
        }
    }
}

/// What a span took.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Wall-clock time.
    pub elapsed: Duration,
    /// Allocations and reallocations of the whole process; zero when nothing counts.
    pub allocations: u64,
    /// Bytes that were allocated and not freed; zero when nothing counts.
    pub bytes: i64,
}
