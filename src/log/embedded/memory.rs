use std::sync::atomic::{AtomicU64, Ordering};

use crate::log::LogError;

/// What an entry costs beside its bytes, roughly; so that a flood of tiny frames meets the limit.
const ENTRY_OVERHEAD_BYTES: u64 = 128;

/// The memory that all entries of a log take, against its limit.
#[derive(Debug)]
pub(super) struct Memory {
    used: AtomicU64,
    max: u64,
}

impl Memory {
    pub(super) fn new(max: u64) -> Self {
        Self { used: AtomicU64::new(0), max }
    }

    /// Whether a frame may come in. Frames that come in at the same instant may overshoot by their
    /// own size, as in a server that looks at its memory before it runs a command.
    pub(super) fn check_room(&self, frame_bytes: usize) -> Result<(), LogError> {
        let wanted = self.used.load(Ordering::Relaxed).saturating_add(cost(frame_bytes));
        if wanted > self.max { Err(LogError::OutOfMemory) } else { Ok(()) }
    }

    /// Takes memory for a frame, and says how much.
    pub(super) fn take(&self, frame_bytes: usize) -> u64 {
        let cost = cost(frame_bytes);
        self.used.fetch_add(cost, Ordering::Relaxed);
        cost
    }

    /// Gives back what a frame took, and says how much that was.
    pub(super) fn give_back(&self, frame_bytes: usize) -> u64 {
        let cost = cost(frame_bytes);
        self.used.fetch_sub(cost, Ordering::Relaxed);
        cost
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

fn cost(frame_bytes: usize) -> u64 {
    (frame_bytes as u64).saturating_add(ENTRY_OVERHEAD_BYTES)
}
