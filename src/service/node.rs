use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::{runtime::Handle, time::Instant};

use super::{LocalActor, LocalActorOf, admitted::Admitted, local::Table};
use crate::{
    actor::{Actor, Prologue, WireFns},
    address::{Addr, CodecContext, RemoteMessage, with_context},
    bus::{Body, Bus, Consumption, Incoming, Intake, Offered, Outgoing, Subscriber},
    directory::{Directory, MessageEntry, ServiceDef},
    error::{BoxError, Error, Failure, FailureKind, Result},
    id::{ActorId, Incarnation, Name},
    log::Start,
    message::Wire,
};

/// How long a shutdown waits for what the bus has in hand.
const BUS_SHUTDOWN: Duration = Duration::from_secs(10);

/// A process in its cluster: what a reference needs to find a service and to send to it.
pub(crate) struct Node {
    cluster: Name,
    name: Name,
    incarnation: Incarnation,
    directory: Directory,
    bus: Bus,
    runtime: Handle,
    always_remote: bool,
    actors: Arc<Admitted>,
    /// Subscriptions of actors that are not served, until they end.
    subscriptions: Mutex<FxHashMap<ActorId, Vec<Consumption>>>,
    /// The reading of the inbox, for as long as the node lives.
    inbox: Mutex<Option<Consumption>>,
    me: Weak<Self>,
}

/// What a node is made of.
pub(crate) struct NodeParts {
    pub(crate) cluster: Name,
    pub(crate) name: Name,
    pub(crate) incarnation: Incarnation,
    pub(crate) directory: Directory,
    pub(crate) bus: Bus,
    pub(crate) runtime: Handle,
    /// Send through the bus even to actors of this process.
    pub(crate) always_remote: bool,
}

impl Node {
    /// Joins the parts and opens the inbox.
    pub(crate) async fn open(parts: NodeParts) -> Result<Arc<Self>> {
        let node = Arc::new_cyclic(|me| Self {
            cluster: parts.cluster,
            name: parts.name,
            incarnation: parts.incarnation,
            directory: parts.directory,
            bus: parts.bus,
            runtime: parts.runtime,
            always_remote: parts.always_remote,
            actors: Arc::default(),
            subscriptions: Mutex::default(),
            inbox: Mutex::default(),
            me: me.clone(),
        });
        let inbox = node
            .bus
            .open_inbox(node.actors.clone())
            .await
            .map_err(|error| Error::Log(error.into()))?;
        *node.inbox.lock() = Some(inbox);
        Ok(node)
    }

