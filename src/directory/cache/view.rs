use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwap;

use crate::{
    directory::{InstanceName, InstanceRecord, ServiceDef},
    id::Name,
};

/// A service as the cache saw it last.
#[derive(Debug, Clone, PartialEq, Eq)]
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
            definition: None,
        }
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
    pub(super) fn new(view: ServiceView) -> Self {
        Self { generation: AtomicU64::new(view.generation), view: ArcSwap::from_pointee(view) }
    }

    pub(super) fn store(&self, view: ServiceView) {
        let generation = view.generation;
        self.view.store(Arc::new(view));
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
