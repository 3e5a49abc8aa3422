use std::{
    collections::BTreeMap,
    fmt,
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::timeout;

use super::{Inner, System};
use crate::{
    actor::{Actor, SpawnOptions, TopicRow, spawn_on},
    address::Addr,
    bus::{Consumption, Intake, Subscriber},
    directory::{InstanceName, InstanceRecord, MessageEntry, ServiceDef},
    error::{Error, Failure, Result},
    id::Name,
    log::Start,
    mailbox::Overflow,
    service::{LocalActorOf, LocalService, Node, Table},
    time::parse_duration,
};

/// The most instances of one service in one process.
const INSTANCES_MAX: usize = 10_000;
/// How long a draining service waits for the messages that it holds.
const DRAIN_HELD: Duration = Duration::from_secs(30);

impl System {
    /// Serves actors as a service: spawns them, registers them and reads the service's stream.
    ///
    /// `system.serve("counter", Counter::default).instances(2).await?`
    ///
    /// Resolves when the service is registered and visible here. Dropped before that, the service
    /// is served all the same, until the shutdown.
    pub fn serve<A, F>(&self, name: impl Into<String>, factory: F) -> Serve<A, F>
    where
        A: Actor,
        F: Fn() -> A + Send + Sync + 'static,
    {
        Serve {
            system: self.clone(),
            name: name.into(),
            factory: Arc::new(factory),
            instances: 1,
            definition: ServiceDef::default(),
            retain: None,
            version: None,
            labels: BTreeMap::new(),
            actor: PhantomData,
        }
    }

    /// Defines a service without serving it: from then on tells to it are stored, also while nobody
    /// serves it. The first definition stands.
    ///
    /// # Errors
    /// [`Error::Serve`] when the service is defined differently.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it may be defined or not; define it again.
    pub async fn define(&self, name: impl AsRef<str>, definition: ServiceDef) -> Result<()> {
        self.check_is_up()?;
        let name = Name::new(name)?;
        self.0.node.define(&name, definition).await
    }
}

/// A service that is about to be served.
#[must_use = "nothing is served until it is awaited"]
pub struct Serve<A, F> {
    system: System,
    name: String,
    factory: Arc<F>,
    instances: usize,
    definition: ServiceDef,
    /// As it was written; read when the service is served, so that a mistake is an error there.
    retain: Option<String>,
    version: Option<String>,
    labels: BTreeMap<String, String>,
    actor: PhantomData<fn() -> A>,
}

impl<A, F> Serve<A, F>
where
    A: Actor,
    F: Fn() -> A + Send + Sync + 'static,
{
    /// How many instances in this process: 1 (the default) to 10 000.
    pub fn instances(mut self, instances: usize) -> Self {
        self.instances = instances;
        self
    }

    /// Whichever instance has room takes the next message; this is the default.
    pub fn competing(mut self) -> Self {
        self.definition.mode = crate::directory::Mode::Competing;
        self
    }

    /// The most messages that may wait in the service's stream before tells are refused.
    pub fn backlog_max(mut self, messages: u64) -> Self {
        self.definition.backlog_max = messages;
        self
    }

    /// The program's version, for whoever looks at the directory.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// What is to be known of these instances: zone, machine type.
    pub fn labels<K, V>(mut self, labels: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<String>,
    {
        self.labels.extend(labels.into_iter().map(|(key, value)| (key.into(), value.into())));
        self
    }

    async fn start(mut self) -> Result<Service<A>> {
        self.system.check_is_up()?;
        let name = Name::new(&self.name)?;
        self.check(&name)?;
        let table = Arc::new(Table::<A>::new());
        let messages = table.remote_messages();
        self.system.0.reserve(&name, &messages)?;
        let _reserved = Reserved { system: self.system.clone(), name: name.clone() };
        self.system.0.node.define(&name, self.definition.clone()).await?;
        let addresses = self.spawn(&name).await?;
        let service = self.open(&name, &table, messages, addresses).await?;
        if let Err(error) = self.system.check_is_up() {
            // The shutdown may have looked at the services before this one was there.
            service.stop().await?;
            return Err(error);
        }
        Ok(service)
    }

    fn check(&mut self, name: &Name) -> Result<()> {
        let refuse = |reason: String| Err(Error::Serve { service: name.to_string(), reason });
        if !(1..=INSTANCES_MAX).contains(&self.instances) {
            let given = self.instances;
            return refuse(format!("instances({given}): give 1 to {INSTANCES_MAX}"));
        }
        if A::OPTIONS.overflow == Overflow::DropOldest {
            return refuse(
                "its actor has `mailbox(overflow = \"drop_oldest\")`, which would drop stored \
                 messages; use \"wait\" or \"reject\""
                    .to_owned(),
            );
        }
        if let Some(retain) = &self.retain {
            match parse_duration(retain) {
                Ok(retain) => {
                    self.definition.retain_ms =
                        Some(u64::try_from(retain.as_millis()).unwrap_or(u64::MAX));
                }
                Err(error) => return refuse(format!("retain: {error}")),
            }
        }
        self.system.report_settings::<A>();
        Ok(())
    }

    /// Spawns the instances, one host after the other, and waits until all have started.
    async fn spawn(&self, name: &Name) -> Result<Vec<Addr<A>>> {
        let mut addresses = Vec::with_capacity(self.instances);
        for nth in 0..self.instances {
            let mut options = SpawnOptions::new();
            options.name = Some(format!("{name}/{nth}").into_boxed_str());
            let factory = self.factory.clone();
            let host = self.system.0.runtime.next_host();
            addresses.push(spawn_on(host, move || factory(), options));
        }
        for addr in &addresses {
            if let Err(failure) = addr.started().await {
                stop_all(&addresses).await;
                return Err(failure.into());
            }
        }
        Ok(addresses)
    }

    async fn open(
        &self,
        name: &Name,
        table: &Arc<Table<A>>,
        messages: Vec<MessageEntry>,
        addresses: Vec<Addr<A>>,
    ) -> Result<Service<A>> {
        let node = &self.system.0.node;
        for row in table.rows() {
            tracing::debug!(service = %name, ?row, "handles");
        }
        let actors: Vec<Arc<LocalActorOf<A>>> = addresses
            .iter()
            .filter_map(|addr| LocalActorOf::new(addr.clone(), table.clone(), node.context()))
            .map(Arc::new)
            .collect();
        let mut erased: Vec<Arc<dyn crate::service::LocalActor>> = Vec::new();
        for actor in &actors {
            erased.push(actor.clone());
        }
        let local = Arc::new(LocalService::new(erased.clone()));
        let served = Arc::new(Served::new(name.clone(), node.clone(), local.clone()));
        let records = self.records(name, &addresses, messages);
        let opened = async {
            served.read(&actors, A::__topics()).await?;
            for (actor, record) in erased.into_iter().zip(records) {
                node.admit(actor);
                served.instances.lock().push((record.instance, record.actor));
                node.directory()
                    .register(record)
                    .await
                    .map_err(|error| Error::Directory(error.into()))?;
            }
            Ok(())
        };
        if let Err(error) = opened.await {
            served.leave().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "a service that could not be served was not taken back");
            });
            stop_all(&addresses).await;
            return Err(error);
        }
        for addr in &addresses {
            served.watch(addr.clone());
        }
        let stops: Vec<Box<dyn Stops>> =
            addresses.iter().map(|addr| Box::new(addr.clone()) as Box<dyn Stops>).collect();
        *served.actors.lock() = stops;
        self.system.0.services.lock().insert(name.clone(), Slot::Served(served.clone()));
        let system = Arc::downgrade(&self.system.0);
        Ok(Service { served, addresses, system })
    }

    fn records(
        &self,
        name: &Name,
        addresses: &[Addr<A>],
        messages: Vec<MessageEntry>,
    ) -> Vec<InstanceRecord> {
        let node = &self.system.0.node;
        let record = |addr: &Addr<A>| {
            let number = self.system.0.last_instance.fetch_add(1, Ordering::Relaxed);
            let instance = InstanceName::new(node.incarnation(), number);
            let mut record =
                InstanceRecord::new(name.clone(), instance, node.name().clone(), addr.id());
            record.version = self.version.clone();
            record.labels = self.labels.clone();
            record.messages = messages.clone();
            record
        };
        addresses.iter().map(record).collect()
    }
}

