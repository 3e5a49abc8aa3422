use std::{
    fmt,
    future::Future,
    panic::Location,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    ProbeActor, Received, TestSystem,
    probe_actor::Record,
    received::Shown,
    rest::rest,
    watch::{Restless, Watch},
};
use crate::{
    address::{Addr, Recipient},
    message::Message,
};

/// Messages that a failed expectation lists.
const LISTED_MAX: usize = 10;

/// Takes the messages that an actor under test sends, and says what came.
///
/// Messages are kept, in order, until an expectation takes them. What a failed expectation says
/// shows messages as their `Debug` does; a message without one, or a generic one, by its wire name.
///
/// # Examples
/// ```
/// use callboard::{prelude::*, testing::{Probe, TestSystem}};
///
/// #[derive(Message, Debug, PartialEq)]
/// #[message(reply = bool)]
/// struct Charge(u64);
///
/// #[derive(Message)]
/// #[message(reply = &'static str)]
/// struct Buy(u64);
///
/// #[derive(Actor)]
/// struct Shop { bank: Recipient<Charge> }
/// #[handlers]
/// impl Shop {
///     #[handle]
///     async fn buy(&mut self, Buy(price): Buy) -> &'static str {
///         if self.bank.ask(Charge(price)).await.unwrap_or(false) { "sold" } else { "refused" }
///     }
/// }
///
/// # fn main() { callboard::__private::run_test_with_system(a_shop_charges_the_bank); }
/// # /*
/// #[callboard::test]
/// # */
/// async fn a_shop_charges_the_bank(test: TestSystem) {
///     let bank = Probe::<Charge>::new(&test);
///     let recipient = bank.recipient();
///     let shop = test.spawn(move || Shop { bank: recipient.clone() }).unwrap();
///     let (bought, ()) = tokio::join!(shop.ask(Buy(7)), async {
///         let charge = bank.expect(Duration::from_secs(1)).await;
///         assert_eq!(charge.message, Charge(7));
///         charge.reply(true);
///     });
///     assert_eq!(bought.unwrap(), "sold");
/// }
/// ```
pub struct Probe<M: Message> {
    addr: Addr<ProbeActor<M>>,
    record: Arc<Record<M>>,
    watch: Arc<Watch>,
}

impl<M: Message> Probe<M> {
    /// A probe in this system.
    ///
    /// # Panics
    /// Panics when the system is shut down.
    #[track_caller]
    pub fn new(test: &TestSystem) -> Self {
        let record = Record::new();
        let shared = record.clone();
        let spawned = test
            .actor(move || ProbeActor::new(shared.clone()))
            .name(format!("probe of {}", M::NAME))
            .spawn();
        match spawned {
            Ok(addr) => Self { addr, record, watch: test.watch().clone() },
            Err(error) => panic!("a probe can't be spawned: {error}"),
        }
    }

    /// What to give to the actor under test.
    pub fn recipient(&self) -> Recipient<M> {
        self.addr.recipient()
    }

    /// The address of the probe's own actor.
    pub fn addr(&self) -> &Addr<ProbeActor<M>> {
        &self.addr
    }

    /// Answers by itself from here on. What it answers is kept for the expectations all the same.
    pub fn reply_with(&self, answer: impl Fn(&M) -> M::Outcome + Send + Sync + 'static) {
        *self.record.answer.lock() = Some(Arc::new(answer));
    }

    /// Takes the next message, waiting for it so long on the test's clock.
    ///
    /// # Panics
    /// Panics when none has come by then.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, no message is lost.
    #[track_caller]
    pub fn expect(&self, timeout: Duration) -> impl Future<Output = Received<M>> {
        let caller = Location::caller();
        async move {
            match self.find(timeout, |_| true).await {
                Ok(Some(received)) => received,
                Ok(None) => self.fail(caller, &format!("no {} came within {timeout:?}", M::NAME)),
                Err(restless) => self.fail(caller, &restless.to_string()),
            }
        }
    }

