use std::{sync::atomic::Ordering, task::Waker};

use crossbeam::utils::CachePadded;

use crate::sync::{AtomicU64, Mutex, mutant};

/// What comes to a task from other threads, and whether it waits for that.
///
/// The task finds letters by one look at a word. Before it waits it says so in that word; whoever
/// brings a letter then wakes it, and nobody else does. A single number needs no list: it travels in
/// the word itself, which is one cache line to pass on instead of three.
pub(super) struct Letters<L> {
    state: CachePadded<AtomicU64>,
    list: Mutex<L>,
    task: Mutex<Option<Waker>>,
}

/// The task looks at its letters before it waits.
const RUNNING: u64 = 0;
/// The task waits: whoever brings something wakes it.
const PARKED: u64 = 1;
/// There is something in the list.
const MAIL: u64 = 2;
/// There is a slip: the number stands in the upper half.
const SLIP: u64 = 3;

/// The number on a slip, if the state is one.
fn slip_in(state: u64) -> Option<u32> {
    (state & u64::from(u32::MAX) == SLIP).then_some((state >> 32) as u32)
}

/// A list that also takes what came as a slip.
pub(super) trait TakesSlips {
    /// Takes the number on a slip.
    fn take_slip(&mut self, slip: u32);
}

impl<L: TakesSlips> Letters<L> {
    pub(super) fn new(list: L) -> Self {
        Self {
            state: CachePadded::new(AtomicU64::new(RUNNING)),
            list: Mutex::new(list),
            task: Mutex::new(None),
        }
    }

    /// Changes the list, and wakes the task if it waits. `put` says whether it changed anything.
    pub(super) fn post(&self, put: impl FnOnce(&mut L) -> bool) -> bool {
        if !put(&mut self.list.lock()) {
            return false;
        }
        self.announce();
        true
    }

    /// Says that there is something in the list.
    fn announce(&self) {
        loop {
            // Whoever finds MAIL here may leave it at that: the task takes that back before it
            // empties the list, under the lock that we have held since.
            if self.state.load(Ordering::Acquire) == MAIL {
                return;
            }
            let before = self.state.swap(MAIL, Ordering::AcqRel);
            if before == PARKED && !mutant("host: who brings mail does not wake") {
                self.wake_task();
            }
            match slip_in(before) {
                // The word is needed: what stood there goes to the list.
                Some(slip) if !mutant("host: mail covers a slip") => {
                    self.list.lock().take_slip(slip);
                }
                _ => return,
            }
        }
    }

    /// Brings a number: in the word if that is free, else to the list.
    pub(super) fn slip(&self, slip: u32) {
        let state = u64::from(slip) << 32 | SLIP;
        // Without a look at it first: that would fetch the cache line twice.
        let mut expected = RUNNING;
        loop {
            let put =
                self.state.compare_exchange(expected, state, Ordering::AcqRel, Ordering::Relaxed);
            match put {
                Ok(PARKED) => return self.wake_task(),
                Ok(_) => return,
                Err(found @ (RUNNING | PARKED)) => expected = found,
                Err(_) => break,
            }
        }
        self.post(|list| {
            list.take_slip(slip);
            true
        });
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
        self.state.load(Ordering::Acquire) >= MAIL
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

    /// Takes what has come: a slip, or else empties the list.
    pub(super) fn fetch(&self, take: impl FnOnce(&mut L)) -> Option<u32> {
        if mutant("host: the list is emptied before the mail is taken back") {
            take(&mut self.list.lock());
            return slip_in(self.state.swap(RUNNING, Ordering::AcqRel));
        }
        // Before the list is emptied: who comes in between makes it MAIL again. A swap, not a store:
        // it comes after the swap of whoever it answers.
        let slip = slip_in(self.state.swap(RUNNING, Ordering::AcqRel));
        if slip.is_none() {
            take(&mut self.list.lock());
        }
        slip
    }
}
