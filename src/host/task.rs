use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    HostShared, Slot, Tenant,
    local::Local,
    remote::{Arrival, Mail},
    spin::Spin,
};

/// Polls of tenants in one poll of the host; then the other tasks of the arbiter have their turn.
const POLLS_PER_TURN: usize = 128;
/// The same in nanoseconds.
const TURN: u64 = 4_000_000;
/// A poll that takes so long is counted and logged, in nanoseconds.
const LONG_POLL: u64 = 10_000_000;

/// The task that an arbiter runs. It ends when its host is closed.
pub(crate) struct HostTask {
    shared: Arc<HostShared>,
    /// Made at the first poll: that is on the host's thread.
    local: Option<Rc<Local>>,
    tenants: Vec<Option<Tenant>>,
    mail: Mail,
    spin: Spin,
    /// Everybody was asked to leave; who comes later is asked too.
    leaving: bool,
}

enum Next {
    /// This one; whether CPU time has to be counted by group.
    Poll(Slot, bool),
    Wait,
    Close,
}

impl HostTask {
    pub(crate) fn new(shared: Arc<HostShared>) -> Self {
        let spin = Spin::new(shared.options.spin);
        Self {
            shared,
            local: None,
            tenants: Vec::new(),
            mail: Mail::default(),
            spin,
            leaving: false,
        }
    }

    fn turn(&mut self, local: &Local, cx: &mut Context<'_>) -> Poll<()> {
        let clock = local.shared.timer().clock();
        clock.look();
        let start = clock.coarse();
        let (mut last, mut polls) = (start, 0);
        // The exact time, where shares have to be counted; zero where nobody looked.
        let mut exact = 0;
        loop {
            let (slot, has_shares) = match self.next(local) {
                Next::Poll(slot, has_shares) => (slot, has_shares),
                Next::Wait => {
                    local.is_due.set(false);
                    return Poll::Pending;
                }
                Next::Close => return Poll::Ready(()),
            };
            if has_shares {
                self.poll_within_share(local, slot, &mut exact);
            } else {
                self.poll_tenant(local, slot);
            }
            let now = clock.coarse();
            if now != last {
                self.charge(slot, now.saturating_sub(last));
                last = now;
            }
            polls += 1;
            if polls >= POLLS_PER_TURN || now.saturating_sub(start) >= TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    /// Who is next; parks when there is nobody.
    #[inline]
    fn next(&mut self, local: &Local) -> Next {
        loop {
            if self.shared.letters.has_mail() && self.read_mail(local) {
                return Next::Close;
            }
            if let Some(arrivals) = local.take_arrivals() {
                arrivals.into_iter().for_each(|(slot, tenant)| self.move_in(slot, tenant));
            }
            let mut queue = local.queue.borrow_mut();
            if let Some(slot) = queue.pop() {
                return Next::Poll(slot, queue.has_groups());
            }
            drop(queue);
            let shared = &self.shared;
            if !self.spin.find(shared.timer().clock(), || shared.letters.has_mail())
                && shared.letters.park()
            {
                return Next::Wait;
            }
        }
    }

    /// Queues what has come from elsewhere. True when the host is closed.
    fn read_mail(&mut self, local: &Local) -> bool {
        let mut mail = std::mem::take(&mut self.mail);
        self.shared.fetch(&mut mail);
        for arrival in mail.arrivals.drain(..) {
            self.admit(local, arrival);
        }
        let mut queue = local.queue.borrow_mut();
        mail.wakes.drain(..).for_each(|slot| queue.push(slot));
        drop(queue);
        if mail.leaving {
            self.leaving = true;
            let residents = self.tenants.iter().flatten().filter_map(|it| it.resident.as_ref());
            residents.for_each(|resident| resident.leave());
        }
        let closed = mail.closed;
        self.mail = mail;
        closed
    }

    fn admit(&mut self, local: &Local, arrival: Arrival) {
        let slot = local.new_slot();
        // Wakers and addresses are made here; the factory runs at the first poll.
        match catch_unwind(AssertUnwindSafe(|| arrival(slot))) {
            Ok(tenant) => {
                let mut queue = local.queue.borrow_mut();
                queue.join(slot, tenant.group.as_ref());
                queue.push(slot);
                drop(queue);
                self.move_in(slot, tenant);
            }
            Err(_) => {
                local.free_slot(slot);
                self.shared.left(None);
            }
        }
    }

    fn move_in(&mut self, slot: Slot, tenant: Tenant) {
        if self.leaving
            && let Some(resident) = &tenant.resident
        {
            resident.leave();
        }
        let at = slot.0 as usize;
        if self.tenants.len() <= at {
            self.tenants.resize_with(at + 1, || None);
        }
        self.tenants[at] = Some(tenant);
    }

    #[cold]
    fn poll_within_share(&mut self, local: &Local, slot: Slot, exact: &mut u64) {
        let clock = local.shared.timer().clock();
        if *exact == 0 {
            *exact = clock.now();
        }
        self.poll_tenant(local, slot);
        let now = clock.now();
        local.queue.borrow_mut().charge(slot, now - *exact);
        *exact = now;
    }

    #[inline]
    fn poll_tenant(&mut self, local: &Local, slot: Slot) {
        // A wake-up may name a slot whose tenant has ended; one too many is harmless.
        let Some(Some(tenant)) = self.tenants.get_mut(slot.0 as usize) else { return };
        let Tenant { future, waker, resident, .. } = tenant;
        self.shared.observer().tell(|observer| {
            observer.polled(resident.as_ref().map_or("", |resident| resident.core().name()));
        });
        local.set_current(resident.take(), waker.data().addr());
        let mut cx = Context::from_waker(waker);
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx)));
        *resident = local.set_current(None, 0);
        match polled {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(())) => self.evict(local, slot),
            Err(_) => {
                tracing::error!("an actor's cell panicked outside a handler and was dropped");
                self.evict(local, slot);
            }
        }
    }

    /// Notes the time since the clock was last seen to move. Most polls are shorter than its tick:
    /// who is polled when it moves is charged for all of it, which is right in the mean.
    #[cold]
    fn charge(&self, slot: Slot, nanoseconds: u64) {
        let Some(Some(tenant)) = self.tenants.get(slot.0 as usize) else { return };
        let Some(resident) = &tenant.resident else { return };
        resident.core().charge(nanoseconds);
        if nanoseconds >= LONG_POLL {
            resident.core().blocked(Duration::from_nanos(nanoseconds));
        }
    }

    fn evict(&mut self, local: &Local, slot: Slot) {
        let tenant = self.tenants[slot.0 as usize].take();
        local.queue.borrow_mut().leave(slot);
        if catch_unwind(AssertUnwindSafe(|| drop(tenant))).is_err() {
            tracing::error!("an actor panicked while it was dropped");
        }
        self.shared.left(Some(slot));
        local.free_slot(slot);
    }

    /// Drops every tenant.
    fn evict_all(&mut self, local: &Local) {
        if let Some(arrivals) = local.take_arrivals() {
            arrivals.into_iter().for_each(|(slot, tenant)| self.move_in(slot, tenant));
        }
        for at in 0..self.tenants.len() {
            if self.tenants[at].is_some() {
                self.evict(local, Slot(u32::try_from(at).expect("slots are 32 bits wide")));
            }
        }
    }
}