impl<A, F> IntoFuture for Serve<A, F>
where
    A: Actor,
    F: Fn() -> A + Send + Sync + 'static,
{
    type Output = Result<Service<A>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let runtime = self.system.0.runtime.io().clone();
            // A task of its own: dropped half-way, it would leave actors that nobody reads for and
            // instances that nobody deregisters.
            match runtime.spawn(self.start()).await {
                Ok(served) => served,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => Err(Error::ShutDown),
                },
            }
        })
    }
}

impl<A, F> fmt::Debug for Serve<A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("name", &self.name)
            .field("instances", &self.instances)
            .finish_non_exhaustive()
    }
}

/// A service's place in its system.
pub(crate) enum Slot {
    /// It is being started with these messages.
    Starting(Vec<MessageEntry>),
    Served(Arc<Served>),
}

/// A name that was taken for a service that starts; free again if it does not.
struct Reserved {
    system: System,
    name: Name,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut services = self.system.0.services.lock();
        if matches!(services.get(&self.name), Some(Slot::Starting(_))) {
            services.remove(&self.name);
        }
    }
}

impl Inner {
    /// Takes the name, so that two calls at once can't both serve it.
    fn reserve(&self, name: &Name, messages: &[MessageEntry]) -> Result<()> {
        let mut services = self.services.lock();
        let Some(slot) = services.get(name) else {
            services.insert(name.clone(), Slot::Starting(messages.to_vec()));
            return Ok(());
        };
        let other = match slot {
            Slot::Starting(messages) => messages.clone(),
            Slot::Served(served) => self.node.messages_of(&served.name),
        };
        let difference = if other == messages {
            String::new()
        } else {
            format!(
                " (with other messages: it handles {}, this one {})",
                list(&other),
                list(messages)
            )
        };
        Err(Error::Serve {
            service: name.to_string(),
            reason: format!(
                "this system serves it already{difference}; use `.instances(n)` for more \
                 instances, or another name"
            ),
        })
    }
}

