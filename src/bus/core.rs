use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{
    clock::LogClock,
    codec::Codec,
    contact::Contact,
    definitions::{Definition, Definitions},
    event::Events,
    frame::{Kind, Message},
    lane::{Entrance, Lane, LaneContext, Parcel, Placed, Refused},
    limits::BusLimits,
    membership::{Members, Membership},
    outbox::{Destination, Outbox},
    outgoing::Body,
    receive::Source,
    refusal,
    stats::{Counters, add},
    waiters::Waiters,
};
use crate::{
    error::{Delivery, Failure, FailureKind},
    id::{Incarnation, Name},
    log::{LogError, MessageLog, StreamName},
};

/// What all parts of a bus share.
pub(crate) struct Core {
    pub(crate) cluster: Name,
    pub(crate) incarnation: Incarnation,
    pub(crate) log: Arc<dyn MessageLog>,
    pub(crate) limits: BusLimits,
    pub(crate) clock: LogClock,
    pub(crate) contact: Contact,
    pub(crate) counters: Arc<Counters>,
    pub(crate) events: Events,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) outbox: Outbox,
    pub(crate) lanes: Arc<LaneContext>,
    /// Raw bytes that may be held.
    pub(crate) budget: Arc<Semaphore>,
    /// The right to try a message that may end the process.
    pub(crate) suspects: Arc<Semaphore>,
    pub(crate) membership: Option<Arc<dyn Membership>>,
    pub(crate) definitions: Option<Arc<dyn Definitions>>,
    pub(crate) runtime: Handle,
    pub(crate) sources: Mutex<Vec<Weak<Source>>>,
    pub(crate) tasks: Mutex<JoinSet<()>>,
    pub(crate) ended: AtomicBool,
    pub(crate) last_delayed: AtomicU64,
}