impl Drop for HostTask {
    /// A host whose arbiter ended before it could be polled once more ends in order all the same:
    /// those who live there are dropped one by one, those on their way too.
    fn drop(&mut self) {
        self.shared.close();
        let mut mail = Mail::default();
        self.shared.fetch(&mut mail);
        for arrival in mail.arrivals {
            if catch_unwind(AssertUnwindSafe(|| drop(arrival))).is_err() {
                tracing::error!("an actor panicked while it was dropped");
            }
            self.shared.left(None);
        }
        if let Some(local) = self.local.take() {
            self.evict_all(&local);
            local.exit();
            // Who was brought while the last ones were dropped.
            self.evict_all(&local);
        }
    }
}

impl Future for HostTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let local = this.local.take().unwrap_or_else(|| Local::enter(this.shared.clone()));
        local.is_due.set(true);
        if !local.task.borrow().will_wake(cx.waker()) {
            this.shared.letters.set_task(cx.waker());
            let before = local.task.replace(cx.waker().clone());
            drop(before);
        }
        let by_mail = this.shared.letters.has_mail();
        this.shared.letters.unpark();
        this.spin.woken(by_mail, this.shared.timer().clock());
        let polled = this.turn(&local, cx);
        if polled.is_ready() {
            this.evict_all(&local);
        }
        this.local = Some(local);
        polled
    }
}
