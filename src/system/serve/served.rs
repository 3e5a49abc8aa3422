use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    actor::{Actor, TopicRow},
    address::Addr,
    bus::{Consumption, Intake, Subscriber},
    directory::{DirectoryError, HealthState, InstanceName, InstanceRecord},
    error::{Error, Failure, Result},
    health::Monitor,
    id::{ActorId, Name},
    log::Start,
    service::{LocalActorOf, LocalService, Node},
};

/// How long a draining service waits for the messages that it holds.
const DRAIN_HELD: Duration = Duration::from_secs(30);
/// How long a leaving service waits for the directory. After that its keys go when the directory is
/// there again, or with the lease.
const FAREWELL_WAIT: Duration = Duration::from_secs(10);
/// How long the instances go on answering after their `bye`, if anybody from outside has called them:
/// callers may not have heard it yet.
const INBOX_KEPT: Duration = Duration::from_secs(2);

/// How long to wait before the reading is begun again after a failure.
const READ_AGAIN: Duration = Duration::from_secs(1);

type Reader = Box<dyn Fn(Arc<Served>) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// A service in this process.
pub(crate) struct Served {
    pub(super) name: Name,
    pub(super) node: Arc<Node>,
    pub(super) local: Arc<LocalService>,
    pub(super) instances: Mutex<Vec<(InstanceName, ActorId)>>,
    pub(super) monitor: Arc<Monitor>,
    /// What is read.
    consumptions: Mutex<Vec<Arc<Consumption>>>,
    /// What was read and is not any more, but may hold messages still.
    paused: Mutex<Vec<Arc<Consumption>>>,
    /// Begins the reading, again too.
    reader: OnceLock<Reader>,
    /// The task that ends the reading while the instances are taken out.
    follower: Mutex<Option<JoinHandle<()>>>,
    pub(super) actors: Mutex<Vec<Box<dyn Stops>>>,
    pub(super) has_left: AtomicBool,
    /// When the `bye` was said; set when the service has left.
    left_at: watch::Sender<Option<Instant>>,
}

/// An actor of any type, to be stopped.
pub(super) trait Stops: Send + Sync {
    fn stop(&self) -> Result<(), Failure>;
    fn stopped(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

impl<A: Actor> Stops for Addr<A> {
    fn stop(&self) -> Result<(), Failure> {
        Addr::stop(self)
    }

    fn stopped(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            if let Err(failure) = Addr::stopped(self).await {
                tracing::debug!(%failure, "an instance can't be waited for");
            }
        })
    }
}

impl Served {
    pub(super) fn new(
        name: Name,
        node: Arc<Node>,
        local: Arc<LocalService>,
        monitor: Arc<Monitor>,
    ) -> Self {
        Self {
            name,
            node,
            local,
            instances: Mutex::default(),
            monitor,
            consumptions: Mutex::default(),
            paused: Mutex::default(),
            reader: OnceLock::new(),
            follower: Mutex::default(),
            actors: Mutex::default(),
            has_left: AtomicBool::new(false),
            left_at: watch::Sender::new(None),
        }
    }

    /// Reads the service's stream, and its topics: once for the service, or once per instance.
    pub(super) async fn begin_reading<A: Actor>(
        self: &Arc<Self>,
        actors: Vec<Arc<LocalActorOf<A>>>,
    ) -> Result<()> {
        let actors = Arc::new(actors);
        let reader = self.reader.get_or_init(|| {
            Box::new(move |served: Arc<Self>| {
                let actors = actors.clone();
                Box::pin(async move { served.read(&actors, A::__topics()).await })
            })
        });
        reader(self.clone()).await
    }

