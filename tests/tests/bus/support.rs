//! A cluster of buses over one embedded log.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use callboard::{
    ActorId, Incarnation, Name,
    bus::Conclusion,
    bus::{
        Body, Bus, BusLimits, BusOptions, Destination, Incoming, Intake, Members, Membership,
        Offered, Outgoing, frame::Frame,
    },
    log::{
        EmbeddedLog, EmbeddedLogOptions, Entry, EntryId, MessageLog, Place, StreamInfo, StreamName,
    },
};
use parking_lot::Mutex;
use tokio::runtime::Handle;

pub const ACTOR: ActorId = ActorId::from_u64(7);

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub async fn bus_over(log: Arc<dyn MessageLog>) -> Bus {
    bus_with(log, BusLimits::default()).await
}

pub async fn bus_with(log: Arc<dyn MessageLog>, limits: BusLimits) -> Bus {
    let mut options = BusOptions::new(log, name("test"), Incarnation::fresh());
    options.limits = limits;
    Bus::start(options, Handle::current()).await.unwrap()
}

pub fn log() -> Arc<EmbeddedLog> {
    Arc::new(EmbeddedLog::new())
}

/// A log that has been up for long enough to tell who is idle.
pub fn old_log() -> Arc<EmbeddedLog> {
    let options =
        EmbeddedLogOptions { claim_grace: Duration::ZERO, ..EmbeddedLogOptions::default() };
    Arc::new(EmbeddedLog::with_options(options))
}

/// Who is alive, as a directory would say it.
#[derive(Debug, Clone)]
pub struct Cluster(Arc<Mutex<Members>>);

impl Cluster {
    pub fn new() -> Self {
        let since = tokio::time::Instant::now();
        let lease_ttl = Duration::from_secs(5);
        Self(Arc::new(Mutex::new(Members { incarnations: BTreeSet::new(), since, lease_ttl })))
    }

    /// Starts a process that is registered.
    pub async fn join(&self, log: Arc<dyn MessageLog>) -> Bus {
        let mut options = BusOptions::new(log, name("test"), Incarnation::fresh());
        options.membership = Some(Arc::new(self.clone()));
        self.add(options.incarnation);
        Bus::start(options, Handle::current()).await.unwrap()
    }

    /// The directory does not know a process any more.
    pub fn forget(&self, bus: &Bus) {
        self.remove(bus.incarnation());
    }

    /// A process that has no bus here is registered.
    pub fn add(&self, incarnation: Incarnation) {
        self.0.lock().incarnations.insert(incarnation);
    }

    /// The directory does not know a process any more that has no bus here.
    pub fn remove(&self, incarnation: Incarnation) {
        self.0.lock().incarnations.remove(&incarnation);
    }

    /// All lose their leases and get new ones.
    pub fn renew(&self) {
        self.0.lock().since = tokio::time::Instant::now();
    }

    /// Ends a process as a kill would, with its lease.
    pub fn kill(&self, bus: &Bus) {
        bus.abort();
        self.forget(bus);
    }
}

impl Membership for Cluster {
    fn members(&self) -> Option<Members> {
        Some(self.0.lock().clone())
    }
}

pub fn service_stream(service: &str) -> StreamName {
    Destination::Service(name(service), 0).stream(&name("test"))
}

pub async fn info(log: &EmbeddedLog, stream: &StreamName) -> StreamInfo {
    let info = log.info(stream).await.unwrap().unwrap_or_default();
    info.check().unwrap();
    info
}

pub async fn dead_letters(log: &EmbeddedLog, stream: &StreamName) -> Vec<Frame> {
    let entries: Vec<Entry> =
        log.range(stream, Place::Dead, EntryId::MIN, EntryId::MAX, 1000).await.unwrap();
    entries.into_iter().map(|entry| Frame::parse(entry.frame).unwrap()).collect()
}

pub fn number(value: u64) -> Outgoing<'static> {
    Outgoing::new("Number", 1, Body::Bytes(Bytes::copy_from_slice(&value.to_le_bytes())))
}

pub fn value(message: &Incoming) -> u64 {
    u64::from_le_bytes(message.body[..].try_into().unwrap())
}

pub fn handled() -> Conclusion {
    Conclusion::Handled { reply: None, failure: false }
}

pub fn replied(bytes: &[u8]) -> Conclusion {
    Conclusion::Handled { reply: Some(Bytes::copy_from_slice(bytes)), failure: false }
}

/// An intake from a closure.
pub struct FromFn<F>(pub F);

impl<F: Fn(Incoming) -> Offered + Send + Sync + 'static> Intake for FromFn<F> {
    fn offer(&self, message: Incoming) -> Offered {
        (self.0)(message)
    }
}

pub fn intake<F: Fn(Incoming) -> Offered + Send + Sync + 'static>(f: F) -> Arc<dyn Intake> {
    Arc::new(FromFn(f))
}

/// Notes the numbers that come, in their order, and handles them at once.
#[derive(Clone, Default)]
pub struct Seen(pub Arc<Mutex<Vec<u64>>>);

impl Seen {
    pub fn intake(&self) -> Arc<dyn Intake> {
        let seen = self.clone();
        intake(move |message| {
            seen.0.lock().push(value(&message));
            message.delivery.conclude(handled());
            Offered::Taken
        })
    }

    pub fn all(&self) -> Vec<u64> {
        self.0.lock().clone()
    }
}

/// Takes everything and concludes nothing by itself.
#[derive(Clone, Default)]
pub struct Kept(pub Arc<Mutex<Vec<Incoming>>>);

impl Kept {
    pub fn intake(&self) -> Arc<dyn Intake> {
        let kept = self.clone();
        intake(move |message| {
            kept.0.lock().push(message);
            Offered::Taken
        })
    }

    pub fn values(&self) -> Vec<u64> {
        self.0.lock().iter().map(value).collect()
    }

    /// Concludes the first that is there as handled; gives its value and which attempt it was.
    pub fn handle_first(&self) -> (u64, u32) {
        let message = self.0.lock().remove(0);
        let first = (value(&message), message.attempt);
        message.delivery.conclude(handled());
        first
    }
}

/// Waits (on the paused clock) until it is so.
pub async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let began = Instant::now();
    for _ in 0..200_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(began.elapsed() < Duration::from_secs(60), "waited for too long: {what}");
    }
    panic!("it never came: {what}");
}
