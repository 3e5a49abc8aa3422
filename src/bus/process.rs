use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64},
    },
    time::Duration,
};

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};

use super::{
    clock::{LogClock, SAMPLE_EVERY},
    core::Core,
    error::BusError,
    event::{Events, Observer},
    keys,
    lane::LaneContext,
    limits::BusLimits,
    outbox::{Destination, Outbox},
    receive::{Consumption, Intake, read_replies},
    stats::{BusStats, Counters},
    waiters::Waiters,
};
use crate::{
    id::{Incarnation, Name},
    log::{LogError, MessageLog, Start, StreamName},
};

/// The group of the one consumer of an inbox.
const INBOX_GROUP: &str = "node";
/// The group of a service's instances.
const SERVICE_GROUP: &str = "service";
/// A stream of replies ends when its process has not renewed it for so long.
const REPLIES_KEPT: Duration = Duration::from_secs(600);
/// How often the log is asked before a start gives up.
const START_ATTEMPTS: u32 = 5;

/// What a bus is made of.
#[derive(Clone)]
pub struct BusOptions {
    /// The log.
    pub log: Arc<dyn MessageLog>,
    /// The cluster that its streams belong to.
    pub cluster: Name,
    /// This life of this process.
    pub incarnation: Incarnation,
    /// Bounds.
    pub limits: BusLimits,
    /// Who is told of events.
    pub observer: Option<Observer>,
}

impl BusOptions {
    /// A bus with the default bounds.
    pub fn new(log: Arc<dyn MessageLog>, cluster: Name, incarnation: Incarnation) -> Self {
        Self { log, cluster, incarnation, limits: BusLimits::default(), observer: None }
    }
}

impl fmt::Debug for BusOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusOptions")
            .field("cluster", &self.cluster)
            .field("incarnation", &self.incarnation)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Who subscribes to a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subscriber {
    /// A service: one of its instances gets each event. What fails is tried again by way of the
    /// service's stream, which must be consumed too.
    Service(Name),
    /// This process by itself, under a name. What fails is tried again by way of the inbox, which
    /// must be open.
    Instance(Name),
}

/// The messages of one process to and from others.
///
/// Cheap to clone. When the last clone is dropped the bus ends as by [`abort`](Self::abort).
#[derive(Debug, Clone)]
pub struct Bus {
    pub(super) core: Arc<Core>,
    _owner: Arc<Owner>,
}

/// Ends the bus with its last handle; the tasks themselves hold the core.
#[derive(Debug)]
struct Owner {
    core: Arc<Core>,
    inbox: Mutex<Option<StreamName>>,
    /// Groups of topics that nobody else reads for.
    groups: Mutex<Vec<(StreamName, String)>>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.core.end();
    }
}

impl Bus {
    /// Starts a bus: makes the stream of replies and reads it. All tasks run on `runtime`.
    ///
    /// # Errors
    /// [`BusError::Log`] when the log can't be reached, after a few attempts.
    ///
    /// # Cancel safety
    /// A dropped start leaves at most an empty stream of replies, which ends by itself.
    pub async fn start(options: BusOptions, runtime: Handle) -> Result<Self, BusError> {
        let started = runtime.clone().spawn(start(options, runtime));
        let core = started.await.map_err(|_| BusError::Stopped)??;
        let replies = Destination::Replies(core.incarnation).stream(&core.cluster);
        core.spawn(read_replies(core.clone(), replies.clone()));
        core.spawn(keep_house(core.clone(), replies));
        let owner = Owner { core: core.clone(), inbox: Mutex::default(), groups: Mutex::default() };
        Ok(Self { core, _owner: Arc::new(owner) })
    }

    /// Which process this is.
    pub fn incarnation(&self) -> Incarnation {
        self.core.incarnation
    }

    /// What has been counted so far.
    pub fn stats(&self) -> BusStats {
        self.core.counters.snapshot()
    }

    /// Reads a service's stream into an intake.
    ///
    /// # Errors
    /// [`BusError::Log`] when the group can't be made, [`BusError::Consumed`] when this process reads it
    /// already, or still holds something of it after [`Consumption::stop`].
    ///
    /// # Cancel safety
    /// Nothing is read when it is dropped.
    pub async fn consume_service(
        &self,
        service: &Name,
        intake: Arc<dyn Intake>,
    ) -> Result<Consumption, BusError> {
        let stream = keys::service(&self.core.cluster, service, 0);
        self.ensure_group(stream.clone(), SERVICE_GROUP.to_owned(), Start::Beginning).await?;
        Ok(Consumption::by_credit(&self.core, stream, SERVICE_GROUP, None, None, intake))
    }

