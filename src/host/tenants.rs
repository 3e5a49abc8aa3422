//! Those who live in a host: moving in, being polled, moving out.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll},
    time::Duration,
};

use super::{Arriving, Slot, Tenant, local::Local};

/// A poll that takes so long is counted and logged, in nanoseconds.
const LONG_POLL: u64 = 10_000_000;

impl Local {
    pub(super) fn new_slot(&self) -> Slot {
        let mut slots = self.slots.borrow_mut();
        slots.free.pop().unwrap_or_else(|| {
            let slot = Slot(slots.next);
            slots.next = slots.next.checked_add(1).expect("fewer than 2^32 actors in a host");
            slot
        })
    }

    /// Makes a tenant and lets it in. False when that panicked.
    pub(super) fn admit(&self, arrival: impl FnOnce(Slot) -> Arriving) -> bool {
        let slot = self.new_slot();
        // Wakers and addresses are made here; the factory runs at the first poll.
        let Ok(Arriving { tenant, group }) = catch_unwind(AssertUnwindSafe(|| arrival(slot)))
        else {
            self.slots.borrow_mut().free.push(slot);
            return false;
        };
        if self.leaving.get()
            && let Some(resident) = &tenant.resident
        {
            resident.leave();
        }
        {
            let mut queue = self.queue.borrow_mut();
            queue.join(slot, group.as_ref());
            queue.push(slot);
        }
        put_at(&mut self.tenants.borrow_mut(), slot.0 as usize, tenant);
        true
    }

    /// Asks everybody to leave; who comes later is asked on arrival.
    pub(super) fn ask_all_to_leave(&self) {
        self.leaving.set(true);
        // Outside the borrow: who is asked is woken.
        let residents = self.shared.residents();
        residents.iter().for_each(|resident| resident.leave());
    }

    /// Polls a tenant. False for one that is being polled already, or has ended.
    #[inline]
    pub(super) fn poll_tenant(&self, slot: Slot) -> bool {
        // A wake-up may name a slot whose tenant has ended; one too many is harmless.
        let taken = self.tenants.borrow_mut().get_mut(slot.0 as usize).and_then(Option::take);
        let Some(mut tenant) = taken else { return false };
        let Tenant { future, waker, resident, .. } = &mut tenant;
        self.shared.observer().tell(|observer| {
            observer.polled(resident.as_ref().map_or("", |resident| resident.core().name()));
        });
        let outer_waker = self.current_waker.replace(waker.data().addr());
        let outer = self.current.replace(resident.take());
        let mut cx = Context::from_waker(waker);
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx)));
        *resident = self.current.replace(outer);
        self.current_waker.set(outer_waker);
        if let Ok(Poll::Pending) = polled {
            self.tenants.borrow_mut()[slot.0 as usize] = Some(tenant);
            return true;
        }
        if polled.is_err() {
            tracing::error!("an actor's cell panicked outside a handler and was dropped");
        }
        self.move_out(slot, tenant);
        true
    }

    #[cold]
    fn move_out(&self, slot: Slot, tenant: Tenant) {
        self.queue.borrow_mut().leave(slot);
        if catch_unwind(AssertUnwindSafe(|| drop(tenant))).is_err() {
            tracing::error!("an actor panicked while it was dropped");
        }
        self.shared.left(Some(slot));
        self.slots.borrow_mut().free.push(slot);
    }

    /// Drops every tenant.
    pub(super) fn evict_all(&self) {
        let count = self.tenants.borrow().len();
        for at in 0..count {
            let tenant = self.tenants.borrow_mut()[at].take();
            if let Some(tenant) = tenant {
                self.move_out(Slot(u32::try_from(at).expect("slots are 32 bits wide")), tenant);
            }
        }
    }

    /// Notes the time since the clock was last seen to move. Most polls are shorter than its tick:
    /// who is polled when it moves is charged for all of it, which is right in the mean.
    #[cold]
    pub(super) fn charge(&self, slot: Slot, nanoseconds: u64) {
        let tenants = self.tenants.borrow();
        let Some(Some(Tenant { resident: Some(resident), .. })) = tenants.get(slot.0 as usize)
        else {
            return;
        };
        let core = resident.core();
        let own = nanoseconds.saturating_sub(core.take_lent());
        core.charge(own);
        if own >= LONG_POLL {
            core.blocked(Duration::from_nanos(own));
        }
    }
}

/// Puts something into its place. Grows by a quarter where a vector would double: an idle actor is
/// to be cheap, and these hold a place for each.
pub(super) fn put_at<T>(places: &mut Vec<Option<T>>, at: usize, value: T) {
    if places.len() <= at {
        if places.capacity() <= at {
            places.reserve_exact((at + 1 - places.len()).max(places.len() / 4).max(64));
        }
        places.resize_with(at + 1, || None);
    }
    places[at] = Some(value);
}
