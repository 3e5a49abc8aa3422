//! How a bus begins, and what it does beside carrying messages.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{
    clock::{LogClock, SAMPLE_EVERY},
    contact::Contact,
    core::Core,
    error::BusError,
    event::Events,
    lane::LaneContext,
    limits::BusLimits,
    outbox::{Destination, Outbox},
    process::BusOptions,
    stats::Counters,
    waiters::Waiters,
};
use crate::log::{LogError, StreamName};

/// A stream of replies ends when its process has not renewed it for so long.
pub(super) const REPLIES_KEPT: Duration = Duration::from_secs(600);
/// How often it is looked whether the log was heard.
const LISTEN_EVERY: Duration = Duration::from_secs(2);
/// How often the log is asked before a start gives up.
const START_ATTEMPTS: u32 = 5;

/// Makes the core and the stream of replies.
pub(super) async fn start(options: BusOptions, runtime: Handle) -> Result<Arc<Core>, BusError> {
    let BusOptions { log, cluster, incarnation, limits, observer, membership, definitions } =
        options;
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
        contact: Contact::new(Instant::now()),
        log,
        limits,
        counters,
        events,
        waiters,
        outbox: Outbox::default(),
        lanes: Arc::new(lanes),
        budget: Arc::new(Semaphore::new(limits.held_bytes_max.min(Semaphore::MAX_PERMITS))),
        suspects: Arc::new(Semaphore::new(1)),
        membership,
        definitions,
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

/// Waits for the next sample, and asks the log for a sign of life where nothing else of this process
/// has had an answer lately.
async fn listen(core: &Core) {
    let until = Instant::now() + SAMPLE_EVERY;
    while Instant::now() < until {
        tokio::time::sleep(LISTEN_EVERY).await;
        if core.contact.is_quiet(LISTEN_EVERY, Instant::now())
            && let Err(error) = core.call("a sign of life", core.log.now_ms()).await
        {
            tracing::debug!(%error, "the log gives no sign of life");
        }
    }
}

/// Samples the log's clock, renews the stream of replies, drops idle lanes.
pub(super) async fn keep_house(core: Arc<Core>, replies: StreamName) {
    loop {
        listen(&core).await;
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
