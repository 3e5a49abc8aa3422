use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;

use crate::{
    directory::{HealthRecord, HealthState, InstanceName, InstanceRecord, Routing, ServiceDef},
    id::{Incarnation, Name},
};

/// A service as the cache saw it last.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceView {
    /// The service.
    pub service: Name,
    /// Goes up with each change of this service; 0 for one that was never seen.
    pub generation: u64,
    /// Its instances, sorted by their names.
    pub instances: Vec<Arc<InstanceRecord>>,
    /// Those of them whose registration vanished, and which are kept for one more lease time because
    /// their nodes are likely to live; sorted.
    pub suspects: Vec<InstanceName>,
    /// How those do that do not pass their checks or were taken out, sorted by their names.
    pub health: Vec<(InstanceName, Arc<HealthRecord>)>,
    /// Who of them is called.
    pub routing: Routing,
    /// Its definition, if it has one.
    pub definition: Option<Arc<ServiceDef>>,
}

impl ServiceView {
    pub(super) fn empty(service: Name) -> Self {
        Self {
            service,
            generation: 0,
            instances: Vec::new(),
            suspects: Vec::new(),
            health: Vec::new(),
            routing: Routing::default(),
            definition: None,
        }
    }

    /// How an instance of it does.
    pub fn health_of(&self, instance: InstanceName) -> HealthState {
        let at = self.health.binary_search_by_key(&instance, |(name, _)| *name);
        at.map_or(HealthState::Passing, |at| self.health[at].1.state)
    }

    /// Whether an instance is kept though its registration vanished.
    pub fn is_suspect(&self, instance: InstanceName) -> bool {
        self.suspects.binary_search(&instance).is_ok()
    }

    /// Whether fewer than half of its instances pass their checks, so that all of them are called:
    /// checks that fail everywhere at once say more about what they look at than about the instances.
    /// Those that somebody took out, or that have not passed yet, count on neither side.
    pub fn is_panicking(&self) -> bool {
        self.routing.is_panicking()
    }

    /// A service of these instances, in their order, by their numbers' states.
    #[cfg(test)]
    pub(crate) fn sample(
        records: impl IntoIterator<Item = InstanceRecord>,
        state: impl Fn(u64) -> HealthState,
    ) -> Self {
        let instances: Vec<_> = records.into_iter().map(Arc::new).collect();
        let state = |record: &InstanceRecord| state(record.instance.number());
        let health = instances
            .iter()
            .map(|record| (record.instance, Arc::new(HealthRecord::new(state(record), 0, ""))));
        let health = health.collect();
        let routing = Routing::of(&instances, state);
        let service = Name::new("s").expect("a name");
        Self { instances, health, routing, ..Self::empty(service) }
    }

    /// Where the instances of one life of a process stand among the instances.
    pub(crate) fn of_incarnation(&self, incarnation: Incarnation) -> Range<usize> {
        let below = |record: &Arc<InstanceRecord>| record.incarnation() < incarnation;
        let upto = |record: &Arc<InstanceRecord>| record.incarnation() <= incarnation;
        self.instances.partition_point(below)..self.instances.partition_point(upto)
    }
}

/// Where the newest view of one service stands.
#[derive(Debug)]
pub(super) struct ServiceCell {
    /// That of `view`, in front so that a check is one load.
    generation: AtomicU64,
    view: ArcSwap<ServiceView>,
}

impl ServiceCell {
    pub(super) fn new(view: Arc<ServiceView>) -> Self {
        Self { generation: AtomicU64::new(view.generation), view: ArcSwap::new(view) }
    }

    /// Takes a newer view.
    pub(super) fn store(&self, view: Arc<ServiceView>) {
        let generation = view.generation;
        self.view.store(view);
        // After the view: whoever sees the new number finds the new view.
        self.generation.store(generation, Ordering::Release);
    }

    pub(super) fn load(&self) -> Arc<ServiceView> {
        self.view.load_full()
    }
}

/// A service that is resolved often: a view that is kept, and a check whether it is still the
/// newest that costs one load and one compare.
///
/// A clone has a kept view of its own.
#[derive(Debug, Clone)]
pub struct ServiceHandle {
    cell: Arc<ServiceCell>,
    kept: Arc<ServiceView>,
}

impl ServiceHandle {
    pub(super) fn new(cell: Arc<ServiceCell>) -> Self {
        let kept = cell.load();
        Self { cell, kept }
    }

    /// The newest view, without keeping it.
    pub fn load(&self) -> Arc<ServiceView> {
        if self.is_stale() { self.cell.load() } else { Arc::clone(&self.kept) }
    }

    /// The newest view; it is read anew only when the service changed.
    pub fn current(&mut self) -> &Arc<ServiceView> {
        if self.is_stale() {
            self.kept = self.cell.load();
        }
        &self.kept
    }

    /// Whether the service changed since the view that is kept.
    pub fn is_stale(&self) -> bool {
        self.cell.generation.load(Ordering::Acquire) != self.kept.generation
    }
}