    async fn read<A: Actor>(
        &self,
        actors: &[Arc<LocalActorOf<A>>],
        topics: &[TopicRow],
    ) -> Result<()> {
        let bus = self.node.bus();
        let failed = |error: crate::bus::BusError| Error::Log(error.into());
        for row in topics {
            let topic = Name::new(row.topic)?;
            if !row.each {
                let intake: Arc<dyn Intake> = self.local.clone();
                let who = Subscriber::Service(self.name.clone());
                let read = bus.subscribe(&topic, who, Start::New, intake).await.map_err(failed)?;
                self.consumptions.lock().push(Arc::new(read));
                continue;
            }
            for actor in actors {
                let read = self.node.subscribe_actor(&topic, actor.clone()).await?;
                self.consumptions.lock().push(Arc::new(read));
            }
        }
        let intake: Arc<dyn Intake> = self.local.clone();
        let read = bus.consume_service(&self.name, intake).await.map_err(failed)?;
        self.consumptions.lock().push(Arc::new(read));
        Ok(())
    }

    /// Takes an instance out when its actor has ended for good.
    pub(super) fn watch<A: Actor>(self: &Arc<Self>, addr: Addr<A>) {
        let served = Arc::downgrade(self);
        self.node.runtime().spawn(async move {
            Stops::stopped(&addr).await;
            if let Some(served) = Weak::upgrade(&served) {
                served.lose(addr.id()).await;
            }
        });
    }

