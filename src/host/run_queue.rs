use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
};

use super::Slot;

/// The slots that are due for a poll, each at most once.
#[derive(Debug, Default)]
pub(super) struct RunQueue {
    order: VecDeque<Slot>,
    queued: Vec<bool>,
}

impl RunQueue {
    pub(super) fn push(&mut self, slot: Slot) {
        let at = slot.0 as usize;
        if self.queued.len() <= at {
            self.queued.resize(at + 1, false);
        }
        if !std::mem::replace(&mut self.queued[at], true) {
            self.order.push_back(slot);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Slot> {
        let slot = self.order.pop_front()?;
        self.queued[slot.0 as usize] = false;
        Some(slot)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

thread_local! {
    /// The host that is being polled on this thread; zero for none.
    static CURRENT: Cell<u64> = const { Cell::new(0) };
    /// Its run queue, for the time of its poll.
    static QUEUE: RefCell<RunQueue> =
        const { RefCell::new(RunQueue { order: VecDeque::new(), queued: Vec::new() }) };
}

/// Queues a slot of the host that is being polled on this thread. False when that is another host,
/// or none.
#[inline]
pub(super) fn wake_local(host: u64, slot: Slot) -> bool {
    // A thread that ends has no locals any more: `try_with`.
    let is_current = CURRENT.try_with(|current| current.get() == host).unwrap_or(false);
    is_current
        && QUEUE
            .try_with(|queue| match queue.try_borrow_mut() {
                Ok(mut queue) => {
                    queue.push(slot);
                    true
                }
                Err(_) => false,
            })
            .unwrap_or(false)
}

pub(super) fn pop_local() -> Option<Slot> {
    QUEUE.with(|queue| queue.borrow_mut().pop())
}

pub(super) fn push_local(slot: Slot) {
    QUEUE.with(|queue| queue.borrow_mut().push(slot));
}

pub(super) fn local_is_empty() -> bool {
    QUEUE.with(|queue| queue.borrow().is_empty())
}

/// Puts a host's run queue in place for the time of its poll, and takes it out again, also when the
/// poll panics.
pub(super) struct Entered<'a> {
    queue: &'a mut RunQueue,
    outer: u64,
}

impl<'a> Entered<'a> {
    pub(super) fn new(host: u64, queue: &'a mut RunQueue) -> Self {
        let outer = CURRENT.replace(host);
        QUEUE.with(|current| std::mem::swap(&mut *current.borrow_mut(), queue));
        Self { queue, outer }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        CURRENT.set(self.outer);
        QUEUE.with(|current| std::mem::swap(&mut *current.borrow_mut(), self.queue));
    }
}
