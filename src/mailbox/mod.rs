//! The mailbox: one lock, a queue for everyone, and a batch that its owner swaps out whole.
//!
//! Owns the queue, its capacity in messages and bytes, and the senders that wait for room. Does not
//! know what a message is, nor how its owner is woken: it says when waking is due.
//!
//! The owner takes the whole queue in one swap and works it off without the lock. A refill that
//! finds nothing sets `parked` in the same critical section, so a sender that finds `parked` is the
//! one that wakes: there is no other protocol. `in_hand` counts what the owner has taken and not
//! finished; it may count too many for a while, never too few, so the capacity is never exceeded.

mod limits;
mod receiver;
mod waiters;

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    task::{Poll, Waker},
};

use parking_lot::Mutex;

pub(crate) use limits::MailboxLimits;
pub use limits::Overflow;
pub(crate) use receiver::Receiver;
pub(crate) use waiters::Ticket;
use waiters::Waiters;

/// Where senders put messages.
pub(crate) struct Mailbox<T> {
    queue: Mutex<Queue<T>>,
    /// Messages that the owner has swapped out and not yet popped; read under the lock.
    in_hand: AtomicUsize,
    /// Whether somebody waits for room; lets the owner publish room without the lock otherwise.
    has_waiters: AtomicBool,
}

struct Queue<T> {
    items: VecDeque<T>,
    /// The size of each item, kept only where the oldest may have to go.
    sizes: VecDeque<usize>,
    bytes: usize,
    /// Bytes of the batch in hand: released as a whole when the batch is done.
    bytes_in_hand: usize,
    parked: bool,
    closed: bool,
    limits: MailboxLimits,
    waiters: Waiters,
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
    /// A message that had to go for the new one.
    pub(crate) displaced: Option<T>,
}

impl<T> Queue<T> {
    fn has_room(&self, in_hand: usize, size: usize) -> bool {
        let messages = self.items.len() + in_hand + self.waiters.granted();
        let bytes = self.bytes + self.bytes_in_hand + self.waiters.granted_bytes();
        messages < self.limits.capacity && bytes.saturating_add(size) <= self.limits.bytes
    }

    /// Takes the oldest out when that makes room for a message of this size.
    fn displace(&mut self, size: usize) -> Option<T> {
        if self.limits.overflow != Overflow::DropOldest {
            return None;
        }
        let freed = *self.sizes.front()?;
        let bytes = self.bytes - freed + self.bytes_in_hand + self.waiters.granted_bytes();
        if bytes.saturating_add(size) > self.limits.bytes {
            return None;
        }
        self.sizes.pop_front();
        self.bytes -= freed;
        self.items.pop_front()
    }

    fn push(&mut self, size: usize, item: T) -> bool {
        self.items.push_back(item);
        if self.limits.overflow == Overflow::DropOldest {
            self.sizes.push_back(size);
        }
        self.bytes += size;
        std::mem::take(&mut self.parked)
    }
}

impl<T> Mailbox<T> {
    pub(crate) fn new(limits: MailboxLimits) -> Self {
        Self {
            queue: Mutex::new(Queue {
                items: VecDeque::new(),
                sizes: VecDeque::new(),
                bytes: 0,
                bytes_in_hand: 0,
                parked: false,
                closed: false,
                limits,
                waiters: Waiters::default(),
            }),
            in_hand: AtomicUsize::new(0),
            has_waiters: AtomicBool::new(false),
        }
    }

