//! What this node knows of the cluster, in memory.
//!
//! Owns the model that follows the store, the snapshots that readers see and the events. Writes
//! nothing to the store.

mod follow;
mod guard;
mod model;
mod records;
mod shard;
mod view;

use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{Arc, atomic::AtomicU64},
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustc_hash::FxBuildHasher;
use tokio::{
    sync::{broadcast, watch},
    time::Instant,
};

pub(super) use self::follow::Follower;
pub use self::view::{ServiceHandle, ServiceView};
use self::{
    model::{Delta, Model},
    shard::{Shard, Shelf},
};
use super::{
    DirectoryEvent, HealthState, Maintenance, NodeRecord, Routing, Subscription, config::Configs,
};
use crate::{id::Name, kv::Revision};

/// So many that of 10 000 services some 10 are in one, which are copied when one of them changes.
const SHARDS: usize = 1024;

/// The snapshots, for any number of readers and one writer.
#[derive(Debug)]
pub(super) struct Cache {
    shards: Box<[Shard]>,
    nodes: ArcSwap<Vec<Arc<NodeRecord>>>,
    maintenance: ArcSwap<Vec<Maintenance>>,
    configs: Arc<Configs>,
    subscribers: Mutex<Subscribers>,
    status: watch::Sender<CacheStatus>,
    events_max: usize,
    /// The last generation that was given to a view; one count for all services, so that one which
    /// went and came back does not repeat itself.
    generation: AtomicU64,
}

/// How far the cache is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CacheStatus {
    /// The revision up to which the snapshots are right; none before the first list.
    pub(super) revision: Option<Revision>,
    /// Since when the store can't be reached.
    pub(super) stale_since: Option<Instant>,
    /// Values that could not be read, since the start.
    pub(super) malformed: u64,
    /// Full lists since the start.
    pub(super) lists: u64,
    /// Whether nobody follows the store any more.
    pub(super) closed: bool,
}

#[derive(Debug, Default)]
struct Subscribers {
    closed: bool,
    by_service: HashMap<Name, broadcast::Sender<DirectoryEvent>>,
}

impl Cache {
    pub(super) fn new(events_max: usize, configs: Arc<Configs>) -> Self {
        let empty = Arc::new(Shelf::default());
        Self {
            shards: (0..SHARDS).map(|_| Shard::new(&empty)).collect(),
            nodes: ArcSwap::default(),
            maintenance: ArcSwap::default(),
            configs,
            subscribers: Mutex::default(),
            status: watch::Sender::default(),
            events_max,
            generation: AtomicU64::new(0),
        }
    }

    pub(super) fn status(&self) -> watch::Receiver<CacheStatus> {
        self.status.subscribe()
    }

    pub(super) fn resolve(&self, service: &Name) -> Arc<ServiceView> {
        let hash = hash_of(service);
        let view = self.shards[shard_of(hash)].view(hash, service);
        view.unwrap_or_else(|| Arc::new(ServiceView::empty(service.clone())))
    }

    pub(super) fn handle(&self, service: &Name) -> ServiceHandle {
        let hash = hash_of(service);
        ServiceHandle::new(self.shards[shard_of(hash)].cell(hash, service))
    }

    pub(super) fn configs(&self) -> &Arc<Configs> {
        &self.configs
    }

    pub(super) fn nodes(&self) -> Vec<Arc<NodeRecord>> {
        self.nodes.load().as_ref().clone()
    }

    pub(super) fn maintenance(&self) -> Vec<Maintenance> {
        self.maintenance.load().as_ref().clone()
    }

    /// Services that have an instance or a definition, sorted.
    pub(super) fn services(&self) -> Vec<Name> {
        let mut services = Vec::new();
        self.shards.iter().for_each(|shard| shard.services(&mut services));
        services.sort();
        services
    }

    pub(super) fn subscribe(&self, service: &Name) -> Subscription {
        let mut subscribers = self.subscribers.lock();
        if subscribers.closed {
            return Subscription::new(broadcast::channel(1).1);
        }
        let senders = &mut subscribers.by_service;
        if !senders.contains_key(service) {
            // Whoever adds one takes away those that nobody listens to any more.
            senders.retain(|_, sender| sender.receiver_count() > 0);
        }
        let sender =
            senders.entry(service.clone()).or_insert_with(|| broadcast::channel(self.events_max).0);
        Subscription::new(sender.subscribe())
    }

