use std::{
    collections::{BTreeMap, HashMap},
    ops::RangeBounds,
};

use tokio::time::Instant;

use super::{part::Part, record::Record};
use crate::log::{Claim, ClaimRequest, ClaimedEntry, Entry, EntryId, GroupInfo};

/// A group of a stream: how far it has read, and what its consumers hold.
#[derive(Debug, Default)]
pub(super) struct Group {
    last_delivered: EntryId,
    pending: BTreeMap<EntryId, Pending>,
    /// With the number of entries pending for each.
    consumers: BTreeMap<String, u64>,
    /// What is recorded of entries of a topic, for this group.
    pub(super) records: HashMap<EntryId, Record>,
}

#[derive(Debug)]
struct Pending {
    consumer: String,
    touched: Instant,
    deliveries: u64,
}

impl Group {
    pub(super) fn starting_after(id: EntryId) -> Self {
        Self { last_delivered: id, ..Self::default() }
    }

    pub(super) fn last_delivered(&self) -> EntryId {
        self.last_delivered
    }

    /// Gives new entries to a consumer.
    pub(super) fn deliver(
        &mut self,
        live: &Part,
        consumer: &str,
        limit: usize,
        now: Instant,
    ) -> Vec<Entry> {
        let held = match self.consumers.get_mut(consumer) {
            Some(held) => held,
            None => self.consumers.entry(consumer.to_owned()).or_default(),
        };
        let entries = live.after(self.last_delivered, limit);
        *held += entries.len() as u64;
        for entry in &entries {
            let consumer = consumer.to_owned();
            self.pending.insert(entry.id, Pending { consumer, touched: now, deliveries: 1 });
            self.last_delivered = entry.id;
        }
        entries
    }

    /// Whose entry it is, if it is pending.
    pub(super) fn owner_of(&self, id: EntryId) -> Option<&str> {
        self.pending.get(&id).map(|pending| pending.consumer.as_str())
    }

    pub(super) fn touch(&mut self, id: EntryId, now: Instant) {
        if let Some(pending) = self.pending.get_mut(&id) {
            pending.touched = now;
        }
    }

    /// Ends what is pending, with what is recorded of it here.
    pub(super) fn acknowledge(&mut self, id: EntryId) {
        self.records.remove(&id);
        if let Some(pending) = self.pending.remove(&id) {
            self.count_out(&pending.consumer);
        }
    }

    pub(super) fn pending_of(&self, live: &Part, consumer: &str, limit: usize) -> Vec<Entry> {
        let own = self.pending.iter().filter(|(_, pending)| pending.consumer == consumer);
        own.filter_map(|(id, _)| live.entry(*id)).take(limit).collect()
    }

    /// Gives idle entries of others to the one who asks.
    pub(super) fn claim(
        &mut self,
        live: &Part,
        request: &ClaimRequest,
        record: impl Fn(&Self, EntryId) -> Record,
        now: Instant,
    ) -> Claim {
        let (mut entries, mut gone) = (Vec::new(), Vec::new());
        for (id, previous) in self.idle(request, now) {
            let Some(entry) = live.entry(id) else {
                self.acknowledge(id);
                gone.push(id);
                continue;
            };
            let recorded = record(self, id).public().clone();
            let deliveries = self.hand_over(id, &request.consumer.name, now);
            entries.push(ClaimedEntry { entry, previous, recorded, deliveries });
        }
        Claim::Taken { entries, gone }
    }

    pub(super) fn remove_consumer(&mut self, consumer: &str) -> bool {
        let is_idle = self.consumers.get(consumer).is_some_and(|held| *held == 0);
        is_idle && self.consumers.remove(consumer).is_some()
    }

    pub(super) fn info(&self, name: &str) -> GroupInfo {
        GroupInfo {
            name: name.to_owned(),
            last_delivered: self.last_delivered,
            pending: self.pending.len() as u64,
            oldest_pending: self.pending.keys().next().copied(),
            consumers: self.consumers.iter().map(|(name, held)| (name.clone(), *held)).collect(),
        }
    }

    /// Drops what is recorded of entries that are gone.
    pub(super) fn forget_records(&mut self, ids: impl RangeBounds<EntryId>) {
        self.records.retain(|id, _| !ids.contains(id));
    }

    fn idle(&self, request: &ClaimRequest, now: Instant) -> Vec<(EntryId, String)> {
        let is_wanted = |pending: &Pending| {
            let is_named =
                request.from.as_ref().is_none_or(|names| names.contains(&pending.consumer));
            let idle = now.saturating_duration_since(pending.touched);
            is_named && pending.consumer != request.consumer.name && idle >= request.idle
        };
        let wanted = self.pending.iter().filter(|(_, pending)| is_wanted(pending));
        wanted.take(request.limit).map(|(id, pending)| (*id, pending.consumer.clone())).collect()
    }

    fn hand_over(&mut self, id: EntryId, consumer: &str, now: Instant) -> u64 {
        let Some(pending) = self.pending.get_mut(&id) else { return 0 };
        let previous = std::mem::replace(&mut pending.consumer, consumer.to_owned());
        pending.touched = now;
        pending.deliveries += 1;
        let deliveries = pending.deliveries;
        *self.consumers.entry(consumer.to_owned()).or_default() += 1;
        self.count_out(&previous);
        deliveries
    }

    fn count_out(&mut self, consumer: &str) {
        if let Some(held) = self.consumers.get_mut(consumer) {
            *held -= 1;
        }
    }
}
