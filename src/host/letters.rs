use std::{sync::atomic::Ordering, task::Waker};

use crossbeam::utils::CachePadded;

use crate::sync::{AtomicU8, Mutex, mutant};

/// What comes to a task from other threads, and whether it waits for that.
///
/// The task finds letters by one look at a word. Before it waits it says so in that word; whoever
/// brings a letter then wakes it, and nobody else does.
pub(super) struct Letters<L> {
    state: CachePadded<AtomicU8>,
    list: Mutex<L>,
    task: Mutex<Option<Waker>>,
}

/// The task looks at its letters before it waits.
const RUNNING: u8 = 0;
/// The task waits: whoever brings something wakes it.
const PARKED: u8 = 1;
/// There is something in the list.
const MAIL: u8 = 2;

impl<L> Letters<L> {
    pub(super) fn new(list: L) -> Self {
        Self {
            state: CachePadded::new(AtomicU8::new(RUNNING)),
            list: Mutex::new(list),
            task: Mutex::new(None),
        }
    }

    /// Changes the list, and wakes the task if it waits. `put` says whether it changed anything.
    pub(super) fn post(&self, put: impl FnOnce(&mut L) -> bool) -> bool {
        if !put(&mut self.list.lock()) {
            return false;
        }
        // Whoever finds MAIL here may leave it at that: the task takes that back before it empties
        // the list, under the lock that we have held since.
        if self.state.load(Ordering::Acquire) != MAIL
            && self.state.swap(MAIL, Ordering::AcqRel) == PARKED
            && !mutant("host: who brings mail does not wake")
        {
            self.wake_task();
        }
        true
    }

    #[cold]
    fn wake_task(&self) {
        let task = self.task.lock().clone();
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Notes whom to wake.
    pub(super) fn set_task(&self, waker: &Waker) {
        let before = self.task.lock().replace(waker.clone());
        drop(before);
    }

    /// Whether there is something to fetch.
    #[inline]
    pub(super) fn has_mail(&self) -> bool {
        self.state.load(Ordering::Acquire) == MAIL
    }

    /// Ends the waiting.
    #[inline]
    pub(super) fn unpark(&self) {
        if self.state.load(Ordering::Relaxed) == PARKED {
            // Mail that came meanwhile stays.
            self.state.compare_exchange(PARKED, RUNNING, Ordering::AcqRel, Ordering::Relaxed).ok();
        }
    }

    /// Waits from now on: the next one who brings something wakes the task. False when there is
    /// something already.
    #[inline]
    pub(super) fn park(&self) -> bool {
        if mutant("host: parked without a look") {
            self.state.store(PARKED, Ordering::Release);
            return true;
        }
        self.state.compare_exchange(RUNNING, PARKED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Whether the task waits, for whoever looks from outside.
    pub(super) fn is_parked(&self) -> bool {
        self.state.load(Ordering::Relaxed) == PARKED
    }

    /// Empties the list.
    pub(super) fn fetch(&self, take: impl FnOnce(&mut L)) {
        if mutant("host: the list is emptied before the mail is taken back") {
            take(&mut self.list.lock());
            self.state.store(RUNNING, Ordering::Release);
            return;
        }
        // Before the list is emptied: who comes in between makes it MAIL again. A swap, not a store:
        // it comes after the swap of whoever it answers.
        self.state.swap(RUNNING, Ordering::AcqRel);
        take(&mut self.list.lock());
    }
}
