use std::{collections::VecDeque, sync::atomic::Ordering};

use super::{Mailbox, wake_all};

/// How many messages are popped before room is published again.
const PUBLISH_EVERY: usize = 32;

/// The owner's side of a mailbox: the batch in hand.
///
/// It lives outside the loop that handles messages, so that a panic in a handler leaves the batch,
/// and with it the order, as it was.
pub(crate) struct Receiver<T> {
    batch: VecDeque<T>,
    since_published: usize,
}

impl<T> Receiver<T> {
    pub(crate) fn new() -> Self {
        Self { batch: VecDeque::new(), since_published: 0 }
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

    /// Says how many messages are in hand, after the one that is about to be popped.
    #[cold]
    fn publish(&mut self, mailbox: &Mailbox<T>) {
        self.since_published = 0;
        // In one order with a sender that joins the line and then looks for room once more: it sees
        // this room, or we see the sender.
        mailbox.in_hand.store(self.batch.len(), Ordering::SeqCst);
        if mailbox.has_waiters.load(Ordering::SeqCst) {
            let wakers = mailbox.grant(&mut mailbox.queue.lock());
            wake_all(wakers);
        }
    }

    /// Publishes room before a handler that may take long.
    #[inline]
    pub(crate) fn publish_before_await(&mut self, mailbox: &Mailbox<T>) {
        if self.since_published > 0 {
            self.publish(mailbox);
        }
    }

    /// Whether the batch is worked off.
    pub(crate) fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Swaps in what has come meanwhile. When there is nothing the mailbox is parked: the next
    /// sender wakes. Must be called with an empty batch.
    #[inline]
    pub(crate) fn refill(&mut self, mailbox: &Mailbox<T>) -> bool {
        debug_assert!(self.batch.is_empty(), "a refill replaces the batch");
        self.since_published = 0;
        let mut queue = mailbox.queue.lock();
        let found = !queue.items.is_empty();
        if found {
            std::mem::swap(&mut self.batch, &mut queue.items);
            queue.sizes.clear();
        }
        queue.bytes_in_hand = std::mem::take(&mut queue.bytes);
        mailbox.in_hand.store(self.batch.len(), Ordering::Relaxed);
        queue.parked = !found;
        if !queue.waiters.is_empty() {
            let wakers = mailbox.grant(&mut queue);
            drop(queue);
            wake_all(wakers);
        }
        found
    }

    /// Puts what is left in hand back in front of the queue.
    pub(crate) fn put_back(&mut self, mailbox: &Mailbox<T>) {
        if self.batch.is_empty() {
            return;
        }
        let mut queue = mailbox.queue.lock();
        self.batch.append(&mut queue.items);
        std::mem::swap(&mut self.batch, &mut queue.items);
        queue.bytes += std::mem::take(&mut queue.bytes_in_hand);
        mailbox.in_hand.store(0, Ordering::Relaxed);
    }
}