    async fn lose(&self, id: ActorId) {
        if self.has_left.load(Ordering::Acquire) {
            return;
        }
        self.local.remove(id);
        self.node.retire(id);
        self.monitor.forget(id);
        let lost = {
            let mut instances = self.instances.lock();
            let at = instances.iter().position(|(_, actor)| *actor == id);
            at.map(|at| instances.swap_remove(at).0)
        };
        let Some(instance) = lost else { return };
        tracing::warn!(service = %self.name, %instance, "an instance has ended and is taken out");
        if let Err(error) = self.node.directory().deregister(&[instance]).await {
            tracing::warn!(%error, "an instance that ended is still registered");
        }
        if self.instances.lock().is_empty() {
            // Whoever still reads would only keep messages from processes that can handle them.
            tracing::error!(service = %self.name, "the last instance has ended: it is read no more");
            self.leave().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "a service without instances was not left in order");
            });
        }
    }

    /// Stops reading the stream, leaves the directory and waits until everything that was read is
    /// settled. Whoever calls it while another does waits for the same end.
    pub(crate) async fn leave(&self) -> Result<()> {
        if self.has_left.swap(true, Ordering::AcqRel) {
            let mut left_at = self.left_at.subscribe();
            // An error would mean that this is gone, which is an end too.
            drop(left_at.wait_for(Option::is_some).await);
            return Ok(());
        }
        self.monitor.stop();
        self.end_following().await;
        // First: what is not read here is there for the others.
        self.pause().await;
        let left = self.say_bye().await;
        let said_at = Instant::now();
        self.drained_in_time().await;
        self.paused.lock().clear();
        self.left_at.send_replace(Some(said_at));
        left
    }

    async fn say_bye(&self) -> Result<()> {
        let names: Vec<InstanceName> =
            self.instances.lock().iter().map(|(name, _)| *name).collect();
        let directory = self.node.directory();
        let left = timeout(FAREWELL_WAIT, directory.deregister(&names)).await;
        let left =
            left.unwrap_or(Err(DirectoryError::Unreachable { after: FAREWELL_WAIT, source: None }));
        left.map_err(|error| Error::Directory(error.into()))
    }

    /// After [`leave`](Self::leave): answers for a while who has not heard of it, and sends on who
    /// comes later.
    pub(crate) async fn depart(&self) {
        let ids: Vec<ActorId> = self.instances.lock().iter().map(|(_, id)| *id).collect();
        let said_at = *self.left_at.borrow();
        if let Some(said_at) = said_at
            && ids.iter().any(|id| self.node.was_called(*id))
        {
            sleep_until(said_at + INBOX_KEPT).await;
        }
        ids.into_iter().for_each(|id| self.node.depart(id));
    }

    pub(crate) async fn stop(&self) -> Result<()> {
        let left = self.leave().await;
        self.depart().await;
        let actors = std::mem::take(&mut *self.actors.lock());
        for actor in &actors {
            if let Err(failure) = actor.stop() {
                tracing::debug!(%failure, "an instance was not told to stop");
            }
        }
        for actor in &actors {
            actor.stopped().await;
        }
        for (_, id) in self.instances.lock().drain(..) {
            self.node.retire(id);
        }
        left
    }

    /// Takes no more, and waits until what was taken is handled. The instances stay registered.
    pub(crate) async fn drain(&self) -> Result<()> {
        if self.has_left.load(Ordering::Acquire) {
            return self.leave().await;
        }
        self.monitor.withdraw(Some(HealthState::Draining), "it is being drained");
        // First: what is not read here is there for the others.
        self.pause().await;
        let told = self.told().await;
        self.drained_in_time().await;
        told
    }

    /// Waits until the directory has what the instances say of themselves.
    pub(super) async fn told(&self) -> Result<()> {
        let applied = timeout(FAREWELL_WAIT, self.node.directory().applied()).await;
        let late = Err(DirectoryError::Unreachable { after: FAREWELL_WAIT, source: None });
        applied.unwrap_or(late).map_err(|error| Error::Directory(error.into()))
    }

    /// Ends the reading. What was read and not taken goes back to the stream.
    async fn pause(&self) {
        let consumptions = std::mem::take(&mut *self.consumptions.lock());
        self.paused.lock().extend(consumptions.iter().cloned());
        join_all(consumptions.iter().map(|read| read.stop())).await;
    }

    async fn drained(&self) {
        let paused = self.paused.lock().clone();
        join_all(paused.iter().map(|read| read.drained())).await;
    }

    async fn drained_in_time(&self) {
        if timeout(DRAIN_HELD, self.drained()).await.is_err() {
            tracing::warn!(service = %self.name, "messages in hand were not handled in time");
        }
    }

    /// Ends the reading while the instances are taken out, by whomever.
    pub(super) fn follow(self: &Arc<Self>) {
        let (served, mut events) = (Arc::downgrade(self), self.node.directory().watch(&self.name));
        let task = self.node.runtime().spawn(async move {
            loop {
                let Some(this) = Weak::upgrade(&served) else { return };
                if this.keep_to_health().await.is_err() {
                    drop(this);
                    sleep(READ_AGAIN).await;
                    continue;
                }
                drop(this);
                if events.next().await.is_none() {
                    return;
                }
            }
        });
        *self.follower.lock() = Some(task);
    }

    async fn end_following(&self) {
        let follower = self.follower.lock().take();
        if let Some(follower) = follower {
            follower.abort();
            // It was in the middle of something that the rest must not overtake.
            drop(follower.await);
        }
    }

    async fn keep_to_health(self: &Arc<Self>) -> Result<()> {
        let view = self.node.directory().resolve(&self.name);
        let own = &view.instances[view.of_incarnation(self.node.incarnation())];
        if own.is_empty() {
            // Their keys were deleted by hand, and will be back: that takes nobody in or out.
            return Ok(());
        }
        let is_withdrawn = |record: &Arc<InstanceRecord>| {
            let state = view.health_of(record.instance);
            matches!(state, HealthState::Draining | HealthState::Maintenance)
        };
        let is_withdrawn = own.iter().all(is_withdrawn);
        let is_read = !self.consumptions.lock().is_empty();
        if is_withdrawn && is_read {
            tracing::info!(service = %self.name, "taken out: no stored messages are read");
            self.pause().await;
        } else if !is_withdrawn && !is_read && !self.monitor.is_draining() {
            // A message that is in hand would else be held twice.
            self.drained().await;
            self.paused.lock().clear();
            let Some(reader) = self.reader.get() else { return Ok(()) };
            if let Err(error) = reader(self.clone()).await {
                tracing::warn!(%error, service = %self.name, "its messages can't be read yet");
                self.pause().await;
                return Err(error);
            }
            tracing::info!(service = %self.name, "taken in again: its messages are read");
        }
        Ok(())
    }
}

pub(super) async fn stop_all<A: Actor>(addresses: &[Addr<A>]) {
    for addr in addresses {
        if let Err(failure) = addr.stop() {
            tracing::debug!(%failure, "an instance was not told to stop");
        }
    }
    for addr in addresses {
        Stops::stopped(addr).await;
    }
}
