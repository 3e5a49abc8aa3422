//! What the store holds, as far as it was told: pure, no I/O, and `now` is an argument.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::time::Instant;

use super::{
    guard::{Guard, Moment, Verdict, WINDOW},
    records::{Place, Records},
};
use crate::{
    directory::{
        DirectoryEvent, HealthRecord, InstanceName, InstanceRecord, Maintenance, NodeRecord,
        ServiceDef,
        config::Entry,
        keys::{Key, Keys},
    },
    id::Name,
    kv::{EventKind, KeyValue, Revision, WatchEvent},
};

/// The records of a cluster at one revision, and those that are kept though they vanished.
#[derive(Debug)]
pub(super) struct Model {
    keys: Keys,
    revision: Revision,
    records: Records,
    guard: Guard,
    /// What was dropped lately without a farewell, with when: if it turns out to be part of a mass,
    /// it comes back.
    dropped: Vec<(Arc<InstanceRecord>, Instant)>,
    dropped_nodes: Vec<(Arc<NodeRecord>, Instant)>,
}

/// What a step changed.
#[derive(Debug, Default)]
pub(super) struct Delta {
    /// Services whose snapshot is no longer right.
    pub(super) services: BTreeSet<Name>,
    /// Whether the list of nodes is no longer right.
    pub(super) nodes: bool,
    /// Whether the list of what is in maintenance is no longer right.
    pub(super) maintenance: bool,
    /// Configurations whose entry changed.
    pub(super) configs: BTreeSet<Name>,
    /// What to tell, in order.
    pub(super) events: Vec<(Name, DirectoryEvent)>,
    /// Keys whose key or value could not be read.
    pub(super) malformed: Vec<String>,
}

impl Model {
    pub(super) fn new(keys: Keys, guard: Guard) -> Self {
        Self {
            keys,
            revision: Revision(0),
            records: Records::default(),
            guard,
            dropped: Vec::new(),
            dropped_nodes: Vec::new(),
        }
    }

    /// The revision up to which it is right.
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    pub(super) fn instances(&self, service: &Name) -> Vec<Arc<InstanceRecord>> {
        let instances = self.records.instances.get(service);
        instances.map(|instances| instances.values().cloned().collect()).unwrap_or_default()
    }

    /// Those of the instances that are kept though they vanished.
    pub(super) fn suspects(&self, service: &Name) -> Vec<InstanceName> {
        let Some(instances) = self.records.instances.get(service) else { return Vec::new() };
        if self.records.suspects.is_empty() {
            return Vec::new();
        }
        let is_suspect =
            |name: &&InstanceName| self.records.suspects.contains_key(&(service.clone(), **name));
        instances.keys().filter(is_suspect).copied().collect()
    }

    /// How those of these instances do that don't pass, in their order.
    pub(super) fn health(
        &self,
        instances: &[Arc<InstanceRecord>],
    ) -> Vec<(InstanceName, Arc<HealthRecord>)> {
        let health = |record: &Arc<InstanceRecord>| {
            self.records.health(record).map(|health| (record.instance, health))
        };
        instances.iter().filter_map(health).collect()
    }

    /// What is in maintenance.
    pub(super) fn maintenance(&self) -> Vec<Maintenance> {
        self.records.maintenance.all()
    }

    pub(super) fn definition(&self, service: &Name) -> Option<Arc<ServiceDef>> {
        self.records.definitions.get(service).cloned()
    }

    pub(super) fn config(&self, name: &Name) -> Option<Arc<Entry>> {
        self.records.configs.get(name).cloned()
    }

    pub(super) fn nodes(&self) -> Vec<Arc<NodeRecord>> {
        self.records.nodes.values().cloned().collect()
    }

    /// Takes a full list for the truth. Whatever the watch still says up to its revision is old.
    pub(super) fn replace(&mut self, kvs: &[KeyValue], revision: Revision, at: Moment) -> Delta {
        let mut delta = Delta::default();
        let mut records = Records::default();
        for kv in kvs {
            if !records.put(&self.keys, kv, &mut Delta::default()) {
                delta.malformed.push(kv.key.clone());
            }
        }
        let old = std::mem::replace(&mut self.records, records);
        self.records.inherit(&old, &mut delta);
        self.settle(at, &mut delta);
        self.records.fade(&mut Delta::default());
        self.records.compare(&old, &mut delta);
        self.revision = revision;
        delta
    }

    /// Takes the changes of a watch; those that are not newer are known already.
    pub(super) fn apply(&mut self, events: &[WatchEvent], at: Moment) -> Delta {
        let mut delta = Delta::default();
        let newest = events.iter().map(|event| event.kv.mod_revision).max();
        let newer = |event: &&WatchEvent| event.kv.mod_revision > self.revision;
        let events: Vec<&WatchEvent> = events.iter().filter(newer).collect();
        // A bye stands in the same revision as the delete that it explains, before or after it.
        for event in events.iter().filter(|event| event.kind == EventKind::Put) {
            if let Key::Bye(service, instance) = self.keys.parse(&event.kv.key) {
                self.records.byes.insert((service, instance));
            }
        }
        for event in events {
            let readable = match event.kind {
                EventKind::Put => self.records.put(&self.keys, &event.kv, &mut delta),
                EventKind::Delete => {
                    self.records.delete(&self.keys.parse(&event.kv.key), &mut delta);
                    true
                }
            };
            if !readable {
                delta.malformed.push(event.kv.key.clone());
            }
        }
        self.settle(at, &mut delta);
        self.records.fade(&mut delta);
        // Only what was seen counts: the revision of an answer may run ahead of changes to come.
        self.revision = self.revision.max(newest.unwrap_or_default());
        delta
    }

