use std::{
    fmt,
    future::Future,
    ops::Deref,
    panic::Location,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    ActorPanic, Probe,
    rest::{advance, rest},
    watch::{Restless, Watch},
};
use crate::{
    error::Result,
    message::Message,
    system::{Embedded, System, SystemBuilder, entry::Given},
};

/// A system for one test: on the test's own thread, over an embedded store, with a clock that the
/// test moves.
///
/// `#[callboard::test]` gives one to a test that takes it, and finishes it afterwards. A panic in an
/// actor fails the test unless it was [expected](Self::expect_panic).
///
/// # Examples
/// ```
/// use callboard::{prelude::*, testing::TestSystem};
///
/// #[derive(Message)]
/// #[message(reply = u32)]
/// struct Ticks;
///
/// #[derive(Actor, Default)]
/// struct Clock { ticks: u32 }
/// #[handlers]
/// impl Clock {
///     #[every("10ms")]
///     fn tick(&mut self) { self.ticks += 1; }
///     #[handle]
///     fn ticks(&mut self, _: Ticks) -> u32 { self.ticks }
/// }
///
/// # fn main() { callboard::__private::run_test_with_system(a_clock_ticks); }
/// # /*
/// #[callboard::test]
/// # */
/// async fn a_clock_ticks(test: TestSystem) {
///     let clock = test.spawn(Clock::default).unwrap();
///     test.quiesce().await;
///     test.advance(Duration::from_secs(1)).await;
///     assert_eq!(clock.ask(Ticks).await.unwrap(), 100);
/// }
/// ```
pub struct TestSystem(Arc<Inner>);

struct Inner {
    system: System,
    watch: Arc<Watch>,
    /// An instant at which the runtime's timers tick.
    epoch: Instant,
    is_finished: AtomicBool,
}

impl TestSystem {
    /// Starts one. Pauses the clock if it runs.
    ///
    /// # Panics
    /// Panics outside a `LocalSet` of a current-thread runtime: `#[callboard::test]` gives both.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, nothing is left of it.
    #[track_caller]
    pub fn start() -> impl Future<Output = Self> {
        Self::start_with(|builder| builder)
    }

    /// As [`start`](Self::start), with settings of one's own: a name, a store that other systems of
    /// the test share, `always_remote`.
    ///
    /// # Panics
    /// As [`start`](Self::start), and when the settings are wrong.
    ///
    /// # Cancel safety
    /// As [`start`](Self::start).
    #[track_caller]
    pub fn start_with(
        set: impl FnOnce(SystemBuilder) -> SystemBuilder,
    ) -> impl Future<Output = Self> {
        let caller = Location::caller();
        let builder = System::builder().cluster("test").node("test").embedded(&Embedded::new());
        let starting = Self::try_start(set(builder));
        async move {
            starting.await.unwrap_or_else(|error| {
                panic!("the test system could not start: {error} (at {caller})")
            })
        }
    }

    async fn try_start(builder: SystemBuilder) -> Result<Self> {
        if !is_paused() {
            tokio::time::pause();
        }
        let epoch = Instant::now();
        let system = builder.current_thread().start().await?;
        let watch = Watch::new();
        for host in system.0.runtime.hosts() {
            host.observer().set(watch.clone());
        }
        Ok(Self(Arc::new(Inner { system, watch, epoch, is_finished: AtomicBool::new(false) })))
    }

    /// The system itself, to be cloned and kept.
    pub fn system(&self) -> &System {
        &self.0.system
    }

    /// Waits until nothing is left to do at this instant: every message is handled, and whoever
    /// still waits, waits for the clock or for something outside this process. The clock stands.
    ///
    /// # Panics
    /// Panics when that never comes, after a million polls of actors (an actor that tells itself
    /// again and again, say; see [`set_polls_max`](Self::set_polls_max)) or a minute of real time. The
    /// text names the busiest actors.
    ///
    /// # Cancel safety
    /// It only waits.
    #[track_caller]
    pub fn quiesce(&self) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move { settled(rest(&self.0.watch).await, caller) }
    }

    /// Moves the clock on by so much. Timers on the way go off in their order, each at its own time,
    /// and what they cause is done at that time too. Then as [`quiesce`](Self::quiesce).
    ///
    /// A timer starts when its actor or task gets to it: `quiesce` first, so that a freshly spawned
    /// actor counts from now.
    ///
    /// # Panics
    /// As [`quiesce`](Self::quiesce).
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the clock is somewhere on the way.
    #[track_caller]
    pub fn advance(&self, duration: Duration) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move { settled(advance(&self.0.watch, self.0.epoch, duration).await, caller) }
    }

    /// How often actors may be polled at one instant of the clock while the test waits for them: what
    /// goes beyond counts as an actor that never comes to rest. A million unless it is set.
    pub fn set_polls_max(&self, polls: u64) {
        self.0.watch.set_polls_max(polls);
    }

    /// A probe for messages of this type.
    ///
    /// # Panics
    /// Panics when the system is shut down.
    #[track_caller]
    pub fn probe<M: Message>(&self) -> Probe<M> {
        Probe::new(self)
    }

    /// Expects one more panic of an actor in this test: without it the test fails.
    pub fn expect_panic(&self) {
        self.expect_panics(1);
    }

    /// Expects so many more panics of actors in this test, no more and no fewer.
    pub fn expect_panics(&self, panics: usize) {
        self.0.watch.expect(panics);
    }

    /// The panics of actors until now, in order.
    pub fn panics(&self) -> Vec<ActorPanic> {
        self.0.watch.panics()
    }

    /// Shuts the system down and checks it. `#[callboard::test]` does it by itself for the system
    /// that it gave; one that is dropped instead is checked, but not shut down.
    ///
    /// # Panics
    /// Panics when the system does not shut down in order, or when there were other panics of actors
    /// than expected.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, nothing is checked.
    #[track_caller]
    pub fn finish(self) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move {
            if let Err(error) = self.end().await {
                panic!("the test system did not shut down in order: {error} (at {caller})");
            }
        }
    }

    pub(super) fn watch(&self) -> &Arc<Watch> {
        &self.0.watch
    }
}

impl Inner {
    fn check(&self) {
        if let Some(complaint) = self.watch.complaint() {
            panic!("{complaint}");
        }
    }
}

impl Given for TestSystem {
    async fn begin() -> Result<Self> {
        Ok(Self::start().await)
    }

    fn share(&self) -> Self {
        Self(self.0.clone())
    }

    async fn end(self) -> Result<()> {
        if self.0.is_finished.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let shutdown = self.0.watch.unless_restless(self.0.system.shutdown()).await;
        self.0.check();
        shutdown.unwrap_or_else(|restless| panic!("{restless}, and so can't be shut down"))
    }
}

impl Deref for TestSystem {
    type Target = System;

    fn deref(&self) -> &System {
        &self.0.system
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if !self.is_finished.swap(true, Ordering::Relaxed) && !std::thread::panicking() {
            self.check();
        }
    }
}

impl fmt::Debug for TestSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TestSystem").field(&self.0.system).finish()
    }
}

/// Whether the clock of this runtime stands: a running one moves while the thread sleeps.
fn is_paused() -> bool {
    let before = Instant::now();
    std::thread::sleep(Duration::from_micros(10));
    before == Instant::now()
}

fn settled(rested: Result<(), Restless>, caller: &Location<'_>) {
    if let Err(restless) = rested {
        panic!("{restless} (awaited at {caller})");
    }
}