impl Core {
    /// Runs a task that ends with the bus at the latest.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
        if !self.is_ended() {
            tasks.spawn_on(task, &self.runtime);
        }
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended.load(Acquire)
    }

    /// Ends everything, as a crash would: nothing more is sent or settled.
    pub(crate) fn end(&self) {
        let mut tasks = self.tasks.lock();
        self.ended.store(true, Release);
        tasks.abort_all();
        drop(tasks);
        for lane in self.outbox.all() {
            lane.abort();
        }
        self.waiters.clear();
    }

    pub(crate) fn remember(&self, source: &Arc<Source>) {
        let mut sources = self.sources.lock();
        sources.retain(|source| source.strong_count() > 0);
        sources.push(Arc::downgrade(source));
    }

    /// Whether this process reads the stream for this group: a second reader would be the same
    /// consumer, and each would take the other's entries for lost ones.
    pub(crate) fn reads(&self, stream: &StreamName, group: &str) -> bool {
        let sources = self.sources.lock();
        sources.iter().filter_map(Weak::upgrade).any(|source| source.is_at_work(stream, group))
    }

    /// Who is alive, if that is known for sure.
    pub(crate) fn members(&self) -> Option<Members> {
        self.membership.as_ref()?.members()
    }

    /// How a service is defined, if that is known.
    pub(crate) fn definition(&self, service: &Name) -> Option<Definition> {
        self.definitions.as_ref()?.definition(service)
    }

    /// Runs on the I/O runtime, where there are timers, whatever the caller runs on. `None` when that
    /// is gone.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        match self.runtime.spawn(work).await {
            Ok(done) => Some(done),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => None,
            },
        }
    }

    /// Makes a call again while its outcome is unknown, for so long at most.
    pub(crate) async fn patiently<T, F>(
        &self,
        what: &'static str,
        patience: Duration,
        mut call: impl FnMut() -> F,
    ) -> Result<T, LogError>
    where
        F: Future<Output = Result<T, LogError>>,
    {
        let begun = Instant::now();
        let mut failures = 0_u32;
        loop {
            let error = match self.call(what, call()).await {
                Err(error @ LogError::Unavailable { .. }) => error,
                done => return done,
            };
            failures = failures.saturating_add(1);
            tracing::debug!(what, failures, %error, "a call of the log failed");
            if self.is_ended() || begun.elapsed() >= patience {
                return Err(error);
            }
            tokio::time::sleep(self.limits.call_backoff.jittered(failures)).await;
        }
    }

    /// What this process reads now.
    pub(crate) fn sources_at_work(&self) -> Vec<Arc<Source>> {
        self.sources.lock().iter().filter_map(Weak::upgrade).collect()
    }

    pub(crate) fn delayed_id(&self) -> Arc<str> {
        let number = self.last_delayed.fetch_add(1, Relaxed) + 1;
        format!("{}-{number}", self.incarnation).into()
    }

    /// Makes a call once; without an answer in time the log counts as unavailable.
    pub(crate) async fn call<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, LogError>>,
    ) -> Result<T, LogError> {
        let answer = timeout(self.limits.call_timeout, call).await.unwrap_or_else(|_| {
            let what = format!("{what} had no answer in time");
            Err(LogError::Unavailable { what, source: None })
        });
        if answer.is_ok() {
            self.contact.heard(Instant::now());
        }
        answer
    }

    /// Makes a call that must succeed in the end: as long as its outcome is unknown it is made again.
    /// The calls that are made so say the same thing twice without harm.
    pub(crate) async fn persist<T, F>(
        &self,
        what: &'static str,
        mut call: impl FnMut() -> F,
    ) -> Result<T, LogError>
    where
        F: Future<Output = Result<T, LogError>>,
    {
        let mut failures = 0_u32;
        loop {
            match timeout(self.limits.call_timeout, call()).await {
                Ok(Err(LogError::Unavailable { what: cause, .. })) => {
                    tracing::debug!(what, failures, cause, "a call of the log failed");
                }
                Err(_) => tracing::debug!(what, failures, "a call of the log had no answer"),
                Ok(done) => return done,
            }
            failures = failures.saturating_add(1);
            tokio::time::sleep(self.limits.call_backoff.jittered(failures)).await;
        }
    }

    /// Puts a message into its lane, when there is room.
    pub(crate) async fn place(
        &self,
        to: &Destination,
        parcel: &mut Parcel<'_, '_>,
    ) -> Result<(Placed, Arc<Lane>), Failure> {
        loop {
            if self.is_ended() {
                return Err(stopped());
            }
            let lane = self.outbox.lane(self, to);
            match lane.send(parcel).await {
                Ok(placed) => return Ok((placed, lane)),
                Err(Refused::Failed(failure)) => return Err(failure),
                // It was idle and is being dropped: there will be another.
                Err(Refused::Closed | Refused::Full) => tokio::task::yield_now().await,
            }
        }
    }

    /// Puts a message into its lane now, or not at all.
    pub(crate) fn try_place(
        &self,
        to: &Destination,
        parcel: &mut Parcel<'_, '_>,
        entrance: Entrance,
    ) -> Result<(Placed, Arc<Lane>), Failure> {
        loop {
            if self.is_ended() {
                return Err(stopped());
            }
            let lane = self.outbox.lane(self, to);
            match lane.push(parcel, entrance) {
                Ok(placed) => return Ok((placed, lane)),
                Err(Refused::Failed(failure)) => return Err(failure),
                Err(Refused::Full) => {
                    let what = format!("{} (too much waits to be sent)", to.stream(&self.cluster));
                    let kind = FailureKind::Unavailable { what };
                    return Err(Failure::with_delivery(kind, Delivery::NotDelivered));
                }
                Err(Refused::Closed) => std::thread::yield_now(),
            }
        }
    }

    /// Answers an ask of another process.
    pub(crate) fn reply(
        &self,
        to: Incarnation,
        correlation: u64,
        kind: Kind,
        codec: Codec,
        body: Bytes,
    ) {
        let to = Destination::Replies(to);
        let mut message = Message::new(kind, codec);
        message.correlation = Some(correlation);
        let body = Body::Bytes(body);
        let mut parcel = Parcel { message, body, delayed: None, dedup: None, ask: None };
        let Err(failure) = self.try_place(&to, &mut parcel, Entrance::Forced) else { return };
        if kind == Kind::Reply && matches!(failure.kind(), FailureKind::TooLarge { .. }) {
            // The handler ran: its asker must hear that the outcome can't travel.
            let failure = Failure::with_delivery(failure.kind().clone(), Delivery::Handled);
            let body = refusal::to_wire(&failure);
            return self.reply_refusal(&to, correlation, body);
        }
        add(&self.counters.replies_undeliverable, 1);
    }

    fn reply_refusal(&self, to: &Destination, correlation: u64, body: Bytes) {
        let mut message = Message::new(Kind::Refusal, Codec::Bincode);
        message.correlation = Some(correlation);
        let body = Body::Bytes(body);
        let mut parcel = Parcel { message, body, delayed: None, dedup: None, ask: None };
        if self.try_place(to, &mut parcel, Entrance::Forced).is_err() {
            add(&self.counters.replies_undeliverable, 1);
        }
    }
}

/// The bus does not run any more.
pub(crate) fn stopped() -> Failure {
    let kind = FailureKind::Unavailable { what: "the bus (it was stopped)".to_owned() };
    Failure::with_delivery(kind, Delivery::NotDelivered)
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("cluster", &self.cluster)
            .field("incarnation", &self.incarnation)
            .finish_non_exhaustive()
    }
}
