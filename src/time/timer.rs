use std::{
    cell::Cell,
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
    time::Duration,
};

use crossbeam::utils::CachePadded;
use parking_lot::Mutex;
use tokio::{runtime::Handle, time::Sleep};

use super::{
    Clock,
    clock::TICK,
    wheel::{Key, Wheel},
};

/// Wheels, so that threads seldom meet at one.
const SHARDS: usize = 8;
/// Nanoseconds in a tick of a wheel.
const TICK_OF_WHEEL: u64 = 1_000_000;
const NEVER: u64 = u64::MAX;

/// The clock of a system and the task that wakes whoever waits for a time.
#[derive(Clone)]
pub(crate) struct Timer(Arc<Inner>);

struct Inner {
    runtime: Handle,
    clock: Arc<Clock>,
    wheels: [CachePadded<Mutex<Wheel>>; SHARDS],
    /// The first tick at which something is due.
    next: AtomicU64,
}

/// A waker among those that wait.
#[derive(Debug)]
pub(crate) struct Registration {
    timer: Timer,
    shard: usize,
    key: Key,
    /// When it is woken at the latest, in nanoseconds.
    pub(crate) fires: u64,
}

impl Timer {
    /// Timers that are driven by this runtime.
    pub(crate) fn new(runtime: Handle, clock: Clock) -> Self {
        let timer = Self(Arc::new(Inner {
            runtime,
            clock: Arc::new(clock),
            wheels: std::array::from_fn(|_| CachePadded::new(Mutex::new(Wheel::new()))),
            next: AtomicU64::new(NEVER),
        }));
        let task = drive(Arc::downgrade(&timer.0), timer.0.clock.clone());
        drop(timer.0.runtime.spawn(task));
        timer
    }

    #[inline]
    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// A sleep that is driven by the timer's runtime, whoever polls it.
    pub(crate) fn sleep(&self, duration: Duration) -> Sleep {
        let _entered = self.0.runtime.enter();
        tokio::time::sleep(duration)
    }

    /// Notes whom to wake, at `due` nanoseconds or somewhat before.
    pub(crate) fn register(&self, due: u64, waker: Waker) -> Registration {
        let shard = shard();
        let now = self.clock().coarse() / TICK_OF_WHEEL;
        let (key, tick) =
            self.0.wheels[shard].lock().insert(now, due.div_ceil(TICK_OF_WHEEL), waker);
        if tick < self.0.next.fetch_min(tick, Ordering::AcqRel) {
            self.0.clock.wake();
        }
        Registration { timer: self.clone(), shard, key, fires: tick * TICK_OF_WHEEL }
    }

    /// Wakes whoever is due and says when the next one is, in nanoseconds.
    fn fire(&self, wakers: &mut Vec<Waker>) -> Option<u64> {
        let now = self.clock().now() / TICK_OF_WHEEL;
        let next = self.0.next.load(Ordering::Acquire);
        if next == NEVER {
            return None;
        }
        if now < next {
            return Some(next * TICK_OF_WHEEL);
        }
        // Before the wheels are looked at: who registers meanwhile lowers it again.
        self.0.next.store(NEVER, Ordering::Release);
        for wheel in &self.0.wheels {
            let mut wheel = wheel.lock();
            wheel.fire(now, wakers);
            if let Some(next) = wheel.next() {
                self.0.next.fetch_min(next, Ordering::AcqRel);
            }
        }
        wakers.drain(..).for_each(Waker::wake);
        let next = self.0.next.load(Ordering::Acquire);
        (next != NEVER).then(|| next * TICK_OF_WHEEL)
    }
}

impl Registration {
    pub(super) fn is_of(&self, timer: &Timer) -> bool {
        Arc::ptr_eq(&self.timer.0, &timer.0)
    }

    /// Whether it still stands.
    pub(super) fn is_live(&self) -> bool {
        self.timer.0.wheels[self.shard].lock().is_live(self.key)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let waker = self.timer.0.wheels[self.shard].lock().remove(self.key);
        drop(waker);
    }
}

/// Turns the wheels and moves the coarse clock, as long as anybody holds the timer.
async fn drive(timer: Weak<Inner>, clock: Arc<Clock>) {
    let (mut idle, mut wakers) = (0, Vec::new());
    loop {
        let Some(inner) = timer.upgrade() else { return };
        // The coarse clock first: whoever is woken sees a time that is not before its own.
        let goes = clock.tick(&mut idle);
        let next = Timer(inner).fire(&mut wakers);
        let wait = next.map(|next| Duration::from_nanos(next.saturating_sub(clock.now())));
        let wait = match (goes, wait) {
            (true, Some(wait)) => Some(wait.min(TICK)),
            (true, None) => Some(TICK),
            (false, wait) => wait,
        };
        match wait {
            // At the granularity of the runtime's timers.
            Some(wait) => drop(tokio::time::timeout(wait, clock.wanted()).await),
            None => clock.wanted().await,
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The task sees that nobody is left.
        self.clock.wake();
        for wheel in &self.wheels {
            let wakers = wheel.lock().clear();
            drop(wakers);
        }
    }
}

/// The wheel of this thread.
fn shard() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: Cell<usize> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS);
    }
    SHARD.try_with(Cell::get).unwrap_or(0)
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").field("clock", &self.0.clock).finish_non_exhaustive()
    }
}