    /// Ends all subscriptions; the snapshots stay.
    pub(super) fn close(&self) {
        let mut subscribers = self.subscribers.lock();
        subscribers.closed = true;
        subscribers.by_service.clear();
        drop(subscribers);
        self.configs.close();
        self.status.send_modify(|status| status.closed = true);
    }

    /// Says that the store can't be reached.
    fn mark_stale(&self, now: Instant) {
        let changed = self.status.send_if_modified(|status| {
            let first = status.stale_since.is_none();
            status.stale_since.get_or_insert(now);
            first
        });
        if changed {
            self.tell_all(&DirectoryEvent::Stale);
        }
    }

    /// Says that it can be reached again.
    fn mark_fresh(&self) {
        if self.status.send_if_modified(|status| status.stale_since.take().is_some()) {
            self.tell_all(&DirectoryEvent::Fresh);
        }
    }

    /// Shows what a step of the model changed, and then tells of it.
    fn publish(&self, model: &Model, delta: Delta, listed: bool) {
        let mut by_shard: HashMap<usize, Vec<(u64, Name)>, FxBuildHasher> = HashMap::default();
        for service in delta.services {
            let hash = hash_of(&service);
            by_shard.entry(shard_of(hash)).or_default().push((hash, service));
        }
        let mut events = delta.events;
        for (shard, services) in by_shard {
            let panics = self.shards[shard].publish(model, services, &self.generation);
            events.extend(panics.into_iter().map(|(service, is_panicking)| {
                warn_of_panic(&service, is_panicking);
                (service, DirectoryEvent::Panic(is_panicking))
            }));
        }
        if delta.maintenance {
            self.maintenance.store(Arc::new(model.maintenance()));
        }
        if delta.nodes {
            self.nodes.store(Arc::new(model.nodes()));
        }
        if !delta.configs.is_empty() {
            let entries = delta.configs.into_iter().map(|name| {
                let entry = model.config(&name);
                (name, entry)
            });
            self.configs.publish(entries.collect());
        }
        if let Some(first) = delta.malformed.first() {
            tracing::warn!(
                key = %first.escape_debug(), count = delta.malformed.len(),
                "values of the directory that can't be read are left out"
            );
        }
        self.status.send_modify(|status| {
            status.revision = Some(model.revision());
            status.malformed += delta.malformed.len() as u64;
            status.lists += u64::from(listed);
        });
        self.tell(events);
    }

    fn tell(&self, events: Vec<(Name, DirectoryEvent)>) {
        let subscribers = self.subscribers.lock();
        for (service, event) in events {
            if let Some(sender) = subscribers.by_service.get(&service) {
                // Without a subscriber there is nobody to tell.
                sender.send(event).ok();
            }
        }
    }

    fn tell_all(&self, event: &DirectoryEvent) {
        for sender in self.subscribers.lock().by_service.values() {
            sender.send(event.clone()).ok();
        }
    }
}

fn view_of(model: &Model, service: &Name, generation: u64) -> ServiceView {
    let instances = model.instances(service);
    let health = model.health(&instances);
    let mut states = health.iter().peekable();
    let routing = Routing::of(&instances, |record| {
        let health = states.next_if(|(name, _)| *name == record.instance);
        health.map_or(HealthState::Passing, |(_, health)| health.state)
    });
    ServiceView {
        service: service.clone(),
        generation,
        instances,
        suspects: model.suspects(service),
        health,
        routing,
        definition: model.definition(service),
    }
}

fn warn_of_panic(service: &Name, is_panicking: bool) {
    if is_panicking {
        tracing::warn!(
            %service,
            "fewer than half of the instances pass their checks: all of them are called"
        );
    } else {
        tracing::info!(%service, "enough instances pass their checks again");
    }
}

fn is_empty(view: &ServiceView) -> bool {
    view.instances.is_empty() && view.definition.is_none()
}

fn hash_of(service: &Name) -> u64 {
    FxBuildHasher.hash_one(service)
}

fn shard_of(hash: u64) -> usize {
    (hash >> 48) as usize % SHARDS
}

#[cfg(test)]
mod tests;