    /// When the first suspect has had its time.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let records = &self.records;
        records.suspects.values().chain(records.suspect_nodes.values()).min().copied()
    }

    /// Drops suspects that have had their time.
    pub(super) fn expire(&mut self, at: Moment) -> Delta {
        let mut delta = Delta::default();
        let records = &mut self.records;
        if let Some(kept_until) = self.guard.kept_until(at) {
            for until in records.suspects.values_mut().chain(records.suspect_nodes.values_mut()) {
                *until = kept_until.max(*until);
            }
        }
        for place in due(&records.suspects, at.now) {
            records.take_out(&place, false, &mut delta);
        }
        for node in due(&records.suspect_nodes, at.now) {
            records.suspect_nodes.remove(&node);
            records.nodes.remove(&node);
            delta.nodes = true;
        }
        delta
    }

    /// Decides what becomes of what vanished in this step.
    fn settle(&mut self, at: Moment, delta: &mut Delta) {
        let records = &mut self.records;
        let missing = std::mem::take(&mut records.missing);
        let missing_nodes = std::mem::take(&mut records.missing_nodes);
        if missing.is_empty() && missing_nodes.is_empty() {
            return;
        }
        let bereft = missing.iter().filter_map(|place| records.instance(place));
        let bereft: BTreeSet<&Name> = bereft.map(|record| &record.node).collect();
        for name in &missing_nodes {
            // One that shut down in order has taken its instances out before.
            let node = records.nodes.get(name);
            if bereft.contains(name) || node.is_some_and(|node| !records.says_bye(node)) {
                self.guard.note_lost(name, at.now);
            }
        }
        for node in bereft {
            if !records.nodes.contains_key(node) {
                self.guard.note_lost(node, at.now);
            }
        }
        let verdict = self.guard.judge(records.nodes.keys(), at);
        if verdict != Verdict::Believed {
            tracing::warn!(
                instances = missing.len(),
                nodes = missing_nodes.len(),
                ?verdict,
                "registrations vanished in a way that does not look like deaths; they are kept for \
                 one more lease time"
            );
        }
        self.settle_instances(missing, verdict, at.now, delta);
        self.settle_nodes(missing_nodes, verdict, at.now, delta);
        if verdict != Verdict::Believed {
            self.bring_back(at.now, delta);
        }
    }

    fn settle_instances(
        &mut self,
        missing: BTreeSet<Place>,
        verdict: Verdict,
        now: Instant,
        delta: &mut Delta,
    ) {
        let records = &mut self.records;
        self.dropped.retain(|(_, when)| now.duration_since(*when) <= WINDOW);
        for place in missing {
            let Some(record) = records.instance(&place).cloned() else { continue };
            let node_lost = self.guard.is_lost(&record.node);
            let kept = match verdict {
                Verdict::Believed => false,
                // One key of a node that stands was deleted by its owner or by hand.
                Verdict::MassLoss => node_lost,
                Verdict::OwnLapse => true,
            };
            if kept && !records.is_superseded(&record) {
                records.suspect(record, now + self.guard.ttl(), delta);
            } else if records.take_out(&place, false, delta).is_some() && node_lost {
                self.dropped.push((record, now));
            }
        }
    }

    fn settle_nodes(
        &mut self,
        missing: BTreeSet<Name>,
        verdict: Verdict,
        now: Instant,
        delta: &mut Delta,
    ) {
        let records = &mut self.records;
        self.dropped_nodes.retain(|(_, when)| now.duration_since(*when) <= WINDOW);
        for name in missing {
            let is_lost = self.guard.is_lost(&name);
            if verdict != Verdict::Believed && is_lost {
                records.suspect_nodes.insert(name, now + self.guard.ttl());
            } else if let Some(node) = records.nodes.remove(&name) {
                delta.nodes = true;
                if is_lost {
                    self.dropped_nodes.push((node, now));
                }
            }
        }
    }

    /// Takes back what was dropped before it was clear that it is part of a mass.
    fn bring_back(&mut self, now: Instant, delta: &mut Delta) {
        let (records, ttl) = (&mut self.records, self.guard.ttl());
        for (node, when) in self.dropped_nodes.drain(..) {
            if when + ttl > now && !records.nodes.contains_key(&node.node) {
                records.suspect_nodes.insert(node.node.clone(), when + ttl);
                records.nodes.insert(node.node.clone(), node);
                delta.nodes = true;
            }
        }
        for (record, when) in self.dropped.drain(..) {
            let place = (record.service.clone(), record.instance);
            let is_known = records.instance(&place).is_some() || records.byes.contains(&place);
            if when + ttl > now && !is_known && !records.is_superseded(&record) {
                records.suspect(record, when + ttl, delta);
            }
        }
    }
}

fn due<K: Clone + Ord>(suspects: &BTreeMap<K, Instant>, now: Instant) -> Vec<K> {
    let due = suspects.iter().filter(|(_, until)| **until <= now);
    due.map(|(key, _)| key.clone()).collect()
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
