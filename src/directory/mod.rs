//! The directory: which services there are, on which nodes, and what they agreed on.
//!
//! Owns the keys of a cluster in the store, the registration of this node and its instances under
//! one lease, a cache of all that every resolve is answered from, and the configuration. Does not send messages and
//! does not know what an instance does with them.

mod cache;
mod config;
mod definition;
mod election;
mod error;
mod event;
mod health;
mod keys;
mod metadata;
mod options;
mod query;
mod record;
mod registration;
mod store;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{Instant, timeout},
};

#[cfg(all(feature = "etcd", feature = "redis"))]
pub(crate) use self::keys::root_of;
use self::{
    cache::{Cache, Follower},
    config::Configs,
    election::Candidacies,
    keys::Keys,
    record::encode,
    registration::{Registrar, Registration, Wanted},
    store::Store,
};
pub use self::{
    cache::{ServiceHandle, ServiceView},
    config::{
        AppliedConfig, CONFIG_BYTES_MAX, CONFIG_HISTORY_MAX, Config, ConfigError, ConfigEvent,
        ConfigRecord, Configuration, RefusedConfig, Versioned,
    },
    election::{Candidate, FencingToken, Leadership, Role},
    error::DirectoryError,
    event::{DirectoryEvent, Subscription},
    health::{
        HEALTH_REASON_BYTES_MAX, HealthRecord, HealthState, Maintenance, MaintenanceScope, Routing,
    },
    metadata::{
        CAPABILITIES_MAX, LABEL_KEY_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_MAX,
        METADATA_BYTES_MAX, WEIGHT_MAX,
    },
    options::DirectoryOptions,
    query::{Found, Query, VersionRequirement, VersionRequirementError},
    record::{
        DEDUP_WINDOW_MS_BOUNDS, DEDUP_WINDOW_MS_DEFAULT, Durability, InstanceName,
        InstanceNameError, InstanceRecord, MessageEntry, Mode, NodeRecord, RETAIN_ENTRIES_MAX,
        RETAIN_MAX, RETAIN_MIN, ServiceDef,
    },
};
use crate::{
    id::{Incarnation, Name},
    kv::{KeyValueStore, KvError, Revision},
};

