use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    actor::{Actor, TopicRow},
    address::Addr,
    bus::{Consumption, Intake, Subscriber},
    directory::{DirectoryError, InstanceName},
    error::{Error, Failure, Result},
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

/// A service in this process.
pub(crate) struct Served {
    pub(super) name: Name,
    pub(super) node: Arc<Node>,
    pub(super) local: Arc<LocalService>,
    pub(super) instances: Mutex<Vec<(InstanceName, ActorId)>>,
    pub(super) consumptions: Mutex<Vec<Consumption>>,
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
    pub(super) fn new(name: Name, node: Arc<Node>, local: Arc<LocalService>) -> Self {
        Self {
            name,
            node,
            local,
            instances: Mutex::default(),
            consumptions: Mutex::default(),
            actors: Mutex::default(),
            has_left: AtomicBool::new(false),
            left_at: watch::Sender::new(None),
        }
    }

    /// Reads the service's stream, and its topics: once for the service, or once per instance.
    pub(super) async fn read<A: Actor>(
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
                self.consumptions.lock().push(read);
                continue;
            }
            for actor in actors {
                let read = self.node.subscribe_actor(&topic, actor.clone()).await?;
                self.consumptions.lock().push(read);
            }
        }
        let intake: Arc<dyn Intake> = self.local.clone();
        let read = bus.consume_service(&self.name, intake).await.map_err(failed)?;
        self.consumptions.lock().push(read);
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
    pub(super) async fn leave(&self) -> Result<()> {
        if self.has_left.swap(true, Ordering::AcqRel) {
            let mut left_at = self.left_at.subscribe();
            // An error would mean that this is gone, which is an end too.
            drop(left_at.wait_for(Option::is_some).await);
            return Ok(());
        }
        let consumptions = std::mem::take(&mut *self.consumptions.lock());
        // First: what is not read here is there for the others.
        join_all(consumptions.iter().map(Consumption::stop)).await;
        let left = self.say_bye().await;
        let said_at = Instant::now();
        let drained = timeout(DRAIN_HELD, join_all(consumptions.iter().map(Consumption::drained)));
        if drained.await.is_err() {
            tracing::warn!(service = %self.name, "messages in hand were not handled in time");
        }
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

    pub(crate) async fn drain(&self) -> Result<()> {
        self.leave().await
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
