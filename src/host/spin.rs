use std::hint;

use crate::time::Clock;

/// How long a host looks for mail before it parks, in nanoseconds.
const LIMIT: u64 = 20_000;
/// A wait shorter than this was worth spinning for.
const WORTH: u64 = 50_000;
/// The most waits that are skipped after spins in vain.
const SKIP_MAX: u32 = 256;
/// Waits that are skipped after a spin that other load interrupted.
const SKIP_PREEMPTED: u32 = 20_000;

/// Whether a host spins before it parks. Putting a thread to sleep and waking it takes 5 to 60
/// microseconds; a peer on another core that answers at once is faster.
///
/// Only mail from other threads counts: what comes from the host's own thread can't come while it
/// spins. Without the guards, load from elsewhere made it seven times slower.
#[derive(Debug)]
pub(super) struct Spin {
    enabled: bool,
    /// The last wait ended with mail, and soon.
    promising: bool,
    /// When the last wait began; zero when nobody looked.
    parked_at: u64,
    skip: u32,
    skip_next: u32,
}

impl Spin {
    pub(super) fn new(enabled: bool) -> Self {
        Self { enabled, promising: false, parked_at: 0, skip: 0, skip_next: 1 }
    }

    /// Notes that a wait is over.
    #[inline]
    pub(super) fn woken(&mut self, by_mail: bool, clock: &Clock) {
        if by_mail && self.enabled {
            let waited = clock.now().saturating_sub(self.parked_at);
            self.promising = self.parked_at != 0 && waited < WORTH;
            // From now on the next wait is timed.
            self.parked_at = 1;
        } else {
            self.promising = false;
            self.parked_at = 0;
        }
    }

    /// Looks for mail for a while, if that is promising. True when there is some.
    pub(super) fn find(&mut self, clock: &Clock, has_mail: impl Fn() -> bool) -> bool {
        if self.parked_at == 0 {
            return false;
        }
        self.parked_at = clock.now();
        if !self.promising {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        let start = self.parked_at;
        loop {
            // One pause, not a back-off: nobody else waits for the word that is looked at, and a
            // longer pause is time by which the answer is late.
            hint::spin_loop();
            if has_mail() {
                self.skip_next = 1;
                return true;
            }
            let now = clock.now();
            if now - start >= LIMIT {
                self.failed(now - start);
                self.parked_at = now;
                return false;
            }
        }
    }

    fn failed(&mut self, took: u64) {
        if took > 3 * LIMIT {
            self.skip = SKIP_PREEMPTED;
            return;
        }
        self.skip = self.skip_next;
        self.skip_next = (self.skip_next * 2).min(SKIP_MAX);
    }
}
