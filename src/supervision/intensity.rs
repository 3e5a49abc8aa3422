use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// Counts restarts in a sliding window.
#[derive(Debug, Clone)]
pub(crate) struct Intensity {
    max: u32,
    within: Duration,
    recent: VecDeque<Instant>,
}

impl Intensity {
    pub(crate) fn new(max: u32, within: Duration) -> Self {
        Self { max, within, recent: VecDeque::new() }
    }

    /// Records a restart. False when it is one too many.
    pub(crate) fn permits(&mut self, now: Instant) -> bool {
        while self.recent.front().is_some_and(|&at| now.duration_since(at) > self.within) {
            self.recent.pop_front();
        }
        if self.recent.len() >= self.max as usize {
            return false;
        }
        self.recent.push_back(now);
        true
    }

    /// Whether the window holds no restart any more.
    pub(crate) fn is_calm(&self, now: Instant) -> bool {
        self.recent.back().is_none_or(|&at| now.duration_since(at) > self.within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_than_allowed_within_the_window_is_refused() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut intensity = Intensity::new(2, Duration::from_secs(30));
        assert!(intensity.permits(at(0)));
        assert!(intensity.permits(at(1)));
        assert!(!intensity.permits(at(2)));
        assert!(intensity.permits(at(31)), "the first has left the window");
        assert!(!intensity.is_calm(at(40)));
        assert!(intensity.is_calm(at(62)));
    }
}