    pub(crate) fn cluster(&self) -> &Name {
        &self.cluster
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    pub(crate) fn bus(&self) -> &Bus {
        &self.bus
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(super) fn weak(&self) -> Weak<Self> {
        self.me.clone()
    }

    /// This node as what encodes and decodes addresses.
    pub(crate) fn context(&self) -> CodecContext {
        let me: Weak<Self> = self.me.clone();
        me
    }

    pub(super) fn is_admitted(&self, id: ActorId) -> bool {
        self.actors.contains(id)
    }

    /// Makes an actor reachable by its identity.
    pub(crate) fn admit(&self, actor: Arc<dyn LocalActor>) {
        self.actors.admit(actor);
    }

    /// The actor is reachable no more.
    pub(crate) fn dismiss(&self, id: ActorId) {
        self.actors.dismiss(id);
    }

    /// Asks from other processes for this instance are answered `moved` from now on.
    pub(crate) fn depart(&self, id: ActorId) {
        self.actors.depart(id);
    }

    /// An instance has ended. Who still asks for it is told to ask another.
    pub(crate) fn retire(&self, id: ActorId) {
        self.actors.retire(id, Instant::now());
    }

    /// Whether other processes have sent anything to this actor.
    pub(crate) fn was_called(&self, id: ActorId) -> bool {
        self.actors.was_called(id)
    }

    /// An actor of this process, unless everything goes through the bus.
    pub(super) fn shortcut(
        &self,
        incarnation: Incarnation,
        id: ActorId,
    ) -> Option<Arc<dyn LocalActor>> {
        if self.always_remote || incarnation != self.incarnation {
            return None;
        }
        self.actors.get(id)
    }

    pub(crate) async fn publish<M: Wire>(&self, topic: &str, event: &M) -> Result<(), Failure> {
        let topic = checked(topic)?;
        let encoded =
            with_context(&self.context(), || RemoteMessage::encode(WireFns::<M>::new(), event))?;
        let mut outgoing = Outgoing::new(M::NAME, M::VERSION, Body::Bytes(encoded.body));
        outgoing.codec = encoded.codec;
        self.bus.publish(&topic, outgoing).await
    }

    pub(crate) async fn define(&self, service: &Name, definition: ServiceDef) -> Result<()> {
        let backlog_max = definition.backlog_max;
        self.directory.define(service, definition).await.map_err(|error| Error::Serve {
            service: service.to_string(),
            reason: error.to_string(),
        })?;
        self.bus.set_backlog_max(service, Some(backlog_max));
        Ok(())
    }

    /// What the instances of a service in this process handle.
    pub(crate) fn messages_of(&self, service: &Name) -> Vec<MessageEntry> {
        let view = self.directory.resolve(service);
        let own = view.instances.iter().find(|record| record.incarnation() == self.incarnation);
        own.map(|record| record.messages.clone()).unwrap_or_default()
    }

    /// Subscribes one actor to a topic, for itself.
    pub(crate) async fn subscribe_actor<A: Actor>(
        &self,
        topic: &Name,
        actor: Arc<LocalActorOf<A>>,
    ) -> Result<Consumption> {
        let who = Subscriber::Actor(LocalActor::id(&*actor));
        let intake: Arc<dyn Intake> = actor;
        let subscribed = self.bus.subscribe(topic, who, Start::New, intake).await;
        subscribed.map_err(|error| Error::Log(error.into()))
    }

    /// What subscribes an actor that is spawned and not served: it counts as an instance of its own.
    pub(crate) fn subscriptions_of_one<A: Actor>(&self) -> Option<Prologue<A>> {
        if A::__topics().is_empty() {
            return None;
        }
        let node = self.me.clone();
        Some(Box::new(move |addr: Addr<A>| {
            Box::pin(async move {
                let node = node.upgrade().ok_or_else(|| Box::new(Error::ShutDown))?;
                node.subscribe_one(addr).await
            })
        }))
    }

    async fn subscribe_one<A: Actor>(&self, addr: Addr<A>) -> Result<(), BoxError> {
        let Some(actor) = LocalActorOf::new(addr.clone(), Arc::new(Table::new()), self.context())
        else {
            return Ok(());
        };
        let (actor, id) = (Arc::new(actor), addr.id());
        self.admit(actor.clone());
        // Before the first subscription: if one fails, the actor ends, and the others with it.
        let node = self.me.clone();
        self.runtime.spawn(async move {
            if let Err(failure) = addr.stopped().await {
                tracing::debug!(%failure, "a subscriber can't be waited for");
            }
            if let Some(node) = node.upgrade() {
                node.dismiss(id);
                node.unsubscribe(id).await;
            }
        });
        for row in A::__topics() {
            let read = self.subscribe_actor(&Name::new(row.topic)?, actor.clone()).await?;
            self.subscriptions.lock().entry(id).or_default().push(read);
        }
        Ok(())
    }

    async fn unsubscribe(&self, id: ActorId) {
        let consumptions = self.subscriptions.lock().remove(&id).unwrap_or_default();
        for consumption in consumptions {
            consumption.stop().await;
        }
    }

    pub(crate) async fn shutdown(&self) -> Result<()> {
        let ids: Vec<ActorId> = self.subscriptions.lock().keys().copied().collect();
        for id in ids {
            self.unsubscribe(id).await;
        }
        self.bus.shutdown(BUS_SHUTDOWN).await;
        let inbox = self.inbox.lock().take();
        drop(inbox);
        self.actors.clear();
        self.directory.shutdown().await.map_err(|error| Error::Directory(error.into()))
    }

    pub(crate) fn abort(&self) {
        self.bus.abort();
        self.directory.abort();
    }
}

/// A name, or the failure that a send with it has.
pub(super) fn checked(name: &str) -> Result<Name, Failure> {
    Name::new(name)
        .map_err(|error| Failure::new(FailureKind::NotPermitted { reason: error.to_string() }))
}

impl<A: Actor> Intake for LocalActorOf<A> {
    fn offer(&self, message: Incoming) -> Offered {
        LocalActor::offer(self, message)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("name", &self.name)
            .field("incarnation", &self.incarnation)
            .finish_non_exhaustive()
    }
}