    /// Puts a message in if there is room; `make` runs only then.
    ///
    /// `size` was asked of the message before: no user code runs under the lock.
    #[inline]
    pub(crate) fn try_push(
        &self,
        size: usize,
        make: impl FnOnce() -> T,
    ) -> Result<Pushed<T>, Refusal> {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(Refusal::Closed);
        }
        let in_hand = self.in_hand.load(Ordering::Relaxed);
        if queue.waiters.all_granted() && queue.has_room(in_hand, size) {
            let wake = queue.push(size, make());
            return Ok(Pushed { wake, displaced: None });
        }
        Self::push_into_full(&mut queue, size, make)
    }

    #[cold]
    fn push_into_full(
        queue: &mut Queue<T>,
        size: usize,
        make: impl FnOnce() -> T,
    ) -> Result<Pushed<T>, Refusal> {
        if size > queue.limits.bytes {
            return Err(Refusal::TooLarge { limit: queue.limits.bytes });
        }
        match queue.displace(size) {
            Some(displaced) => {
                let wake = queue.push(size, make());
                Ok(Pushed { wake, displaced: Some(displaced) })
            }
            None => Err(Refusal::Full),
        }
    }

    /// As [`try_push`](Self::try_push) for a sender that waits in line: the first call takes a
    /// ticket, later ones use the room that was granted to it.
    pub(crate) fn push_or_wait(
        &self,
        size: usize,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
        make: impl FnOnce() -> T,
    ) -> Result<Pushed<T>, Refusal> {
        // Cloned here and dropped after the lock is released: wakers are the senders' code.
        let mut waker = Some(waker.clone());
        let mut wakers = Vec::new();
        let mut locked = self.queue.lock();
        let queue = &mut *locked;
        if queue.closed {
            *ticket = None;
            return Err(Refusal::Closed);
        }
        if size > queue.limits.bytes {
            return Err(Refusal::TooLarge { limit: queue.limits.bytes });
        }
        let in_hand = self.in_hand.load(Ordering::Relaxed);
        let admitted = match *ticket {
            Some(held) => queue.waiters.claim(held, &mut waker),
            None => queue.waiters.all_granted() && queue.has_room(in_hand, size),
        };
        if admitted {
            *ticket = None;
            self.has_waiters.store(!queue.waiters.is_empty(), Ordering::Relaxed);
            let wake = queue.push(size, make());
            return Ok(Pushed { wake, displaced: None });
        }
        if ticket.is_none() {
            *ticket = Some(queue.waiters.join(size, waker.take()));
            wakers = self.announce(queue);
        }
        drop(locked);
        wake_all(wakers);
        Err(Refusal::Full)
    }

    /// Waits in the line without a message. Ready when room was granted to the ticket, which then
    /// has to be used by [`push_or_wait`](Self::push_or_wait) or given up; ready too, without a
    /// ticket, when there is room and no line, or the mailbox is closed.
    pub(crate) fn poll_room(
        &self,
        size: usize,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
    ) -> Poll<()> {
        // As in `push_or_wait`.
        let mut waker = Some(waker.clone());
        let mut locked = self.queue.lock();
        let queue = &mut *locked;
        if queue.closed {
            *ticket = None;
            return Poll::Ready(());
        }
        if let Some(held) = *ticket {
            return match queue.waiters.is_granted(held, &mut waker) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            };
        }
        let in_hand = self.in_hand.load(Ordering::Relaxed);
        if queue.waiters.all_granted() && queue.has_room(in_hand, size) {
            return Poll::Ready(());
        }
        *ticket = Some(queue.waiters.join(size, waker.take()));
        let wakers = self.announce(queue);
        drop(locked);
        wake_all(wakers);
        Poll::Pending
    }

    /// Gives up a place in the line, and the room that was granted to it.
    pub(crate) fn leave(&self, ticket: Ticket) {
        let (left, wakers) = {
            let mut queue = self.queue.lock();
            (queue.waiters.leave(ticket), self.grant(&mut queue))
        };
        drop(left);
        wake_all(wakers);
    }

    /// Refuses whatever comes from now on and sends those who wait away with their messages. What
    /// is queued stays. True when this call closed it.
    pub(crate) fn close(&self) -> bool {
        let (was_open, wakers) = {
            let mut queue = self.queue.lock();
            (!std::mem::replace(&mut queue.closed, true), queue.waiters.clear())
        };
        wake_all(wakers);
        was_open
    }

    /// Messages that wait to be handled; at most a batch's unpublished part too many.
    pub(crate) fn depth(&self) -> usize {
        self.queue.lock().items.len() + self.in_hand.load(Ordering::Relaxed)
    }

    /// Whether nothing waits but what the owner has in hand.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.lock().items.is_empty()
    }

    pub(crate) fn limits(&self) -> MailboxLimits {
        self.queue.lock().limits
    }

    /// Takes everything out, for an actor that ended. The caller drops it outside the lock.
    pub(crate) fn take_all(&self) -> VecDeque<T> {
        let mut queue = self.queue.lock();
        (queue.bytes, queue.bytes_in_hand) = (0, 0);
        queue.sizes.clear();
        self.in_hand.store(0, Ordering::Relaxed);
        std::mem::take(&mut queue.items)
    }

    /// Tells the owner that somebody has joined the line, and looks once more for room: the owner
    /// may have published some between our look and this, and seen nobody who waits for it.
    fn announce(&self, queue: &mut Queue<T>) -> Vec<Waker> {
        self.has_waiters.store(true, Ordering::SeqCst);
        self.grant(queue)
    }

    /// Grants what room there is to those who wait longest. Returns whom to wake.
    fn grant(&self, queue: &mut Queue<T>) -> Vec<Waker> {
        let mut wakers = Vec::new();
        let in_hand = self.in_hand.load(Ordering::SeqCst);
        while let Some(size) = queue.waiters.next_size() {
            if !queue.has_room(in_hand, size) {
                break;
            }
            wakers.extend(queue.waiters.grant_next());
        }
        self.has_waiters.store(!queue.waiters.is_empty(), Ordering::Relaxed);
        wakers
    }
}

fn wake_all(wakers: Vec<Waker>) {
    for waker in wakers {
        waker.wake();
    }
}

#[cfg(test)]
mod tests;
