//! Polling an actor out of turn, by whoever waits for its answer.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::{Context, Poll, Waker},
};

use tokio::task::coop::unconstrained;

use super::{
    Slot,
    local::{Local, local},
};

/// Polls out of turn until the host's task runs again: then the others have theirs.
pub(super) const DIRECT_POLLS: u32 = 32;
/// Polls within polls: each takes its part of the stack.
const DEPTH_MAX: u32 = 4;

/// Polls an actor of this thread that was idle until it got the message whose answer the caller
/// waits for. False when it has to wait for its turn.
///
/// An answer that is there when the asker looks for it needs no wake-up and no second poll, of the
/// asker and of the host.
#[inline]
pub(crate) fn poll_directly(host: u64, slot: Slot) -> bool {
    match local(host) {
        Some(local) => local.poll_directly(slot),
        None => false,
    }
}

impl Local {
    fn poll_directly(&self, slot: Slot) -> bool {
        let (left, depth) = (self.direct_left.get(), self.depth.get());
        if left == 0 || depth >= DEPTH_MAX {
            return false;
        }
        let queue = self.queue.borrow();
        // Who is in the queue has its turn. With shares CPU time is counted for whoever is polled in
        // turn: nobody works on another's.
        if queue.is_queued(slot) || queue.has_groups() {
            return false;
        }
        drop(queue);
        self.direct_left.set(left - 1);
        self.depth.set(depth + 1);
        let clock = self.shared.timer().clock();
        let before = clock.watch();
        let is_in_task = self.current.get().waker == 0;
        let polled = catch_unwind(AssertUnwindSafe(|| {
            if !is_in_task {
                return self.poll_tenant(slot);
            }
            // In a task of the arbiter: what the actor awaits is not on that task's budget.
            let mut poll = pin!(unconstrained(poll_fn(|_| Poll::Ready(self.poll_tenant(slot)))));
            let polled = poll.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            polled == Poll::Ready(true)
        }));
        let has_polled = polled.unwrap_or_else(|panic| {
            self.after_panic(slot, panic);
            true
        });
        self.depth.set(depth);
        let took = clock.watch().saturating_sub(before);
        if took > 0 {
            self.charge_direct(slot, took);
        }
        has_polled
    }

    /// Notes time that went by while one actor worked for another.
    #[cold]
    fn charge_direct(&self, slot: Slot, took: u64) {
        self.charge(slot, took);
        // It was not who waited for it that used this time.
        let tenants = self.tenants.borrow();
        if let Some(Some(outer)) = tenants.get(self.current.get().slot.0 as usize) {
            outer.resident.core().lend(took);
        }
    }
}
