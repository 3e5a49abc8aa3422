//! The part of the snapshots that holds some of the services.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::{
    is_empty,
    model::Model,
    view::{ServiceCell, ServiceView},
    view_of,
};
use crate::id::Name;

/// Some of the services: for any number of readers, and one writer at a time.
#[derive(Debug)]
pub(super) struct Shard {
    /// Held by whoever changes the shelf.
    writer: Mutex<()>,
    shelf: ArcSwap<Shelf>,
}

/// The services of a shard at one moment, in the order of their hashes.
///
/// Immutable: a change makes another, which is why there are so many shards that few services are on
/// one. A map would hash the name once more than the choice of the shard did, and a view behind the
/// cell would have a reader announce itself twice.
#[derive(Debug, Default, Clone)]
pub(super) struct Shelf {
    slots: Vec<Slot>,
}

/// One service.
#[derive(Debug, Clone)]
struct Slot {
    hash: u64,
    service: Name,
    view: Arc<ServiceView>,
    held: Arc<Held>,
}

/// What the handles of a service hold. Shelves share it as a whole, so that within only handles are
/// counted beside it.
#[derive(Debug)]
struct Held(Arc<ServiceCell>);

impl Held {
    fn has_handles(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl Shelf {
    fn at(&self, hash: u64, service: &Name) -> Result<usize, usize> {
        let mut at = self.slots.partition_point(|slot| slot.hash < hash);
        while let Some(slot) = self.slots.get(at).filter(|slot| slot.hash == hash) {
            if slot.service == *service {
                return Ok(at);
            }
            at += 1;
        }
        Err(at)
    }

    fn add(&mut self, at: usize, hash: u64, view: Arc<ServiceView>, cell: Arc<ServiceCell>) {
        let slot = Slot { hash, service: view.service.clone(), view, held: Arc::new(Held(cell)) };
        self.slots.insert(at, slot);
    }
}

impl Shard {
    /// One without services, which shares an empty shelf with others.
    pub(super) fn new(empty: &Arc<Shelf>) -> Self {
        Self { writer: Mutex::new(()), shelf: ArcSwap::new(Arc::clone(empty)) }
    }

    /// The view of a service, if it is known.
    pub(super) fn view(&self, hash: u64, service: &Name) -> Option<Arc<ServiceView>> {
        let shelf = self.shelf.load();
        let at = shelf.at(hash, service).ok()?;
        Some(Arc::clone(&shelf.slots[at].view))
    }

    /// The cell of a service; an empty one is made for a service that is not known.
    pub(super) fn cell(&self, hash: u64, service: &Name) -> Arc<ServiceCell> {
        let _writer = self.writer.lock();
        let shelf = self.shelf.load();
        match shelf.at(hash, service) {
            Ok(at) => Arc::clone(&shelf.slots[at].held.0),
            Err(at) => {
                let view = Arc::new(ServiceView::empty(service.clone()));
                let cell = Arc::new(ServiceCell::new(Arc::clone(&view)));
                let mut changed = Shelf::clone(&shelf);
                changed.add(at, hash, view, Arc::clone(&cell));
                self.shelf.store(Arc::new(changed));
                cell
            }
        }
    }

    /// Shows the model's state of some services, by their hashes. Gives those that began or ceased to
    /// panic.
    pub(super) fn publish(
        &self,
        model: &Model,
        services: Vec<(u64, Name)>,
        generation: &AtomicU64,
    ) -> Vec<(Name, bool)> {
        let mut panics = Vec::new();
        let _writer = self.writer.lock();
        let mut shelf = Shelf::clone(&self.shelf.load());
        let mut told = Vec::new();
        for (hash, service) in services {
            let view = view_of(model, &service, generation.fetch_add(1, Ordering::Relaxed) + 1);
            let (view, at) = (Arc::new(view), shelf.at(hash, &service));
            let was_panicking = at.is_ok_and(|at| shelf.slots[at].view.is_panicking());
            if view.is_panicking() != was_panicking {
                panics.push((service, view.is_panicking()));
            }
            match at {
                // No handle waits for it (they are made under the same lock): forget it.
                Ok(at) if is_empty(&view) && !shelf.slots[at].held.has_handles() => {
                    shelf.slots.remove(at);
                }
                Ok(at) => {
                    let slot = &mut shelf.slots[at];
                    slot.view = Arc::clone(&view);
                    told.push((Arc::clone(&slot.held), view));
                }
                Err(_) if is_empty(&view) => {}
                Err(at) => {
                    let cell = Arc::new(ServiceCell::new(Arc::clone(&view)));
                    shelf.add(at, hash, view, cell);
                }
            }
        }
        self.shelf.store(Arc::new(shelf));
        // After the shelf: whoever has seen a change by a handle finds it by the name as well.
        told.into_iter().for_each(|(held, view)| held.0.store(view));
        panics
    }

    /// How many services it has, known or waited for.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shelf.load().slots.len()
    }

    /// Adds the services that have an instance or a definition.
    pub(super) fn services(&self, services: &mut Vec<Name>) {
        let shelf = self.shelf.load();
        let known = shelf.slots.iter().filter(|slot| !is_empty(&slot.view));
        services.extend(known.map(|slot| slot.service.clone()));
    }
}
