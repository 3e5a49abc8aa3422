//! Those who live in a host: moving in, being polled, moving out.

use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use super::{
    Arriving, Polled, Slot,
    local::{Current, Local},
};

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
        if self.leaving.get() {
            tenant.resident.leave();
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
    ///
    /// # Panics
    /// When the tenant does. Whoever catches that calls [`after_panic`](Self::after_panic).
    #[inline]
    pub(super) fn poll_tenant(&self, slot: Slot) -> bool {
        self.poll_with(slot, |life| life.poll())
    }

    /// Lets the tenant go on whose poll has panicked. One that panics again is dropped.
    #[cold]
    pub(super) fn after_panic(&self, slot: Slot, panic: Box<dyn Any + Send>) {
        let polled = catch_unwind(AssertUnwindSafe(|| {
            self.poll_with(slot, |life| life.poll_after_panic(panic))
        }));
        if polled.is_err() {
            tracing::error!("an actor's cell panicked outside a handler and was dropped");
            let life = self.tenants.borrow_mut()[slot.0 as usize]
                .as_mut()
                .and_then(|tenant| tenant.life.take());
            self.move_out(slot, life);
        }
    }

    #[inline(always)]
    fn poll_with(
        &self,
        slot: Slot,
        poll: impl FnOnce(Pin<&mut (dyn Polled + 'static)>) -> Poll<()>,
    ) -> bool {
        // A wake-up may name a slot whose tenant has ended; one too many is harmless.
        let mut tenants = self.tenants.borrow_mut();
        let Some(Some(tenant)) = tenants.get_mut(slot.0 as usize) else { return false };
        let Some(life) = tenant.life.take() else { return false };
        let waker = Arc::as_ptr(&tenant.resident).cast::<()>().addr();
        self.shared.observer().tell(|observer| observer.polled(tenant.resident.core().name()));
        drop(tenants);
        let outer = self.current.replace(Current { slot, waker });
        let mut polling = Polling { local: self, slot, outer, life: Some(life) };
        let has_ended = polling.life.as_mut().is_some_and(|life| poll(life.as_mut()).is_ready());
        let life = polling.life.take();
        // The guard is there for a panic, and empty now.
        mem::forget(polling);
        self.polled(slot, outer, life, has_ended);
        true
    }

    #[inline(always)]
    fn polled(
        &self,
        slot: Slot,
        outer: Current,
        life: Option<Pin<Box<dyn Polled>>>,
        has_ended: bool,
    ) {
        self.current.set(outer);
        if has_ended {
            return self.move_out(slot, life);
        }
        if let Some(Some(tenant)) = self.tenants.borrow_mut().get_mut(slot.0 as usize) {
            tenant.life = life;
        }
    }

    #[cold]
    fn move_out(&self, slot: Slot, life: Option<Pin<Box<dyn Polled>>>) {
        self.queue.borrow_mut().leave(slot);
        if catch_unwind(AssertUnwindSafe(|| drop(life))).is_err() {
            tracing::error!("an actor panicked while it was dropped");
        }
        let tenant = self.tenants.borrow_mut().get_mut(slot.0 as usize).and_then(Option::take);
        drop(tenant);
        self.shared.left(Some(slot));
        self.slots.borrow_mut().free.push(slot);
    }

    /// Drops every tenant.
    pub(super) fn evict_all(&self) {
        let count = self.tenants.borrow().len();
        for at in 0..count {
            let life = self.tenants.borrow_mut()[at].as_mut().and_then(|tenant| tenant.life.take());
            if life.is_some() {
                self.move_out(Slot(u32::try_from(at).expect("slots are 32 bits wide")), life);
            }
        }
    }

    /// Charges a poll in turn that is over. Gives the time on the coarse clock.
    ///
    /// Most polls are shorter than its tick: who is polled when it moves is charged for all of it,
    /// which is right in the mean.
    #[inline(always)]
    pub(super) fn charge_poll(&self, slot: Slot) -> u64 {
        let clock = self.shared.timer().clock();
        let shared_to = self.shared_to.get();
        if shared_to != 0 {
            let now = clock.now();
            self.shared_to.set(now);
            self.queue.borrow_mut().charge(slot, now - shared_to);
        }
        let (now, before) = (clock.watch(), self.charged_to.get());
        if now != before {
            self.charged_to.set(now);
            self.charge(slot, now.saturating_sub(before));
        }
        now
    }

    /// Notes time that a tenant took.
    #[cold]
    pub(super) fn charge(&self, slot: Slot, nanoseconds: u64) {
        let tenants = self.tenants.borrow();
        let Some(Some(tenant)) = tenants.get(slot.0 as usize) else { return };
        let core = tenant.resident.core();
        let own = nanoseconds.saturating_sub(core.take_lent());
        core.charge(own);
        if own >= LONG_POLL {
            core.blocked(Duration::from_nanos(own));
        }
    }
}

/// A poll under way. Dropped by a panic, it puts the tenant back into its place.
struct Polling<'a> {
    local: &'a Local,
    slot: Slot,
    outer: Current,
    life: Option<Pin<Box<dyn Polled>>>,
}

impl Drop for Polling<'_> {
    #[cold]
    fn drop(&mut self) {
        let life = self.life.take();
        self.local.polled(self.slot, self.outer, life, false);
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