    /// Takes the first message of which this holds, waiting for it so long on the test's clock.
    /// Those before it stay for later expectations.
    ///
    /// # Panics
    /// Panics when none has come by then; the text lists what came instead.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, no message is lost.
    #[track_caller]
    pub fn expect_where(
        &self,
        timeout: Duration,
        holds: impl Fn(&M) -> bool,
    ) -> impl Future<Output = Received<M>> {
        let caller = Location::caller();
        async move {
            match self.find(timeout, holds).await {
                Ok(Some(received)) => received,
                Ok(None) => {
                    let came = self.list();
                    let text = format!(
                        "no {} as expected came within {timeout:?}; what came: {came}",
                        M::NAME
                    );
                    self.fail(caller, &text)
                }
                Err(restless) => self.fail(caller, &restless.to_string()),
            }
        }
    }

    /// Lets so much time pass on the test's clock, and whatever is due then, without a message.
    ///
    /// # Panics
    /// Panics when one comes, or is there already.
    ///
    /// # Cancel safety
    /// It only waits.
    #[track_caller]
    pub fn expect_none_for(&self, duration: Duration) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move {
            let begun = Instant::now();
            match self.wait(duration, || !self.record.held.lock().is_empty()).await {
                Ok(false) => {}
                Ok(true) => {
                    let came = self.list();
                    let after = begun.elapsed();
                    let text = format!(
                        "no {} was expected for {duration:?}; after {after:?} came: {came}",
                        M::NAME
                    );
                    self.fail(caller, &text)
                }
                Err(restless) => self.fail(caller, &restless.to_string()),
            }
        }
    }

    /// Takes the next message if it has come already. Waits for nothing: what was sent and not yet
    /// handled is not there yet; see [`TestSystem::quiesce`].
    pub fn try_next(&self) -> Option<Received<M>> {
        self.record.held.lock().pop_front()
    }

    async fn find(
        &self,
        timeout: Duration,
        holds: impl Fn(&M) -> bool,
    ) -> Result<Option<Received<M>>, Restless> {
        let mut found = None;
        self.wait(timeout, || {
            found = self.take_where(&holds);
            found.is_some()
        })
        .await?;
        Ok(found)
    }

    /// The user's function sees the messages outside the lock.
    fn take_where(&self, holds: &impl Fn(&M) -> bool) -> Option<Received<M>> {
        let mut held = std::mem::take(&mut *self.record.held.lock());
        let at = held.iter().position(|received| holds(&received.message));
        let found = at.and_then(|at| held.remove(at));
        let mut since = self.record.held.lock();
        held.append(&mut since);
        *since = held;
        found
    }

    /// Waits until something is so, or so long, and then for what is due at that instant still.
    async fn wait(
        &self,
        timeout: Duration,
        mut is_so: impl FnMut() -> bool,
    ) -> Result<bool, Restless> {
        let deadline = Instant::now() + timeout;
        let waiting = async {
            loop {
                let mut arrived = pin!(self.record.arrived.notified());
                arrived.as_mut().enable();
                if is_so() {
                    return true;
                }
                if timeout_at(deadline, arrived).await.is_err() {
                    // Not before its time either, whichever timer went off first.
                    sleep_until(deadline).await;
                    return false;
                }
            }
        };
        if self.watch.unless_restless(waiting).await? {
            return Ok(true);
        }
        rest(&self.watch).await?;
        Ok(is_so())
    }

    fn list(&self) -> String {
        let held = self.record.held.lock();
        if held.is_empty() {
            return "nothing".to_owned();
        }
        let shown = held.iter().take(LISTED_MAX);
        let mut list: Vec<_> =
            shown.map(|received| format!("{:?}", Shown(&received.message))).collect();
        if held.len() > LISTED_MAX {
            list.push(format!("{} more", held.len() - LISTED_MAX));
        }
        list.join(", ")
    }

    fn fail(&self, caller: &Location<'_>, text: &str) -> ! {
        panic!("{text}{} (expected at {caller})", self.watch.unexpected_panics())
    }
}

impl<M: Message> Drop for Probe<M> {
    fn drop(&mut self) {
        self.record.is_watched.store(false, Ordering::Relaxed);
    }
}

impl<M: Message> fmt::Debug for Probe<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe")
            .field("message", &M::NAME)
            .field("held", &self.record.held.lock().len())
            .finish_non_exhaustive()
    }
}
