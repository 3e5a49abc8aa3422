use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::task::AtomicWaker;

/// Something that an actor does beside its handlers; see [`Ctx::spawn`](crate::Ctx::spawn).
///
/// Dropping the handle does nothing: what was spawned goes on.
#[derive(Clone)]
pub struct TaskHandle(pub(super) Arc<Progress>);

/// What a task and its handles know of each other.
#[derive(Default)]
pub(super) struct Progress {
    is_aborted: AtomicBool,
    is_finished: AtomicBool,
    pub(super) waker: AtomicWaker,
}

impl TaskHandle {
    /// Ends it: it is not polled again, and dropped at the next turn of its actor. Returns at once.
    pub fn abort(&self) {
        self.0.is_aborted.store(true, Ordering::Release);
        self.0.waker.wake();
    }

    /// Whether it has ended: it ran to its end, was aborted, or its actor's incarnation ended.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished.load(Ordering::Acquire)
    }
}

impl Progress {
    pub(super) fn is_aborted(&self) -> bool {
        self.is_aborted.load(Ordering::Acquire)
    }

    pub(super) fn finish(&self) {
        self.is_finished.store(true, Ordering::Release);
    }
}

impl fmt::Debug for TaskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle").field("is_finished", &self.is_finished()).finish()
    }
}
