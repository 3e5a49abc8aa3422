use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    HostShared, Slot, Tenant,
    remote::{Arrival, Mail},
    run_queue::{self, Entered, RunQueue},
};

/// Polls of tenants in one poll of the host; then the other tasks of the arbiter have their turn.
const POLLS_PER_TURN: usize = 128;

/// The task that an arbiter runs. It ends when its host is closed.
pub(crate) struct HostTask {
    shared: Arc<HostShared>,
    tenants: Vec<Option<Tenant>>,
    free: Vec<Slot>,
    queue: RunQueue,
    mail: Mail,
    /// Everybody was asked to leave; who comes later is asked too.
    leaving: bool,
}

impl HostTask {
    pub(crate) fn new(shared: Arc<HostShared>) -> Self {
        Self {
            shared,
            tenants: Vec::new(),
            free: Vec::new(),
            queue: RunQueue::default(),
            mail: Mail::default(),
            leaving: false,
        }
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..POLLS_PER_TURN {
            if self.shared.has_mail() && self.read_mail(None) {
                return Poll::Ready(());
            }
            match run_queue::pop_local() {
                Some(slot) => self.poll_tenant(slot),
                None => {
                    if self.read_mail(Some(cx)) {
                        return Poll::Ready(());
                    }
                    if run_queue::local_is_empty() {
                        return Poll::Pending;
                    }
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Queues what has come from elsewhere; parks when there is nothing. True when the host is
    /// closed.
    fn read_mail(&mut self, park: Option<&mut Context<'_>>) -> bool {
        let mut mail = std::mem::take(&mut self.mail);
        let found = self.shared.fetch(&mut mail, park.map(|cx| cx.waker()));
        if found {
            for arrival in mail.arrivals.drain(..) {
                self.admit(arrival);
            }
            for slot in mail.wakes.drain(..) {
                run_queue::push_local(slot);
            }
            if mail.leaving {
                self.leaving = true;
                self.tenants.iter().flatten().for_each(|tenant| tenant.resident.leave());
            }
        }
        let closed = mail.closed;
        self.mail = mail;
        closed
    }

    fn admit(&mut self, arrival: Arrival) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.tenants.push(None);
            Slot(u32::try_from(self.tenants.len() - 1).expect("fewer than 2^32 actors in a host"))
        });
        // The factory is user code; the cell catches its panics, this catches what is left.
        match catch_unwind(AssertUnwindSafe(|| arrival(slot))) {
            Ok(tenant) => {
                if self.leaving {
                    tenant.resident.leave();
                }
                self.tenants[slot.0 as usize] = Some(tenant);
                run_queue::push_local(slot);
            }
            Err(_) => {
                self.free.push(slot);
                self.shared.left();
            }
        }
    }

    fn poll_tenant(&mut self, slot: Slot) {
        // A wake-up may name a slot whose tenant has ended; one too many is harmless.
        let Some(Some(tenant)) = self.tenants.get_mut(slot.0 as usize) else { return };
        let Tenant { future, waker, resident } = tenant;
        self.shared.observer().tell(|observer| observer.polled(resident.name()));
        let mut cx = Context::from_waker(waker);
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx)));
        match polled {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(())) => self.evict(slot),
            Err(_) => {
                tracing::error!("an actor's cell panicked outside a handler and was dropped");
                self.evict(slot);
            }
        }
    }

    fn evict(&mut self, slot: Slot) {
        let tenant = self.tenants[slot.0 as usize].take();
        self.free.push(slot);
        if catch_unwind(AssertUnwindSafe(|| drop(tenant))).is_err() {
            tracing::error!("an actor panicked while it was dropped");
        }
        self.shared.left();
    }

    /// Drops every tenant.
    fn evict_all(&mut self) {
        for at in 0..self.tenants.len() {
            if self.tenants[at].is_some() {
                self.evict(Slot(u32::try_from(at).expect("slots are 32 bits wide")));
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
        self.shared.fetch(&mut mail, None);
        for arrival in mail.arrivals {
            if catch_unwind(AssertUnwindSafe(|| drop(arrival))).is_err() {
                tracing::error!("an actor panicked while it was dropped");
            }
            self.shared.left();
        }
        self.evict_all();
    }
}

impl Future for HostTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let shared = this.shared.clone();
        let mut queue = std::mem::take(&mut this.queue);
        let entered = Entered::new(shared.id(), &mut queue);
        let polled = this.turn(cx);
        if polled.is_ready() {
            // Within the poll, so that what the tenants drop still finds its host.
            this.evict_all();
        }
        drop(entered);
        this.queue = queue;
        polled
    }
}
