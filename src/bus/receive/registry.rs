use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::time::Instant;

use super::held::Held;
use crate::log::EntryId;

/// How many odd entries are remembered of each sort.
const ODD_ENTRIES_MAX: usize = 1024;

/// An entry that is ours.
#[derive(Debug, Clone)]
pub(super) enum OnHand {
    /// It waits for its turn; the log heard of it then.
    Waiting(Instant),
    /// Its messages were given out.
    Open(Weak<Held>),
}

/// Which entries of a stream are ours, as far as this process knows.
#[derive(Debug, Default)]
pub(super) struct Registry(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    ours: FxHashMap<EntryId, OnHand>,
    /// While pending entries are being listed: what was released since.
    released_since: Option<FxHashSet<EntryId>>,
    /// Entries whose account the log has contradicted.
    disputed: FxHashSet<EntryId>,
    /// Entries that can't be ended by any means: they stay where they are.
    given_up: FxHashSet<EntryId>,
}

impl Registry {
    pub(super) fn len(&self) -> usize {
        self.0.lock().ours.len()
    }

    /// How many entries the log may hold for us that we know of.
    pub(super) fn accounted_for(&self) -> u64 {
        let entries = self.0.lock();
        (entries.ours.len() + entries.given_up.len()) as u64
    }

    /// Registers an entry as ours. False when it is already, was released while its listing was on
    /// its way, or was given up.
    pub(super) fn admit(&self, id: EntryId) -> bool {
        let mut entries = self.0.lock();
        let released = entries.released_since.as_ref().is_some_and(|since| since.contains(&id));
        let is_new =
            !released && !entries.ours.contains_key(&id) && !entries.given_up.contains(&id);
        if is_new {
            entries.ours.insert(id, OnHand::Waiting(Instant::now()));
        }
        is_new
    }

    /// Notes that the messages of an admitted entry are being given out. False when it was released
    /// meanwhile.
    pub(super) fn open_up(&self, held: &Arc<Held>) -> bool {
        let mut entries = self.0.lock();
        let place = entries.ours.get_mut(&held.id);
        place.map(|place| *place = OnHand::Open(Arc::downgrade(held))).is_some()
    }

    /// Takes an entry out. True when it was ours and none is left.
    pub(super) fn remove(&self, id: EntryId) -> bool {
        let mut entries = self.0.lock();
        let was_ours = entries.ours.remove(&id).is_some();
        if let Some(since) = &mut entries.released_since {
            since.insert(id);
        }
        was_ours && entries.ours.is_empty()
    }

    /// All that is ours.
    pub(super) fn on_hand(&self) -> Vec<(EntryId, OnHand)> {
        self.0.lock().ours.iter().map(|(id, entry)| (*id, entry.clone())).collect()
    }

    /// An entry whose messages were given out.
    pub(super) fn find(&self, id: EntryId) -> Option<Arc<Held>> {
        match self.0.lock().ours.get(&id) {
            Some(OnHand::Open(held)) => held.upgrade(),
            Some(OnHand::Waiting(_)) | None => None,
        }
    }

    /// The log heard of an entry that waits for its turn.
    pub(super) fn mark_touched(&self, id: EntryId, at: Instant) {
        if let Some(OnHand::Waiting(touched)) = self.0.lock().ours.get_mut(&id) {
            *touched = at;
        }
    }

    /// Pending entries are being listed: what is released from now on may be in the list.
    pub(super) fn begin_listing(&self) {
        self.0.lock().released_since = Some(FxHashSet::default());
    }

    pub(super) fn end_listing(&self) {
        self.0.lock().released_since = None;
    }

    /// Notes that the log contradicted what we believe of an entry. True the first time.
    pub(super) fn dispute(&self, id: EntryId) -> bool {
        insert_bounded(&mut self.0.lock().disputed, id)
    }

    /// Leaves an entry where it is for as long as this process lives.
    pub(super) fn give_up(&self, id: EntryId) {
        insert_bounded(&mut self.0.lock().given_up, id);
    }
}

fn insert_bounded(set: &mut FxHashSet<EntryId>, id: EntryId) -> bool {
    if set.len() >= ODD_ENTRIES_MAX {
        set.clear();
    }
    set.insert(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: EntryId = EntryId { ms: 1, seq: 0 };

    #[test]
    fn an_entry_is_admitted_once_until_it_is_released() {
        let registry = Registry::default();
        assert!(registry.admit(ID) && !registry.admit(ID));
        assert!(registry.remove(ID) && !registry.remove(ID));
        assert!(registry.admit(ID));
    }

    #[test]
    fn what_is_released_during_a_listing_is_not_taken_from_it() {
        let registry = Registry::default();
        registry.begin_listing();
        assert!(registry.admit(ID));
        registry.remove(ID);
        assert!(!registry.admit(ID), "the list is older than the release");
        registry.end_listing();
        assert!(registry.admit(ID));
    }

    #[test]
    fn what_was_given_up_is_accounted_for_and_left_alone() {
        let registry = Registry::default();
        registry.give_up(ID);
        assert!(!registry.admit(ID));
        assert_eq!((registry.accounted_for(), registry.len()), (1, 0));
    }
}
