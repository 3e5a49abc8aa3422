use std::time::Duration;

use serde::Serialize;

use super::seconds;

/// How long handlers took, from begin to end, awaits included.
///
/// One handler in 64 is timed; the first is the 64th of an incarnation. Timers count with neither.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HistogramReport {
    /// Handlers that were timed.
    pub count: u64,
    /// Half of them took less than this; in seconds when serialized, as all times here. An upper
    /// bound: up to twice the true figure.
    #[serde(serialize_with = "seconds::optional")]
    pub p50: Option<Duration>,
    /// 99 in 100 of them took less than this.
    #[serde(serialize_with = "seconds::optional")]
    pub p99: Option<Duration>,
    /// Those that hold something, by time. Bounds are powers of two of nanoseconds.
    pub buckets: Vec<Bucket>,
}

/// The handlers that took less than `below` and not less than half of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Bucket {
    /// The upper bound.
    #[serde(serialize_with = "seconds::serialize")]
    pub below: Duration,
    /// How many.
    pub count: u64,
}

impl HistogramReport {
    /// Of bounds and counts in order.
    pub(super) fn new(buckets: impl IntoIterator<Item = (Duration, u64)>) -> Self {
        let buckets: Vec<_> = buckets
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(below, count)| Bucket { below, count })
            .collect();
        let count = buckets.iter().map(|bucket| bucket.count).sum();
        let (p50, p99) = (quantile(&buckets, count, 50), quantile(&buckets, count, 99));
        Self { count, p50, p99, buckets }
    }

    /// What was timed since that one.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let before = |below| {
            let bucket = earlier.buckets.iter().find(|bucket| bucket.below == below);
            bucket.map_or(0, |bucket| bucket.count)
        };
        Self::new(
            self.buckets
                .iter()
                .map(|Bucket { below, count }| (*below, count.saturating_sub(before(*below)))),
        )
    }
}

/// The bound below which so many of a hundred are.
fn quantile(buckets: &[Bucket], count: u64, percent: u64) -> Option<Duration> {
    let rank = (count * percent).div_ceil(100);
    let mut seen = 0;
    let bucket = buckets.iter().find(|bucket| {
        seen += bucket.count;
        seen >= rank
    });
    bucket.map(|bucket| bucket.below)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(buckets: &[(u64, u64)]) -> HistogramReport {
        HistogramReport::new(
            buckets.iter().map(|(below, count)| (Duration::from_nanos(*below), *count)),
        )
    }

    fn quantiles(buckets: &[(u64, u64)]) -> (u64, u128, u128) {
        let HistogramReport { count, p50, p99, .. } = histogram(buckets);
        let bound = |time: Option<Duration>| time.expect("it holds something").as_nanos();
        (count, bound(p50), bound(p99))
    }

    #[test]
    fn quantiles_are_bounds_of_buckets() {
        assert_eq!(quantiles(&[(8, 1)]), (1, 8, 8));
        assert_eq!(quantiles(&[(8, 50), (16, 49), (32, 1)]), (100, 8, 16));
        assert_eq!(quantiles(&[(8, 49), (16, 49), (32, 2)]), (100, 16, 32));
        assert_eq!(quantiles(&[(8, 1), (1024, 1)]), (2, 8, 1024));
    }

    #[test]
    fn one_that_holds_nothing_has_no_quantiles() {
        assert_eq!(histogram(&[]), HistogramReport::default());
        assert_eq!(histogram(&[(8, 0)]).p50, None);
    }

    #[test]
    fn what_was_timed_before_is_taken_off() {
        let (earlier, later) =
            (histogram(&[(8, 5), (32, 1)]), histogram(&[(8, 5), (16, 2), (32, 4)]));
        assert_eq!(later.since(&earlier), histogram(&[(16, 2), (32, 3)]));
        assert_eq!(later.since(&later), HistogramReport::default());
    }
}
