use std::collections::VecDeque;

use super::{Mailbox, Queue, mutant, wake_all};
use crate::sync::MutexGuard;

/// How many messages are popped before room is published again.
const PUBLISH_EVERY: u32 = 32;

/// The owner's side of a mailbox: the batch in hand.
///
/// It lives outside the loop that handles messages, so that a panic in a handler leaves the batch,
/// and with it the order, as it was. An owner that comes back another way puts the batch back.
pub(crate) struct Receiver<T> {
    batch: VecDeque<T>,
    /// How many the others believe to be in hand.
    published: u32,
    since_published: u32,
    is_fresh: bool,
}

impl<T> Receiver<T> {
    pub(crate) fn new() -> Self {
        Self { batch: VecDeque::new(), published: 0, since_published: 0, is_fresh: false }
    }

    /// The next message: of the batch, or of what has come meanwhile, which sets the mailbox parked
    /// even if it is nothing: the next sender wakes. So an owner that has worked off what it took
    /// without a pause may [`finish`](Self::finish) and wait; one that was polled in between has to
    /// look again, for it may have been for that message.
    // A call, on purpose: the message is then written once, to where the caller wants it. Inlined, its
    // tag and the rest were moved apart and read together, which stalls.
    #[inline(never)]
    pub(crate) fn next(&mut self, mailbox: &Mailbox<T>) -> Option<T> {
        if !self.batch.is_empty() {
            return self.pop(mailbox);
        }
        let mut queue = mailbox.queue.lock();
        // With somebody in the line there is more to do.
        if queue.items.len() != 1 || queue.has_waiters() {
            self.take(mailbox, queue);
            return self.pop(mailbox);
        }
        (self.published, self.since_published, self.is_fresh) = (1, 1, true);
        mailbox.in_hand.set(1);
        queue.parked = !mutant("mailbox: not parked by a swap");
        queue.take_only()
    }

    /// The next message of the batch.
    #[inline]
    pub(crate) fn pop(&mut self, mailbox: &Mailbox<T>) -> Option<T> {
        self.since_published += 1;
        if self.since_published >= PUBLISH_EVERY {
            self.publish(mailbox);
            // What was published still counts the message that is popped now.
            self.since_published = 1;
        }
        self.batch.pop_front()
    }

    /// Notes that a poll begins: from here on what is taken is [fresh](Self::is_done).
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.is_fresh = false;
    }

    /// Whether the batch was swapped in since [`begin`](Self::begin) and is worked off: then whoever
    /// has come meanwhile has woken the owner.
    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.is_fresh && self.batch.is_empty()
    }

    /// Says how many messages are in hand, after the one that is about to be popped.
    #[cold]
    fn publish(&mut self, mailbox: &Mailbox<T>) {
        self.since_published = 0;
        let left = self.count();
        let finished = self.published - left;
        self.published = left;
        if mailbox.in_hand.release(finished as usize) {
            self.grant(mailbox);
        }
    }

    /// Publishes room before a handler that may take long.
    #[inline]
    pub(crate) fn publish_before_await(&mut self, mailbox: &Mailbox<T>) {
        if self.since_published > 0 {
            self.publish(mailbox);
        }
    }

    /// Says that the batch is worked off.
    ///
    /// The owner then waits until it is woken, and begins by a look for [more](Self::next): the mailbox
    /// was parked when the batch was swapped in, so whoever came since, with a message or to the line,
    /// has woken it.
    #[inline]
    pub(crate) fn finish(&mut self, mailbox: &Mailbox<T>) {
        debug_assert!(self.batch.is_empty(), "nothing is left in hand");
        self.since_published = 0;
        self.published = 0;
        if mailbox.in_hand.clear() {
            self.grant(mailbox);
        }
    }

    #[cold]
    fn grant(&self, mailbox: &Mailbox<T>) {
        let wakers = mailbox.grant(&mut mailbox.queue.lock());
        wake_all(wakers);
    }

    fn count(&self) -> u32 {
        u32::try_from(self.batch.len()).expect("a mailbox holds at most 2^20 messages")
    }

    /// Whether the batch is worked off.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Swaps in what has come meanwhile, into an empty batch; false when there is nothing. Either way
    /// the mailbox is parked.
    #[cfg(test)]
    pub(crate) fn refill(&mut self, mailbox: &Mailbox<T>) -> bool {
        self.take(mailbox, mailbox.queue.lock())
    }

    fn take<'a>(&mut self, mailbox: &'a Mailbox<T>, mut queue: MutexGuard<'a, Queue<T>>) -> bool {
        debug_assert!(self.batch.is_empty(), "a refill replaces the batch");
        self.since_published = 0;
        let found = queue.swap_out(&mut self.batch);
        self.is_fresh = found;
        self.published = self.count();
        if mutant("mailbox: the batch is counted too late") {
            drop(queue);
            queue = mailbox.queue.lock();
        }
        mailbox.in_hand.set(self.batch.len());
        if mutant("mailbox: parked outside the critical section") {
            drop(queue);
            queue = mailbox.queue.lock();
        }
        queue.parked = !found || !mutant("mailbox: not parked by a swap");
        if queue.has_waiters() {
            let wakers = mailbox.grant(&mut queue);
            drop(queue);
            wake_all(wakers);
        }
        found
    }

    /// Puts what is left of the batch back in front of the queue, for an owner that is interrupted
    /// (by a panic, say): whoever refills next finds everything in its order. Closed or not, what
    /// was accepted stays.
    ///
    /// The mailbox is not parked by this: the owner has to come back by itself. The bytes of the
    /// whole batch count until what is left of it is done, but for a mailbox that drops its oldest,
    /// which knows the size of each.
    pub(crate) fn put_back(&mut self, mailbox: &Mailbox<T>) {
        self.since_published = 0;
        self.published = 0;
        let wakers = {
            let mut queue = mailbox.queue.lock();
            queue.take_back(&mut self.batch);
            mailbox.in_hand.set(0);
            mailbox.grant(&mut queue)
        };
        wake_all(wakers);
    }
}
