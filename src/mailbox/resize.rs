//! Limits that change while the mailbox is in use.

use super::{Mailbox, mutant, wake_all};

impl<T> Mailbox<T> {
    /// Changes how many messages it holds, from 1. Takes effect at once: see the
    /// [module](super#limits-that-change).
    pub(crate) fn set_capacity(&self, messages: usize) {
        self.set_limits(Some(messages), None);
    }

    /// Changes how many bytes it holds; as [`set_capacity`](Self::set_capacity).
    pub(crate) fn set_bytes(&self, bytes: usize) {
        self.set_limits(None, Some(bytes));
    }

    /// Changes both limits in one step; what is not given stays.
    pub(crate) fn set_limits(&self, messages: Option<usize>, bytes: Option<usize>) {
        debug_assert_ne!(messages, Some(0), "a mailbox holds one message at least");
        let (away, let_in) = {
            let mut queue = self.queue.lock();
            queue.limits.capacity = messages.unwrap_or(queue.limits.capacity);
            queue.limits.bytes = bytes.unwrap_or(queue.limits.bytes);
            if !queue.has_waiters() {
                return;
            }
            let limit = queue.limits.bytes;
            let away = queue.waiters().send_away_above(limit);
            if !mutant("mailbox: promises outlive a lower limit") {
                queue.revoke(self.in_hand.count());
            }
            (away, self.grant(&mut queue))
        };
        if !mutant("mailbox: who is sent away is not woken") {
            wake_all(away);
        }
        wake_all(let_in);
    }
}