fn list(messages: &[MessageEntry]) -> String {
    let shown: Vec<_> =
        messages.iter().map(|entry| format!("{} v{}", entry.name, entry.version)).collect();
    if shown.is_empty() { "nothing".to_owned() } else { shown.join(", ") }
}

/// A service in this process.
pub(crate) struct Served {
    name: Name,
    node: Arc<Node>,
    local: Arc<LocalService>,
    instances: Mutex<Vec<(InstanceName, crate::id::ActorId)>>,
    consumptions: Mutex<Vec<Consumption>>,
    actors: Mutex<Vec<Box<dyn Stops>>>,
    has_left: AtomicBool,
}

/// An actor of any type, to be stopped.
trait Stops: Send + Sync {
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
    fn new(name: Name, node: Arc<Node>, local: Arc<LocalService>) -> Self {
        Self {
            name,
            node,
            local,
            instances: Mutex::default(),
            consumptions: Mutex::default(),
            actors: Mutex::default(),
            has_left: AtomicBool::new(false),
        }
    }

    /// Reads the service's stream, and its topics: once for the service, or once per instance.
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
    fn watch<A: Actor>(self: &Arc<Self>, addr: Addr<A>) {
        let served = Arc::downgrade(self);
        self.node.runtime().spawn(async move {
            Stops::stopped(&addr).await;
            if let Some(served) = Weak::upgrade(&served) {
                served.lose(addr.id()).await;
            }
        });
    }

    async fn lose(&self, id: crate::id::ActorId) {
        if self.has_left.load(Ordering::Acquire) {
            return;
        }
        self.local.remove(id);
        self.node.dismiss(id);
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

    /// Leaves the directory, stops reading and waits until everything that was read is settled.
    async fn leave(&self) -> Result<()> {
        if self.has_left.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let names: Vec<InstanceName> =
            self.instances.lock().iter().map(|(name, _)| *name).collect();
        let left = self.node.directory().deregister(&names).await;
        let consumptions = std::mem::take(&mut *self.consumptions.lock());
        for consumption in &consumptions {
            consumption.stop().await;
        }
        let drained = timeout(DRAIN_HELD, async {
            for consumption in &consumptions {
                consumption.drained().await;
            }
        });
        if drained.await.is_err() {
            tracing::warn!(service = %self.name, "messages in hand were not handled in time");
        }
        left.map_err(|error| Error::Directory(error.into()))
    }

    pub(crate) async fn stop(&self) -> Result<()> {
        let left = self.leave().await;
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
            self.node.dismiss(id);
        }
        left
    }

    pub(crate) async fn drain(&self) -> Result<()> {
        self.leave().await
    }
}

async fn stop_all<A: Actor>(addresses: &[Addr<A>]) {
    for addr in addresses {
        if let Err(failure) = addr.stop() {
            tracing::debug!(%failure, "an instance was not told to stop");
        }
    }
    for addr in addresses {
        Stops::stopped(addr).await;
    }
}

/// A service that this system serves. Dropping it changes nothing: the service goes on until it is
/// stopped or the system shuts down.
pub struct Service<A: Actor> {
    served: Arc<Served>,
    addresses: Vec<Addr<A>>,
    system: Weak<Inner>,
}

impl<A: Actor> Service<A> {
    /// Its name.
    pub fn name(&self) -> &Name {
        &self.served.name
    }

    /// The addresses of its instances in this process.
    pub fn addresses(&self) -> &[Addr<A>] {
        &self.addresses
    }

    /// Leaves the directory, stops reading the stream and waits until everything that was read is
    /// handled. The actors live on, for who has their addresses.
    ///
    /// # Errors
    /// [`Error::Directory`].
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the rest is done all the same.
    pub async fn drain(&self) -> Result<()> {
        let served = self.served.clone();
        self.run(async move { served.drain().await }).await
    }

    /// Runs as a task of its own, where there are timers and nobody drops it half-way.
    async fn run(&self, leaving: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
        let run = self.served.node.runtime().spawn(leaving);
        run.await.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The shutdown was faster.
            Err(_) => Ok(()),
        })
    }

    /// Drains it, then stops its actors. The name can be served again after that.
    ///
    /// # Errors
    /// [`Error::Directory`].
    ///
    /// # Cancel safety
    /// As [`drain`](Self::drain).
    pub async fn stop(&self) -> Result<()> {
        let served = self.served.clone();
        let stopped = self.run(async move { served.stop().await }).await;
        if let Some(system) = self.system.upgrade() {
            let mut services = system.services.lock();
            // The name may be served anew by now.
            if matches!(services.get(self.name()), Some(Slot::Served(served)) if Arc::ptr_eq(served, &self.served))
            {
                services.remove(self.name());
            }
        }
        stopped
    }
}

impl<A: Actor> fmt::Debug for Service<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.served.name)
            .field("instances", &self.addresses.len())
            .finish_non_exhaustive()
    }
}
