use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    pin::Pin,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::Poll,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    GroupKey,
    letters::{Letters, TakesSlips},
    local::{arrive_local, wake_local},
    observer::ObserverSlot,
    tenants::put_at,
};
use crate::{actor::Core, time::Timer};

/// A place in a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(pub(crate) u32);

/// What a host polls: a future that has a waker of its own.
pub(crate) trait Polled {
    /// Goes on. Ready when it has ended.
    fn poll(self: Pin<&mut Self>) -> Poll<()>;
    /// Goes on after a poll that panicked. A panic of this call ends it.
    fn poll_after_panic(self: Pin<&mut Self>, panic: Box<dyn Any + Send>) -> Poll<()>;
}

/// Who lives in a host.
pub(crate) struct Tenant {
    /// Taken out while it is polled.
    pub(crate) life: Option<Pin<Box<dyn Polled>>>,
    /// Its address is what the data of its waker points to.
    pub(crate) resident: Arc<dyn Resident>,
}

/// A tenant that moves in, and with whom it shares CPU time.
pub(crate) struct Arriving {
    pub(crate) tenant: Tenant,
    pub(crate) group: Option<GroupKey>,
}

/// What a host asks of those who live in it.
pub(crate) trait Resident: Send + Sync {
    /// The system shuts down.
    fn leave(&self);
    /// What is known of it besides its messages.
    fn core(&self) -> &Core;
    /// How full its mailbox is, for whoever looks from outside.
    fn look(&self) -> crate::actor::Look;
}

/// Makes a tenant on the host's thread, once its slot is known.
pub(super) type Arrival = Box<dyn FnOnce(Slot) -> Arriving + Send>;

/// How a host runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostOptions {
    /// Its number among the hosts of its system.
    pub(crate) index: usize,
    /// Whether it may spin before it parks.
    pub(crate) spin: bool,
}

/// The side of a host that other threads see.
pub(crate) struct HostShared {
    id: u64,
    pub(super) options: HostOptions,
    timer: Timer,
    pub(super) letters: Letters<List>,
    /// Those who live here or are on their way.
    tenants: AtomicUsize,
    residents: Mutex<Vec<Option<Arc<dyn Resident>>>>,
    emptied: Notify,
    /// What the system above wants its actors to find.
    extension: OnceLock<Weak<dyn Any + Send + Sync>>,
    observer: ObserverSlot,
}

/// The hosts of this process: whoever follows who waits for whom may come from one to another.
static HOSTS: Mutex<BTreeMap<u64, Weak<HostShared>>> = Mutex::new(BTreeMap::new());

#[derive(Default)]
pub(super) struct List {
    wakes: Vec<Slot>,
    arrivals: Vec<Arrival>,
    leaving: bool,
    closed: bool,
}

impl TakesSlips for List {
    fn take_slip(&mut self, slip: u32) {
        self.wakes.push(Slot(slip));
    }
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
    pub(crate) fn new(timer: Timer, options: HostOptions) -> Arc<Self> {
        static LAST_ID: AtomicU64 = AtomicU64::new(0);
        let host = Arc::new(Self {
            id: LAST_ID.fetch_add(1, Ordering::Relaxed) + 1,
            options,
            timer,
            letters: Letters::new(List::default()),
            tenants: AtomicUsize::new(0),
            residents: Mutex::new(Vec::new()),
            emptied: Notify::new(),
            extension: OnceLock::new(),
            observer: ObserverSlot::default(),
        });
        HOSTS.lock().insert(host.id, Arc::downgrade(&host));
        host
    }

    /// The host of this process with this id.
    pub(crate) fn by_id(id: u64) -> Option<Arc<Self>> {
        HOSTS.lock().get(&id)?.upgrade()
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Its number among the hosts of its system.
    pub(crate) fn index(&self) -> usize {
        self.options.index
    }

    #[inline]
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

    /// Whether it waits because nobody has anything to do.
    pub(crate) fn is_parked(&self) -> bool {
        self.letters.is_parked()
    }

    /// Notes who lives in a slot.
    pub(crate) fn move_in(&self, slot: Slot, resident: Arc<dyn Resident>) {
        put_at(&mut self.residents.lock(), slot.0 as usize, resident);
    }

    pub(super) fn left(&self, slot: Option<Slot>) {
        let resident = slot
            .and_then(|slot| self.residents.lock().get_mut(slot.0 as usize).and_then(Option::take));
        drop(resident);
        if self.tenants.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.emptied.notify_waiters();
        }
    }

    /// Who lives in a slot.
    pub(crate) fn resident(&self, slot: Slot) -> Option<Arc<dyn Resident>> {
        self.residents.lock().get(slot.0 as usize).cloned().flatten()
    }

    /// Everybody who lives here.
    pub(crate) fn residents(&self) -> Vec<Arc<dyn Resident>> {
        self.residents.lock().iter().flatten().cloned().collect()
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
            self.wake_from_elsewhere(slot);
        }
    }

    #[inline(never)]
    fn wake_from_elsewhere(&self, slot: Slot) {
        self.letters.slip(slot.0);
    }

    /// Brings a new tenant. False when the host is closed.
    pub(crate) fn bring(&self, arrival: impl FnOnce(Slot) -> Arriving + Send + 'static) -> bool {
        self.tenants.fetch_add(1, Ordering::AcqRel);
        let Err(arrival) = arrive_local(self.id, arrival) else { return true };
        let is_open = self.post(|list| list.arrivals.push(Box::new(arrival)));
        if !is_open {
            self.left(None);
        }
        is_open
    }

    /// Ends the host: its tenants are dropped on its own thread.
    pub(crate) fn close(&self) {
        self.post(|list| list.closed = true);
    }

    /// False when the host is closed.
    fn post(&self, put: impl FnOnce(&mut List)) -> bool {
        self.letters.post(|list| {
            if list.closed {
                return false;
            }
            put(list);
            true
        })
    }

    /// Takes what has come.
    pub(super) fn fetch(&self, mail: &mut Mail) {
        let slip = self.letters.fetch(|list| {
            std::mem::swap(&mut mail.wakes, &mut list.wakes);
            std::mem::swap(&mut mail.arrivals, &mut list.arrivals);
            mail.leaving = std::mem::take(&mut list.leaving);
            mail.closed = list.closed;
        });
        mail.wakes.extend(slip.map(Slot));
    }
}

impl Drop for HostShared {
    fn drop(&mut self) {
        HOSTS.lock().remove(&self.id);
    }
}

impl fmt::Debug for HostShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostShared").field("id", &self.id).finish_non_exhaustive()
    }
}
