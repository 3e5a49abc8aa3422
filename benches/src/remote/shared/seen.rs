//! Counting at the callee.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use tokio::sync::Notify;

/// How many tells were handled.
#[derive(Debug, Default)]
pub struct Seen {
    count: AtomicU64,
    wanted: AtomicU64,
    reached: Notify,
}

impl Seen {
    /// Waits until so many were handled, since the process started.
    pub async fn reach(&self, count: u64) {
        self.wanted.store(count, SeqCst);
        while self.count.load(SeqCst) < count {
            self.reached.notified().await;
        }
    }

    /// Counts one.
    pub fn one(&self) -> u64 {
        // Either the waiter finds this count, or this finds what the waiter wants.
        let count = self.count.fetch_add(1, SeqCst) + 1;
        if count == self.wanted.load(SeqCst) {
            self.reached.notify_one();
        }
        count
    }
}
