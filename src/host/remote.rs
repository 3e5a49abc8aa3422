use std::{
    any::Any,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{observer::ObserverSlot, run_queue::wake_local};
use crate::time::Timer;

/// A place in a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(pub(crate) u32);

/// A future that lives in a host, with the waker that names its slot.
pub(crate) struct Tenant {
    pub(crate) future: Pin<Box<dyn Future<Output = ()>>>,
    pub(crate) waker: Waker,
    pub(crate) resident: Arc<dyn Resident>,
}

/// What a host asks of those who live in it.
pub(crate) trait Resident: Send + Sync {
    /// The system shuts down.
    fn leave(&self);
    /// Its name, for whoever observes the host.
    fn name(&self) -> &str;
}

/// Makes a tenant on the host's thread, once its slot is known.
pub(super) type Arrival = Box<dyn FnOnce(Slot) -> Tenant + Send>;

/// The side of a host that other threads see.
pub(crate) struct HostShared {
    id: u64,
    timer: Timer,
    list: Mutex<List>,
    /// Whether the list has something: lets the host look without the lock.
    pending: AtomicBool,
    /// Those who live here or are on their way.
    tenants: AtomicUsize,
    emptied: Notify,
    /// What the system above wants its actors to find.
    extension: OnceLock<Weak<dyn Any + Send + Sync>>,
    observer: ObserverSlot,
}

#[derive(Default)]
struct List {
    wakes: Vec<Slot>,
    arrivals: Vec<Arrival>,
    /// The host's task, while it waits for this list.
    parked: Option<Waker>,
    leaving: bool,
    closed: bool,
}

/// What had come for the host.
#[derive(Default)]
pub(super) struct Mail {
    pub(super) wakes: Vec<Slot>,
    pub(super) arrivals: Vec<Arrival>,
    /// Everybody is to leave.
    pub(super) leaving: bool,
    pub(super) closed: bool,
}

impl HostShared {
    pub(crate) fn new(timer: Timer) -> Arc<Self> {
        static LAST_ID: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            id: LAST_ID.fetch_add(1, Ordering::Relaxed) + 1,
            timer,
            list: Mutex::new(List::default()),
            pending: AtomicBool::new(false),
            tenants: AtomicUsize::new(0),
            emptied: Notify::new(),
            extension: OnceLock::new(),
            observer: ObserverSlot::default(),
        })
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn timer(&self) -> &Timer {
        &self.timer
    }

    pub(crate) fn observer(&self) -> &ObserverSlot {
        &self.observer
    }

    /// How many live here or are on their way.
    pub(crate) fn tenants(&self) -> usize {
        self.tenants.load(Ordering::Acquire)
    }

    pub(super) fn left(&self) {
        if self.tenants.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.emptied.notify_waiters();
        }
    }

    /// Waits until nobody lives here.
    pub(crate) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.tenants() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Asks everybody to leave; who comes later is asked on arrival.
    pub(crate) fn ask_all_to_leave(&self) {
        self.post(|list| list.leaving = true);
    }

    pub(crate) fn set_extension(&self, extension: Weak<dyn Any + Send + Sync>) {
        let already_set = self.extension.set(extension).is_err();
        debug_assert!(!already_set, "a host belongs to one system");
    }

    pub(crate) fn extension(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.extension.get()?.upgrade()
    }

    /// Makes the host poll a slot.
    #[inline]
    pub(crate) fn wake(&self, slot: Slot) {
        if !wake_local(self.id, slot) {
            self.post(|list| list.wakes.push(slot));
        }
    }

    /// Brings a new tenant. False when the host is closed.
    pub(crate) fn bring(&self, arrival: impl FnOnce(Slot) -> Tenant + Send + 'static) -> bool {
        self.tenants.fetch_add(1, Ordering::AcqRel);
        let is_open = self.post(|list| list.arrivals.push(Box::new(arrival)));
        if !is_open {
            self.left();
        }
        is_open
    }

    /// Ends the host: its tenants are dropped on its own thread.
    pub(crate) fn close(&self) {
        self.post(|list| list.closed = true);
    }

    fn post(&self, put: impl FnOnce(&mut List)) -> bool {
        let parked = {
            let mut list = self.list.lock();
            if list.closed {
                return false;
            }
            put(&mut list);
            self.pending.store(true, Ordering::Release);
            list.parked.take()
        };
        if let Some(host) = parked {
            host.wake();
        }
        true
    }

    /// Whether there is something to fetch.
    pub(super) fn has_mail(&self) -> bool {
        self.pending.load(Ordering::Acquire)
    }

    /// Takes what has come. When there is nothing, the host is parked: the next post wakes it.
    pub(super) fn fetch(&self, mail: &mut Mail, park: Option<&Waker>) -> bool {
        let mut list = self.list.lock();
        std::mem::swap(&mut mail.wakes, &mut list.wakes);
        std::mem::swap(&mut mail.arrivals, &mut list.arrivals);
        mail.leaving = std::mem::take(&mut list.leaving);
        mail.closed = list.closed;
        self.pending.store(false, Ordering::Relaxed);
        let found =
            !mail.wakes.is_empty() || !mail.arrivals.is_empty() || mail.leaving || mail.closed;
        if let (false, Some(waker)) = (found, park) {
            match &mut list.parked {
                Some(parked) => parked.clone_from(waker),
                parked => *parked = Some(waker.clone()),
            }
        }
        found
    }
}

impl fmt::Debug for HostShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostShared").field("id", &self.id).finish_non_exhaustive()
    }
}
