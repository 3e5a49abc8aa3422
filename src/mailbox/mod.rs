//! The mailbox: one lock, a queue for everyone, and a batch that its owner swaps out whole.
//!
//! Owns the queue, its capacity in messages and bytes, and the senders that wait for room. Does not
//! know what a message is, nor how its owner is woken: it says when waking is due.
//!
//! The owner takes the whole queue in one swap and works it off without the lock; a single message
//! it takes out as it is. This sets `parked` in the same critical section, whether it found anything
//! or not, so a sender that finds `parked` is the one that wakes, and so is one that joins the line
//! for room: there is no other protocol, and an owner that has worked off its batch need not look
//! again. [`InHand`] counts what the owner has taken and not finished; it may count too many for a
//! while, never too few, so the capacity is never exceeded.
//!
//! # Limits that change
//! The limits in messages and in bytes may change at any time. Raising one lets those in who wait.
//! Lowering one below what is there loses nothing: nothing more is accepted until there is room
//! under the new limit, so room that was promised and not used yet is taken back; whoever waits
//! with a message that is larger than the new limit in bytes is sent away.
//!
//! # The age of the oldest message
//! A sender brings a clock, as a closure: it is asked only for a message that finds the queue empty
//! (then under the lock: it must be the framework's own), so that a busy mailbox costs one reading
//! per batch; `|| 0` costs nothing, and means that the age is not known. The reading goes with the
//! batch at the swap. What came first in a batch stands for all of it, and for what is displaced, so
//! [`Mailbox::oldest`] may be too early, never too late.
//!
//! # Models
//! Lock and atomics come from [`crate::sync`]: the models in `loom_tests.rs` run this code as it is.
//! Each `mutant(..)` is a fault that one of them must find.

mod in_hand;
mod limits;
mod queue;
mod receiver;
mod resize;
mod wait;
mod waiters;

use std::{collections::VecDeque, task::Waker, time::Instant};

use in_hand::InHand;
pub(crate) use limits::MailboxLimits;
pub use limits::Overflow;
use queue::Queue;
pub(crate) use receiver::Receiver;
pub(crate) use waiters::Ticket;

use crate::sync::{Mutex, MutexGuard, mutant};

/// Where senders put messages.
// In this order: lock and queue begin together.
#[repr(C)]
pub(crate) struct Mailbox<T> {
    queue: Mutex<Queue<T>>,
    in_hand: InHand,
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no room, or others wait for it already.
    Full,
    /// The message alone is larger than the mailbox's limit in bytes.
    TooLarge { limit: usize },
    /// The actor takes no more.
    Closed,
}

/// What to do once the lock is released.
#[must_use]
pub(crate) struct Pushed<T> {
    /// The owner was parked: wake it.
    pub(crate) wake: bool,
    pub(crate) displaced: Displaced<T>,
}

/// Messages that had to go for a new one, the oldest first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Displaced<T> {
    None,
    One(T),
    More(Vec<T>),
}

impl<T> Displaced<T> {
    #[inline]
    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

impl<T> Pushed<T> {
    fn new(wake: bool) -> Self {
        Self { wake, displaced: Displaced::None }
    }
}

impl<T> Mailbox<T> {
    pub(crate) fn new(limits: MailboxLimits) -> Self {
        Self { queue: Mutex::new(Queue::new(limits)), in_hand: InHand::new() }
    }

    /// Puts a message in if there is room; `make` runs only then.
    #[cfg(test)]
    pub(crate) fn try_push(
        &self,
        size: usize,
        make: impl FnOnce() -> T,
    ) -> Result<Pushed<T>, Refusal> {
        match self.room(size) {
            Ok(room) => Ok(Pushed::new(room.put(|| 0, make()))),
            Err(_) => self.push_now(size, || 0, make),
        }
    }

    /// Room for a message of this size, if there is any: the mailbox stays locked until it is used,
    /// which is to be at once.
    ///
    /// The size was asked of the message before: no user code runs under the lock. The message is
    /// moved only when there is room.
    #[inline(always)]
    pub(crate) fn room(&self, size: usize) -> Result<Room<'_, T>, Refusal> {
        let queue = self.queue.lock();
        if queue.closed {
            return Err(Refusal::Closed);
        }
        if queue.admits(self.in_hand.count(), size) {
            return Ok(Room { queue, size });
        }
        Err(queue.refusal(size))
    }