/// This node's part in the directory of a cluster.
///
/// Clones share one. When the last is dropped, its tasks end as by [`abort`](Self::abort).
#[derive(Debug, Clone)]
pub struct Directory {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: DirectoryOptions,
    keys: Keys,
    store: Store,
    cache: Arc<Cache>,
    registration: Arc<Registration>,
    candidacies: Candidacies,
    /// The highest generation of the store that this process has seen.
    generation: AtomicU64,
    runtime: Handle,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Directory {
    /// Registers the node and lists the directory; resolves when both are done.
    ///
    /// The tasks that keep both up to date run on `runtime`, which needs its timer enabled.
    ///
    /// # Errors
    /// [`DirectoryError::Option`] for an option out of bounds, [`DirectoryError::Superseded`] when
    /// a later process has the node's name, [`DirectoryError::StartTimeout`] when the store was not
    /// reached within [`DirectoryOptions::patience`].
    ///
    /// # Cancel safety
    /// Dropping the future ends the tasks; what was registered goes with its lease.
    pub async fn start(
        kv: Arc<dyn KeyValueStore>,
        options: DirectoryOptions,
        runtime: Handle,
    ) -> Result<Self, DirectoryError> {
        options.check()?;
        let directory = Self::spawn(kv, options, &runtime)?;
        let inner = &directory.inner;
        let version = inner.registration.leave(&[]);
        let ready = async {
            inner.registration.applied(version).await?;
            inner.seen(Revision::default()).await
        };
        let patience = inner.options.patience;
        match timeout(patience, ready).await {
            Ok(Ok(())) => Ok(directory),
            Ok(Err(error)) => Err(error),
            Err(_) => {
                let source = inner.registration.take_error();
                Err(DirectoryError::StartTimeout { after: patience, source })
            }
        }
    }

    fn spawn(
        kv: Arc<dyn KeyValueStore>,
        options: DirectoryOptions,
        runtime: &Handle,
    ) -> Result<Self, DirectoryError> {
        let node = encode(&NodeRecord {
            node: options.node.clone(),
            incarnation: options.incarnation,
            callboard: env!("CARGO_PKG_VERSION").to_owned(),
            labels: options.labels.clone(),
        })?;
        let keys = Keys::new(&options.cluster);
        let store = Store::new(kv, options.call_timeout);
        let registration = Arc::new(Registration::default());
        let configs = Configs::new(keys.clone(), options.node.clone(), Arc::clone(&registration));
        let cache = Arc::new(Cache::new(options.events_max, Arc::new(configs)));
        let registrar = Registrar::new(
            store.clone(),
            keys.clone(),
            Arc::clone(&registration),
            options.clone(),
            node,
        );
        let follower = Follower::new(
            store.clone(),
            keys.clone(),
            Arc::clone(&cache),
            Arc::clone(&registration),
            options.clone(),
        );
        let tasks = vec![runtime.spawn(registrar.run()), runtime.spawn(follower.run())];
        let tasks = Mutex::new(tasks);
        let inner = Inner {
            options,
            keys,
            store,
            cache,
            registration,
            candidacies: Candidacies::default(),
            generation: AtomicU64::new(0),
            runtime: runtime.clone(),
            tasks,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Registers an instance, or changes its record; resolves when it is registered and visible in
    /// this node's cache.
    ///
    /// From then on the node keeps it registered, whatever happens to the store, until
    /// [`deregister`](Self::deregister). While the store can't be reached this waits.
    ///
    /// # Errors
    /// [`DirectoryError::Record`] for a record of another node or incarnation or one that is too
    /// large, [`DirectoryError::Superseded`], [`DirectoryError::Closed`].
    ///
    /// # Cancel safety
    /// Dropping the future does not take the wish back: call [`deregister`](Self::deregister).
    pub async fn register(&self, record: InstanceRecord) -> Result<(), DirectoryError> {
        self.register_as(record, None).await
    }

    /// As [`register`](Self::register), with a health that is known from the beginning: there is no
    /// moment at which the instance is taken for one that passes.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    ///
    /// # Cancel safety
    /// As [`register`](Self::register).
    pub async fn register_with_health(
        &self,
        record: InstanceRecord,
        health: HealthRecord,
    ) -> Result<(), DirectoryError> {
        self.register_as(record, Some(health)).await
    }

    async fn register_as(
        &self,
        record: InstanceRecord,
        health: Option<HealthRecord>,
    ) -> Result<(), DirectoryError> {
        let inner = &self.inner;
        inner.registration.check_open()?;
        record.check()?;
        inner.check_own(&record)?;
        let health = health.filter(|health| health.state != HealthState::Passing);
        let health = health.map(|health| encode(&health.bounded())).transpose()?;
        let wanted = Wanted {
            key: inner.keys.instance(&record.service, record.instance),
            bye: inner.keys.bye(&record.service, record.instance),
            health: inner.keys.health(&record.service, record.instance),
            value: encode(&record)?,
            service: record.service,
        };
        let version = inner.registration.want(record.instance, wanted, health);
        let revision = inner.registration.applied(version).await?;
        inner.seen(revision).await
    }

    /// Says how an instance of this node does; resolves when the store has it. Others see it within
    /// milliseconds. An instance that is not registered here is left alone.
    ///
    /// # Errors
    /// [`DirectoryError::Superseded`], [`DirectoryError::Closed`].
    ///
    /// # Cancel safety
    /// Dropping the future does not take the word back.
    pub async fn set_health(
        &self,
        instance: InstanceName,
        health: HealthRecord,
    ) -> Result<(), DirectoryError> {
        match self.report_health(instance, &health)? {
            None => Ok(()),
            Some(version) => self.inner.registration.applied(version).await.map(drop),
        }
    }

    /// As [`set_health`](Self::set_health), without waiting. Gives the version to wait for.
    pub(crate) fn report_health(
        &self,
        instance: InstanceName,
        health: &HealthRecord,
    ) -> Result<Option<u64>, DirectoryError> {
        let registration = &self.inner.registration;
        registration.check_open()?;
        let passes = health.state == HealthState::Passing;
        let value = if passes { None } else { Some(encode(&health.clone().bounded())?) };
        Ok(registration.report_health(instance, value))
    }

    /// Waits until the store has all that this node wants now.
    ///
    /// # Errors
    /// [`DirectoryError::Superseded`], [`DirectoryError::Closed`].
    pub(crate) async fn applied(&self) -> Result<(), DirectoryError> {
        let registration = &self.inner.registration;
        registration.applied(registration.version()).await.map(drop)
    }

    /// Takes instances out in order: others see that they left. Resolves when they are gone from
    /// this node's cache too. Names that are not registered here are left alone.
    ///
    /// # Errors
    /// [`DirectoryError::Superseded`], [`DirectoryError::Closed`].
    ///
    /// # Cancel safety
    /// Dropping the future does not take the wish back.
    pub async fn deregister(&self, instances: &[InstanceName]) -> Result<(), DirectoryError> {
        self.inner.registration.check_open()?;
        let version = self.inner.registration.leave(instances);
        let revision = self.inner.registration.applied(version).await?;
        self.inner.seen(revision).await
    }

    /// The instances of a service as this node's cache has them: a look-up in memory.
    pub fn resolve(&self, service: &Name) -> Arc<ServiceView> {
        self.inner.cache.resolve(service)
    }

    /// A handle for a service that is resolved often.
    pub fn handle(&self, service: &Name) -> ServiceHandle {
        self.inner.cache.handle(service)
    }

    /// The nodes that are registered, sorted by name.
    pub fn nodes(&self) -> Vec<Arc<NodeRecord>> {
        self.inner.cache.nodes()
    }

    /// The services that have an instance or a definition, sorted.
    pub fn services(&self) -> Vec<Name> {
        self.inner.cache.services()
    }

    /// The changes of a service from now on.
    ///
    /// Subscribe first and read the snapshot then: nothing is missed.
    pub fn watch(&self, service: &Name) -> Subscription {
        self.inner.cache.subscribe(service)
    }

    /// Until when other nodes surely take this one for alive: whoever must be the only one stops
    /// by then. None while the node has no lease.
    ///
    /// Counted from before the request that renewed the lease, less a tenth of its time.
    pub fn lease_deadline(&self) -> Option<Instant> {
        self.inner.registration.deadline()
    }

    /// Since when this node has surely been taken for alive without a gap; none while it has no
    /// lease or is past [`lease_deadline`](Self::lease_deadline).
    ///
    /// After an outage of the store every lease is gone while every node may live: who draws
    /// conclusions from the absence of others first looks for how long it has been present itself.
    pub fn lease_held_since(&self) -> Option<Instant> {
        self.inner.registration.held_since(Instant::now())
    }

    /// How long a node stays registered when it is not heard of.
    pub fn lease_ttl(&self) -> Duration {
        self.inner.options.lease_ttl
    }

    /// How far the cache may be behind the store while it counts as fresh.
    pub(crate) fn silence_max(&self) -> Duration {
        self.inner.options.silence_max
    }

    /// The later process that took this node's name, if one did.
    pub fn superseded_by(&self) -> Option<Incarnation> {
        self.inner.registration.superseded_by()
    }

    /// Since when the store can't be reached and the cache may be old; none while it is fresh.
    pub fn stale_since(&self) -> Option<Instant> {
        self.inner.cache.status().borrow().stale_since
    }

    /// How old the cache may be: nothing while it follows the store.
    pub fn age(&self) -> Duration {
        self.stale_since().map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// How many values could not be read since the start.
    pub fn malformed_values(&self) -> u64 {
        self.inner.cache.status().borrow().malformed
    }

    /// The cluster that this is the directory of.
    pub fn cluster(&self) -> &Name {
        &self.inner.options.cluster
    }

    /// The name of this node.
    pub fn node(&self) -> &Name {
        &self.inner.options.node
    }

    /// This life of the process.
    pub fn incarnation(&self) -> Incarnation {
        self.inner.options.incarnation
    }

    /// Leaves in order: every instance with a `bye`, then the node; ends the tasks. The snapshots
    /// stay readable. The second call does nothing.
    ///
    /// # Errors
    /// [`DirectoryError::Store`] or [`DirectoryError::Unreachable`] when the store was not reached
    /// within [`DirectoryOptions::patience`]: what is left goes with the lease.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the rest to a second call, or to [`abort`](Self::abort).
    pub async fn shutdown(&self) -> Result<(), DirectoryError> {
        let inner = &self.inner;
        if inner.registration.check_open().is_err() {
            inner.stop();
            return Ok(());
        }
        let version = inner.registration.leave_all();
        let left = timeout(inner.options.patience, inner.registration.applied(version)).await;
        inner.stop();
        let lease = inner.registration.let_go();
        match left {
            Err(_) => {
                let source = inner.registration.take_error();
                return Err(DirectoryError::Unreachable { after: inner.options.patience, source });
            }
            // Out already.
            Ok(Err(_)) => return Ok(()),
            Ok(Ok(_)) => {}
        }
        match lease.map(|lease| inner.store.revoke(lease)) {
            None => Ok(()),
            Some(revoke) => match revoke.await {
                Ok(()) | Err(KvError::LeaseNotFound(_)) => Ok(()),
                Err(error) => Err(error.into()),
            },
        }
    }

    /// Ends the tasks as a crash would: the lease is left to expire.
    pub fn abort(&self) {
        self.inner.stop();
    }
}

impl Inner {
    /// Waits until the cache has seen a write of this revision.
    async fn seen(&self, revision: Revision) -> Result<(), DirectoryError> {
        let mut status = self.cache.status();
        let lists = status.borrow().lists;
        loop {
            let now = *status.borrow_and_update();
            // A store that lost its data counts from 1 again; but a list that began after the write
            // shows it whatever its revision, and the second from now surely did.
            if now.revision.is_some_and(|seen| seen >= revision) || now.lists >= lists + 2 {
                return Ok(());
            }
            if now.closed || status.changed().await.is_err() {
                return Err(DirectoryError::Closed);
            }
        }
    }

    fn note_generation(&self, generation: u64) {
        self.generation.fetch_max(generation, Ordering::AcqRel);
    }

    fn generation_seen(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn check_own(&self, record: &InstanceRecord) -> Result<(), DirectoryError> {
        if record.node != self.options.node {
            let text = format!("it is of node {}, this is {}", record.node, self.options.node);
            return Err(DirectoryError::Record(text));
        }
        if record.incarnation() != self.options.incarnation {
            let text = format!("{} is not an instance of this process", record.instance);
            return Err(DirectoryError::Record(text));
        }
        Ok(())
    }

    fn stop(&self) {
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
        self.registration.close();
        self.cache.close();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}
