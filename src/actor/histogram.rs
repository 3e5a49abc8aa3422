use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// Buckets: the n-th counts times from 2^n nanoseconds to twice that.
const BUCKETS: usize = 40;

/// How long handlers took, in powers of two of nanoseconds. One thread records, any may read.
#[derive(Debug)]
pub(crate) struct Histogram([AtomicU32; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU32::new(0)))
    }
}

impl Histogram {
    pub(super) fn record(&self, nanoseconds: u64) {
        let at = (63 - nanoseconds.max(1).leading_zeros()) as usize;
        self.0[at.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
    }

    /// Upper bound and count of each bucket that holds something, in order.
    pub(crate) fn buckets(&self) -> Vec<(Duration, u32)> {
        let counts = self.0.iter().enumerate();
        let counts = counts
            .map(|(at, count)| (Duration::from_nanos(2 << at), count.load(Ordering::Relaxed)));
        counts.filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_in_powers_of_two() {
        let histogram = Histogram::default();
        for nanoseconds in [0, 1, 2, 3, 1000, 1023, 1024, u64::MAX] {
            histogram.record(nanoseconds);
        }
        let buckets: Vec<_> =
            histogram.buckets().iter().map(|(to, count)| (to.as_nanos(), *count)).collect();
        assert_eq!(buckets, [(2, 2), (4, 2), (1024, 2), (2048, 1), (1 << 40, 1)]);
    }
}
