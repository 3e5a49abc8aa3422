//! Serving: from a factory to a service that is registered, read and stopped in order.

mod served;
mod service;
mod slot;

use std::{
    collections::BTreeMap,
    fmt,
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

pub use self::service::Service;
pub(crate) use self::slot::Slot;
use self::{
    served::{Served, Stops, stop_all},
    slot::Reserved,
};
use super::System;
use crate::{
    actor::{Actor, SpawnOptions, spawn_on},
    address::Addr,
    directory::{InstanceName, InstanceRecord, MessageEntry, ServiceDef},
    error::{Error, Result},
    health::{HealthCheck, HealthPolicy, Monitor},
    id::{ActorId, Name},
    mailbox::Overflow,
    service::{LocalActorOf, LocalService, Table},
};

/// The most instances of one service in one process.
const INSTANCES_MAX: usize = 10_000;

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
            version: None,
            labels: BTreeMap::new(),
            capabilities: Vec::new(),
            weight: 1,
            policy: HealthPolicy::new(),
            checks: Vec::new(),
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
    version: Option<String>,
    labels: BTreeMap<String, String>,
    capabilities: Vec<String>,
    weight: u32,
    policy: HealthPolicy,
    checks: Vec<Arc<dyn HealthCheck>>,
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

    /// Keeps what was handled for this long, 1 s to a year, so that it can be looked at, replayed and
    /// carried into a test: [`System::retained`]. Not at all unless it is given.
    ///
    /// It costs the memory of the log: all that comes in this time, up to
    /// [`retain_max`](Self::retain_max). What is beyond its time goes when something is settled, and
    /// within a few minutes when nothing is.
    pub fn retain(mut self, time: Duration) -> Self {
        self.definition.retain_ms = Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// The most entries that are kept, whatever their time, 1 to 10 000 000; 1 000 000 unless it is
    /// given. An entry holds what a process had sent at once: one or more messages, 65 000 bytes (or one
    /// message that is larger).
    pub fn retain_max(mut self, entries: u64) -> Self {
        self.definition.retain_max = entries;
        self
    }

    /// For how long the service remembers the dedup ids of tells, a second to a day; 10 minutes unless
    /// it is given. See [`ServiceTell::dedup_id`](crate::ServiceTell::dedup_id).
    pub fn dedup_window(mut self, window: Duration) -> Self {
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        self.definition.dedup_window_ms = window_ms;
        self
    }

    /// The program's version, a semantic version such as `1.4.0`: for
    /// [`Query::version`](crate::directory::Query::version) and people.
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

    /// What these instances can do beyond others of the service, each by a name: for
    /// [`Query::capability`](crate::directory::Query::capability).
    pub fn capabilities<C: Into<String>>(mut self, names: impl IntoIterator<Item = C>) -> Self {
        self.capabilities.extend(names.into_iter().map(Into::into));
        self
    }

    /// The share of asks that each of these instances gets against others: 0, which takes none, to
    /// 10 000; 1 unless it is given.
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// How often these instances are looked at, and what counts.
    pub fn health(mut self, policy: HealthPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Something that these instances need: while it fails, callers are sent to others. May be given
    /// several times. The first look comes before the instances are registered; where it fails, they
    /// are not called until it passes.
    pub fn check(mut self, check: impl HealthCheck) -> Self {
        self.checks.push(Arc::new(check));
        self
    }

    async fn start(mut self) -> Result<Service<A>> {
        self.system.check_is_up()?;
        let name = Name::new(&self.name)?;
        self.check_settings(&name)?;
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

    fn check_settings(&mut self, name: &Name) -> Result<()> {
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
        if let Err(error) = self.policy.check() {
            return refuse(error.to_string());
        }
        let sample = InstanceName::new(self.system.0.node.incarnation(), 0);
        if let Err(error) = self.record(name, sample, ActorId::from_u64(0)).check_metadata() {
            return refuse(error.to_string());
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
        let (directory, policy) = (node.directory().clone(), self.policy.clone());
        let monitor = Arc::new(Monitor::new(directory, policy, self.checks.clone()));
        let served =
            Arc::new(Served::new(name.clone(), node.clone(), local.clone(), monitor.clone()));
        let records = self.records(name, &addresses, messages);
        let opened = async {
            served.begin_reading(actors).await?;
            let first = monitor.first_look().await;
            for ((actor, record), addr) in erased.into_iter().zip(records).zip(&addresses) {
                node.admit(actor);
                served.instances.lock().push((record.instance, record.actor));
                let pinged = Arc::new(addr.clone());
                let health = monitor.admit(record.instance, record.actor, pinged, &first);
                node.directory()
                    .register_with_health(record, health)
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
        monitor.start(node.runtime());
        served.follow();
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
            let messages = messages.clone();
            InstanceRecord { messages, ..self.record(name, instance, addr.id()) }
        };
        addresses.iter().map(record).collect()
    }

    /// What is said of an instance, without its messages.
    fn record(&self, name: &Name, instance: InstanceName, actor: ActorId) -> InstanceRecord {
        let node = self.system.0.node.name().clone();
        InstanceRecord {
            version: self.version.clone(),
            capabilities: self.capabilities.clone(),
            labels: self.labels.clone(),
            weight: self.weight,
            ..InstanceRecord::new(name.clone(), instance, node, actor)
        }
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