    /// Makes this process's inbox and reads it into an intake. Once.
    ///
    /// # Errors
    /// [`BusError::Log`] when it can't be made, [`BusError::Consumed`] when it is open.
    ///
    /// # Cancel safety
    /// Nothing is read when it is dropped.
    pub async fn open_inbox(&self, intake: Arc<dyn Intake>) -> Result<Consumption, BusError> {
        let stream = keys::inbox(&self.core.cluster, self.core.incarnation);
        self.ensure_group(stream.clone(), INBOX_GROUP.to_owned(), Start::Beginning).await?;
        *self._owner.inbox.lock() = Some(stream.clone());
        let letters = keys::dead_letters_of_nodes(&self.core.cluster);
        Ok(Consumption::of_inbox(&self.core, stream, INBOX_GROUP, letters, intake))
    }

    /// Reads a topic into an intake. `start` counts when the group is new.
    ///
    /// # Errors
    /// [`BusError::Log`] when the group can't be made, [`BusError::Consumed`] when this process reads it
    /// already, or still holds something of it after [`Consumption::stop`].
    ///
    /// # Cancel safety
    /// Nothing is read when it is dropped.
    pub async fn subscribe(
        &self,
        topic: &Name,
        subscriber: Subscriber,
        start: Start,
        intake: Arc<dyn Intake>,
    ) -> Result<Consumption, BusError> {
        let cluster = &self.core.cluster;
        let stream = keys::topic(cluster, topic);
        let (group, retries, letters) = match subscriber {
            Subscriber::Service(service) => {
                let to = Destination::Service(service.clone(), 0);
                let letters = to.stream(cluster);
                (service.to_string(), to, letters)
            }
            Subscriber::Instance(name) => {
                let incarnation = self.core.incarnation;
                let group = format!("{incarnation}/{name}");
                self._owner.groups.lock().push((stream.clone(), group.clone()));
                (group, Destination::Inbox(incarnation), keys::dead_letters_of_nodes(cluster))
            }
        };
        self.ensure_group(stream.clone(), group.clone(), start).await?;
        let letters = Some(letters);
        Ok(Consumption::by_credit(&self.core, stream, &group, Some(retries), letters, intake))
    }

    /// Sets how many messages of a service may wait before tells to it are refused.
    pub fn set_backlog_max(&self, service: &Name, max: Option<u64>) {
        self.core.outbox.set_backlog_max(service, max);
    }

    /// Stops in order, in at most `within`: ends the reading, waits for what is held, sends what is in
    /// the lanes, removes the own streams. What could not be finished stays in the log.
    ///
    /// # Cancel safety
    /// It goes on when it is dropped.
    pub async fn shutdown(&self, within: Duration) {
        let owner = self._owner.clone();
        let stopped = self.core.runtime.spawn(async move {
            let deadline = Instant::now() + within;
            if timeout_at(deadline, wind_down(&owner.core)).await.is_err() {
                tracing::warn!("the bus was stopped before everything was finished");
            }
            remove_streams(&owner).await;
            owner.core.end();
        });
        if stopped.await.is_err() {
            self.core.end();
        }
    }

    /// Ends at once, as a crash would: nothing more is sent, settled or answered.
    pub fn abort(&self) {
        self.core.end();
    }

    async fn ensure_group(
        &self,
        stream: StreamName,
        group: String,
        start: Start,
    ) -> Result<(), BusError> {
        let core = self.core.clone();
        if core.is_ended() {
            return Err(BusError::Stopped);
        }
        if core.reads(&stream, &group) {
            return Err(BusError::Consumed { stream });
        }
        let made = self.core.runtime.spawn(async move {
            let ensure = || core.log.ensure_group(&stream, &group, start);
            let made = core.persist("make a group", ensure).await;
            made.map_err(|source| BusError::Log { what: "make a group of", stream, source })
        });
        made.await.map_err(|_| BusError::Stopped)?
    }
}

