use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included, Unbounded},
    sync::Arc,
};

use bytes::Bytes;

use super::memory::Memory;
use super::record::Record;
use crate::log::{Done, Entry, EntryId};

/// An entry as it is stored.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) frame: Bytes,
    pub(super) count: u32,
    /// Messages that nobody is to handle.
    pub(super) skip: Done,
    /// What is recorded of it; a topic keeps that with its groups instead.
    pub(super) record: Record,
}

impl Stored {
    fn entry(&self, id: EntryId) -> Entry {
        Entry { skip: self.skip.clone(), ..Entry::new(id, self.frame.clone()) }
    }
}

/// Entries in the order of their ids: the live ones, the dead letters or the retained ones.
#[derive(Debug)]
pub(super) struct Part {
    entries: BTreeMap<EntryId, Stored>,
    /// The last id ever given, so that ids grow also when entries leave and the clock stands still.
    last: EntryId,
    /// What the entries take of the memory.
    bytes: u64,
    memory: Arc<Memory>,
}

impl Part {
    pub(super) fn new(memory: Arc<Memory>) -> Self {
        Self { entries: BTreeMap::new(), last: EntryId::MIN, bytes: 0, memory }
    }

    pub(super) fn push(&mut self, now_ms: u64, frame: Bytes, count: u32) -> EntryId {
        self.push_skipping(now_ms, frame, count, Done::default())
    }

    pub(super) fn push_skipping(
        &mut self,
        now_ms: u64,
        frame: Bytes,
        count: u32,
        skip: Done,
    ) -> EntryId {
        let id = self.next_id(now_ms);
        self.last = id;
        self.bytes += self.memory.take(frame.len());
        let record = Record::of_skipped(&skip);
        self.entries.insert(id, Stored { frame, count, skip, record });
        id
    }

    /// The id that an entry of this moment gets.
    pub(super) fn next_id(&self, now_ms: u64) -> EntryId {
        if now_ms > self.last.ms { EntryId { ms: now_ms, seq: 0 } } else { self.last.next() }
    }

    pub(super) fn remove(&mut self, id: EntryId) -> Option<Stored> {
        let stored = self.entries.remove(&id)?;
        self.bytes -= self.memory.give_back(stored.frame.len());
        Some(stored)
    }

    pub(super) fn get(&self, id: EntryId) -> Option<&Stored> {
        self.entries.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: EntryId) -> Option<&mut Stored> {
        self.entries.get_mut(&id)
    }

    pub(super) fn contains(&self, id: EntryId) -> bool {
        self.entries.contains_key(&id)
    }

    pub(super) fn entry(&self, id: EntryId) -> Option<Entry> {
        self.get(id).map(|stored| stored.entry(id))
    }

    /// The entries after this one, oldest first.
    pub(super) fn after(&self, id: EntryId, limit: usize) -> Vec<Entry> {
        listed(self.entries.range((Excluded(id), Unbounded)), limit)
    }

    pub(super) fn has_after(&self, id: EntryId) -> bool {
        // The last id given answers most calls without a search: readers are mostly at the end.
        self.last > id && self.entries.range((Excluded(id), Unbounded)).next().is_some()
    }

    pub(super) fn range(&self, from: EntryId, to: EntryId, limit: usize) -> Vec<Entry> {
        if from > to {
            return Vec::new();
        }
        listed(self.entries.range((Included(from), Included(to))), limit)
    }

    pub(super) fn trim(&mut self, before: EntryId) -> u64 {
        let kept = self.entries.split_off(&before);
        let removed = std::mem::replace(&mut self.entries, kept);
        for stored in removed.values() {
            self.bytes -= self.memory.give_back(stored.frame.len());
        }
        removed.len() as u64
    }

    /// Removes the oldest until there are no more than this.
    pub(super) fn trim_to(&mut self, entries_max: u64) {
        while self.entries.len() as u64 > entries_max {
            let Some((_, stored)) = self.entries.pop_first() else { return };
            self.bytes -= self.memory.give_back(stored.frame.len());
        }
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        self.bytes
    }

    /// Messages that are in entries and not done.
    pub(super) fn held(&self) -> u64 {
        let left = |stored: &Stored| u64::from(stored.count) - stored.record.done().count();
        self.entries.values().map(left).sum()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn first(&self) -> Option<EntryId> {
        self.entries.keys().next().copied()
    }

    pub(super) fn last(&self) -> EntryId {
        self.last
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        for stored in self.entries.values() {
            self.memory.give_back(stored.frame.len());
        }
    }
}

fn listed<'a>(
    entries: impl Iterator<Item = (&'a EntryId, &'a Stored)>,
    limit: usize,
) -> Vec<Entry> {
    entries.take(limit).map(|(id, stored)| stored.entry(*id)).collect()
}
