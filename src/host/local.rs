use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    task::Waker,
};

use super::{HostShared, Resident, Slot, Tenant, run_queue::RunQueue};

/// The side of a host that its own thread sees.
pub(super) struct Local {
    id: u64,
    pub(super) shared: Arc<HostShared>,
    pub(super) queue: RefCell<RunQueue>,
    /// Those who came from this thread and were not taken in yet.
    arrivals: RefCell<Vec<(Slot, Tenant)>>,
    has_arrivals: Cell<bool>,
    slots: RefCell<Slots>,
    /// The host's task is being polled, or was woken to be.
    pub(super) is_due: Cell<bool>,
    pub(super) task: RefCell<Waker>,
    /// Who is being polled, for the time of its poll.
    current: Cell<Option<Arc<dyn Resident>>>,
    /// What identifies its waker.
    current_waker: Cell<usize>,
}

#[derive(Debug, Default)]
struct Slots {
    free: Vec<Slot>,
    next: u32,
}

thread_local! {
    /// The hosts of this thread: one, but in tests.
    static HOSTS: RefCell<Vec<Rc<Local>>> = const { RefCell::new(Vec::new()) };
}

impl Local {
    /// The local side of a host, known to its thread from now on.
    pub(super) fn enter(shared: Arc<HostShared>) -> Rc<Self> {
        let local = Rc::new(Self {
            id: shared.id(),
            shared,
            queue: RefCell::new(RunQueue::new()),
            arrivals: RefCell::default(),
            has_arrivals: Cell::new(false),
            slots: RefCell::default(),
            is_due: Cell::new(true),
            task: RefCell::new(Waker::noop().clone()),
            current: Cell::new(None),
            current_waker: Cell::new(0),
        });
        HOSTS.with(|hosts| hosts.borrow_mut().push(local.clone()));
        local
    }

    /// Forgets it.
    pub(super) fn exit(&self) {
        let id = self.id;
        // A thread that ends has no locals any more: `try_with`.
        let left = HOSTS.try_with(|hosts| {
            let mut hosts = hosts.borrow_mut();
            let at = hosts.iter().position(|local| local.id == id);
            at.map(|at| hosts.swap_remove(at))
        });
        drop(left);
    }

    /// Queues a slot and sees to it that the host is polled.
    #[inline]
    fn wake(&self, slot: Slot) {
        let Ok(mut queue) = self.queue.try_borrow_mut() else { return };
        queue.push(slot);
        drop(queue);
        self.be_polled();
    }

    #[inline]
    fn be_polled(&self) {
        if !self.is_due.replace(true) {
            self.wake_task();
        }
    }

    fn wake_task(&self) {
        self.task.borrow().wake_by_ref();
    }

    pub(super) fn new_slot(&self) -> Slot {
        let mut slots = self.slots.borrow_mut();
        slots.free.pop().unwrap_or_else(|| {
            let slot = Slot(slots.next);
            slots.next = slots.next.checked_add(1).expect("fewer than 2^32 actors in a host");
            slot
        })
    }

    pub(super) fn free_slot(&self, slot: Slot) {
        self.slots.borrow_mut().free.push(slot);
    }

    fn arrive(&self, arrival: impl FnOnce(Slot) -> Tenant) {
        let slot = self.new_slot();
        let tenant = arrival(slot);
        self.queue.borrow_mut().join(slot, tenant.group.as_ref());
        self.queue.borrow_mut().push(slot);
        self.arrivals.borrow_mut().push((slot, tenant));
        self.has_arrivals.set(true);
        self.be_polled();
    }

    /// Those who came from this thread.
    #[inline]
    pub(super) fn take_arrivals(&self) -> Option<Vec<(Slot, Tenant)>> {
        self.has_arrivals.get().then(|| {
            self.has_arrivals.set(false);
            self.arrivals.take()
        })
    }

    /// Says who is being polled. Gives back who was.
    #[inline]
    pub(super) fn set_current(
        &self,
        resident: Option<Arc<dyn Resident>>,
        waker: usize,
    ) -> Option<Arc<dyn Resident>> {
        self.current_waker.set(waker);
        self.current.replace(resident)
    }
}

fn with_local<R>(host: u64, with: impl FnOnce(&Local) -> R) -> Option<R> {
    let found = HOSTS.try_with(|hosts| {
        let hosts = hosts.try_borrow().ok()?;
        hosts.iter().find(|local| local.id == host).map(|local| with(local))
    });
    found.ok().flatten()
}

/// Queues a slot of a host of this thread. False when that host is elsewhere.
#[inline]
pub(super) fn wake_local(host: u64, slot: Slot) -> bool {
    with_local(host, |local| local.wake(slot)).is_some()
}

/// Brings a tenant to a host of this thread. Gives it back when that host is elsewhere.
pub(super) fn arrive_local<F: FnOnce(Slot) -> Tenant>(host: u64, arrival: F) -> Result<(), F> {
    let mut arrival = Some(arrival);
    with_local(host, |local| local.arrive(arrival.take().expect("it arrives once")));
    arrival.map_or(Ok(()), Err)
}

/// Runs with the actor that is being polled on this thread, if this is its waker.
#[inline]
pub(crate) fn current<R>(waker: &Waker, with: impl FnOnce(&dyn Resident) -> R) -> Option<R> {
    let waker = waker.data().addr();
    with_polled(|at| at == waker, with)
}

/// Runs with the actor that is being polled on this thread, if any is.
#[inline]
pub(crate) fn with_current<R>(with: impl FnOnce(&dyn Resident) -> R) -> Option<R> {
    with_polled(|at| at != 0, with)
}

#[inline]
fn with_polled<R>(
    is_it: impl Fn(usize) -> bool,
    with: impl FnOnce(&dyn Resident) -> R,
) -> Option<R> {
    let found = HOSTS.try_with(|hosts| {
        let hosts = hosts.try_borrow().ok()?;
        let local = hosts.iter().find(|local| is_it(local.current_waker.get()))?;
        let resident = local.current.take()?;
        let outcome = with(&*resident);
        local.current.set(Some(resident));
        Some(outcome)
    });
    found.ok().flatten()
}