async fn start(options: BusOptions, runtime: Handle) -> Result<Arc<Core>, BusError> {
    let BusOptions { log, cluster, incarnation, limits, observer } = options;
    if limits.lane_bytes_max == 0 || limits.held_bytes_max == 0 || limits.attempts_max == 0 {
        let reason = "lane_bytes_max, held_bytes_max and attempts_max must be above 0";
        return Err(BusError::Setting { setting: "its bounds", reason });
    }
    let replies = Destination::Replies(incarnation).stream(&cluster);
    let failed = |what, source| BusError::Log { what, stream: replies.clone(), source };
    let open = || log.open(&replies, Some(REPLIES_KEPT));
    attempt(&limits, open).await.map_err(|error| failed("open", error))?;
    let log_ms =
        attempt(&limits, || log.now_ms()).await.map_err(|e| failed("ask the time of", e))?;
    let counters = Arc::new(Counters::default());
    let waiters = Arc::new(Waiters::default());
    let events = Events(observer);
    let lanes = LaneContext {
        log: log.clone(),
        producer: incarnation,
        counters: counters.clone(),
        waiters: waiters.clone(),
        events: events.clone(),
        last_number: AtomicU32::new(0),
        high_water_bytes: limits.lane_bytes_max,
        call_timeout: limits.call_timeout,
        backoff: limits.call_backoff,
    };
    Ok(Arc::new(Core {
        cluster,
        incarnation,
        clock: LogClock::new(log_ms, Instant::now()),
        log,
        limits,
        counters,
        events,
        waiters,
        outbox: Outbox::default(),
        lanes: Arc::new(lanes),
        budget: Arc::new(Semaphore::new(limits.held_bytes_max.min(Semaphore::MAX_PERMITS))),
        runtime,
        sources: Mutex::default(),
        tasks: Mutex::new(JoinSet::new()),
        ended: AtomicBool::new(false),
        last_delayed: AtomicU64::new(0),
    }))
}

/// A call of a start: a few attempts, then its error.
async fn attempt<T, F>(limits: &BusLimits, mut call: impl FnMut() -> F) -> Result<T, LogError>
where
    F: Future<Output = Result<T, LogError>>,
{
    let mut failures = 0;
    loop {
        let answer = timeout(limits.call_timeout, call()).await.unwrap_or_else(|_| {
            let what = format!("no answer within {:?}", limits.call_timeout);
            Err(LogError::Unavailable { what, source: None })
        });
        failures += 1;
        match answer {
            Err(LogError::Unavailable { .. }) if failures < START_ATTEMPTS => {
                tokio::time::sleep(limits.call_backoff.jittered(failures)).await;
            }
            done => return done,
        }
    }
}

/// Samples the log's clock, renews the stream of replies, drops idle lanes.
async fn keep_house(core: Arc<Core>, replies: StreamName) {
    loop {
        tokio::time::sleep(SAMPLE_EVERY).await;
        match timeout(core.limits.call_timeout, core.log.now_ms()).await {
            Ok(Ok(log_ms)) => core.clock.sample(log_ms, Instant::now()),
            Ok(Err(error)) => tracing::debug!(%error, "the log's clock was not sampled"),
            Err(_) => tracing::debug!("the log's clock was not sampled in time"),
        }
        let open = core.log.open(&replies, Some(REPLIES_KEPT));
        if !matches!(timeout(core.limits.call_timeout, open).await, Ok(Ok(()))) {
            tracing::debug!("the stream of replies was not renewed");
        }
        core.outbox.drop_idle(Instant::now(), core.limits.lane_idle);
    }
}

async fn wind_down(core: &Core) {
    let sources: Vec<_> = core.sources.lock().iter().filter_map(std::sync::Weak::upgrade).collect();
    join_all(sources.iter().map(|source| source.end_reading())).await;
    join_all(sources.iter().map(|source| source.drained())).await;
    let lanes = core.outbox.all();
    join_all(lanes.iter().map(|lane| lane.flushed())).await;
}

/// What only this process used goes with it, unless there are messages in it.
async fn remove_streams(owner: &Owner) {
    let core = &owner.core;
    let groups = std::mem::take(&mut *owner.groups.lock());
    for (topic, group) in groups {
        let removed =
            timeout(core.limits.call_timeout, core.log.remove_group(&topic, &group)).await;
        if !matches!(removed, Ok(Ok(()))) {
            tracing::warn!(%topic, group, "a group was left behind");
        }
    }
    let inbox = owner.inbox.lock().take();
    let replies = Destination::Replies(core.incarnation).stream(&core.cluster);
    for stream in inbox.into_iter().chain([replies]) {
        let removed = timeout(core.limits.call_timeout, remove_if_empty(core, &stream)).await;
        match removed {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => tracing::warn!(%stream, "a stream with messages was left behind"),
            Ok(Err(error)) => tracing::warn!(%stream, %error, "a stream was left behind"),
            Err(_) => tracing::warn!(%stream, "a stream was left behind: no answer"),
        }
    }
}

async fn remove_if_empty(core: &Core, stream: &StreamName) -> Result<bool, LogError> {
    let Some(info) = core.log.info(stream).await? else { return Ok(true) };
    if info.accounting.held > 0 || info.accounting.delayed > 0 {
        return Ok(false);
    }
    core.log.delete(stream).await?;
    Ok(true)
}