    /// Puts a message in at once, where the policy says so in place of the oldest; `make` runs only
    /// when it goes in.
    pub(crate) fn push_now(
        &self,
        size: usize,
        now: impl FnOnce() -> u64,
        make: impl FnOnce() -> T,
    ) -> Result<Pushed<T>, Refusal> {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(Refusal::Closed);
        }
        let in_hand = self.in_hand.count();
        let mut displaced = Displaced::None;
        if !queue.admits(in_hand, size) {
            displaced = queue.displace(in_hand, size);
            if displaced.is_none() {
                return Err(queue.refusal(size));
            }
        }
        let wake = queue.push(size, now, make());
        if !displaced.is_none() && queue.has_waiters() {
            // What went may have been larger than what came.
            let wakers = self.grant(&mut queue);
            drop(queue);
            wake_all(wakers);
        }
        Ok(Pushed { wake, displaced })
    }

    /// Puts in the first of a run of messages, as many as there is room for without displacing any, in one
    /// critical section. How many, and whether the owner has to be woken.
    pub(crate) fn push_run(
        &self,
        count: u32,
        size: impl Fn(u32) -> usize,
        now: impl Fn() -> u64,
        mut make: impl FnMut(u32) -> T,
    ) -> Result<(u32, bool), Refusal> {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(Refusal::Closed);
        }
        let in_hand = self.in_hand.count();
        let (mut taken, mut wake) = (0, false);
        while taken < count {
            let size = size(taken);
            if !queue.admits(in_hand, size) {
                break;
            }
            wake |= queue.push(size, &now, make(taken));
            taken += 1;
        }
        Ok((taken, wake))
    }

    /// Refuses whatever comes from now on and sends those who wait away with their messages. What
    /// is queued stays. True when this call closed it.
    pub(crate) fn close(&self) -> bool {
        let (was_open, wakers) = {
            let mut queue = self.queue.lock();
            let wakers = match queue.has_waiters() {
                true => queue.waiters().clear(),
                false => Vec::new(),
            };
            (!std::mem::replace(&mut queue.closed, true), wakers)
        };
        if !mutant("mailbox: close wakes nobody") {
            wake_all(wakers);
        }
        was_open
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.queue.lock().closed
    }

    /// Messages that wait to be handled; at most a batch's unpublished part too many.
    pub(crate) fn depth(&self) -> usize {
        self.queue.lock().items.len() + self.in_hand.count()
    }

    /// Whether nothing waits but what the owner has in hand.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.lock().items.is_empty()
    }

    /// When the oldest message came, by the clock of its sender, or earlier; nothing when none
    /// waits, or its sender brought no clock.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.queue.lock().oldest(self.in_hand.count())
    }

    /// How many messages had to make room for newer ones since the actor was spawned.
    pub(crate) fn displaced(&self) -> u64 {
        self.queue.lock().displaced()
    }

    /// How many were displaced since this gave a number; at most once per second.
    pub(crate) fn displaced_to_tell(&self, now: Instant) -> Option<u64> {
        self.queue.lock().displaced_to_tell(now)
    }

    pub(crate) fn limits(&self) -> MailboxLimits {
        self.queue.lock().limits
    }

    /// Takes everything out, for an actor that ended and has put back what it had in hand. The caller
    /// drops it outside the lock.
    pub(crate) fn take_all(&self) -> VecDeque<T> {
        let mut queue = self.queue.lock();
        self.in_hand.set(0);
        queue.take_all()
    }
}

/// Room for a message in a mailbox that is locked.
#[must_use]
pub(crate) struct Room<'a, T> {
    queue: MutexGuard<'a, Queue<T>>,
    size: usize,
}

impl<T> Room<'_, T> {
    /// Puts the message in. `now` is a clock in nanoseconds that is asked only for a message that
    /// finds the queue empty. True when the owner has to be woken.
    #[inline(always)]
    #[must_use]
    pub(crate) fn put(mut self, now: impl FnOnce() -> u64, message: T) -> bool {
        self.queue.push(self.size, now, message)
    }
}

fn wake_all(wakers: Vec<Waker>) {
    for waker in wakers {
        waker.wake();
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod model_tests;
#[cfg(all(test, not(loom)))]
mod stress_tests;
#[cfg(all(test, not(loom)))]
mod tests;
#[cfg(all(test, not(loom)))]
mod tier;
