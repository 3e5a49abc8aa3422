use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    task::Waker,
};

use super::{Arriving, HostShared, Resident, Slot, Tenant, run_queue::RunQueue};

/// The side of a host that its own thread sees.
pub(super) struct Local {
    id: u64,
    pub(super) shared: Arc<HostShared>,
    pub(super) queue: RefCell<RunQueue>,
    /// By slot; who is being polled is out.
    pub(super) tenants: RefCell<Vec<Option<Tenant>>>,
    pub(super) slots: RefCell<Slots>,
    /// Everybody was asked to leave; who comes later is asked too.
    pub(super) leaving: Cell<bool>,
    /// Polls out of turn that are left until the host's task runs again.
    pub(super) direct_left: Cell<u32>,
    /// How many polls are under way, one within the other.
    pub(super) depth: Cell<u32>,
    /// The host's task is being polled, or was woken to be.
    pub(super) is_due: Cell<bool>,
    pub(super) task: RefCell<Waker>,
    /// Who was polled last in turn; nobody while mail is read.
    pub(super) last: Cell<Option<Slot>>,
    /// Who is being polled, for the time of its poll.
    pub(super) current: Cell<Current>,
    /// Up to when CPU time was charged, on the coarse clock.
    pub(super) charged_to: Cell<u64>,
    /// The same on the exact clock, where shares are counted; zero where nobody looked.
    pub(super) shared_to: Cell<u64>,
}

/// Who is being polled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Current {
    pub(super) slot: Slot,
    /// What its waker points to; zero for nobody.
    pub(super) waker: usize,
}

impl Current {
    pub(super) const NOBODY: Self = Self { slot: Slot(u32::MAX), waker: 0 };
}

#[derive(Debug, Default)]
pub(super) struct Slots {
    pub(super) free: Vec<Slot>,
    pub(super) next: u32,
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
            tenants: RefCell::default(),
            slots: RefCell::default(),
            leaving: Cell::new(false),
            direct_left: Cell::new(0),
            depth: Cell::new(0),
            is_due: Cell::new(true),
            task: RefCell::new(Waker::noop().clone()),
            last: Cell::new(None),
            current: Cell::new(Current::NOBODY),
            charged_to: Cell::new(0),
            shared_to: Cell::new(0),
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
}

/// A host of this thread.
pub(super) fn local(host: u64) -> Option<Rc<Local>> {
    let found = HOSTS.try_with(|hosts| {
        let hosts = hosts.try_borrow().ok()?;
        hosts.iter().find(|local| local.id == host).cloned()
    });
    found.ok().flatten()
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
pub(super) fn arrive_local<F: FnOnce(Slot) -> Arriving>(host: u64, arrival: F) -> Result<(), F> {
    let mut arrival = Some(arrival);
    with_local(host, |local| {
        if !local.admit(arrival.take().expect("it arrives once")) {
            local.shared.left(None);
        }
        local.be_polled();
    });
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
        let local = hosts.iter().find(|local| is_it(local.current.get().waker))?;
        let tenants = local.tenants.borrow();
        let tenant = tenants.get(local.current.get().slot.0 as usize)?.as_ref()?;
        Some(with(&*tenant.resident))
    });
    found.ok().flatten()
}
