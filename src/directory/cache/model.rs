//! What the store holds, as far as it was told: pure, no clock and no I/O.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use crate::{
    directory::{
        DirectoryEvent, InstanceName, InstanceRecord, NodeRecord, ServiceDef,
        keys::{Key, Keys},
        record::decode,
    },
    id::Name,
    kv::{EventKind, KeyValue, Revision, WatchEvent},
};

/// The records of a cluster at one revision.
#[derive(Debug)]
pub(super) struct Model {
    keys: Keys,
    revision: Revision,
    records: Records,
}

#[derive(Debug, Default)]
struct Records {
    instances: BTreeMap<Name, BTreeMap<InstanceName, Arc<InstanceRecord>>>,
    nodes: BTreeMap<Name, Arc<NodeRecord>>,
    definitions: BTreeMap<Name, Arc<ServiceDef>>,
    /// Instances that said `bye` within the last minute.
    byes: HashSet<(Name, InstanceName)>,
}

/// What a step changed.
#[derive(Debug, Default)]
pub(super) struct Delta {
    /// Services whose snapshot is no longer right.
    pub(super) services: BTreeSet<Name>,
    /// Whether the list of nodes is no longer right.
    pub(super) nodes: bool,
    /// What to tell, in order.
    pub(super) events: Vec<(Name, DirectoryEvent)>,
    /// Keys whose key or value could not be read.
    pub(super) malformed: Vec<String>,
}

impl Model {
    pub(super) fn new(keys: Keys) -> Self {
        Self { keys, revision: Revision(0), records: Records::default() }
    }

    /// The revision up to which it is right.
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    pub(super) fn instances(&self, service: &Name) -> Vec<Arc<InstanceRecord>> {
        let instances = self.records.instances.get(service);
        instances.map(|instances| instances.values().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn definition(&self, service: &Name) -> Option<Arc<ServiceDef>> {
        self.records.definitions.get(service).cloned()
    }

    pub(super) fn nodes(&self) -> Vec<Arc<NodeRecord>> {
        self.records.nodes.values().cloned().collect()
    }

    /// Takes a full list for the truth. Whatever the watch still says up to its revision is old.
    pub(super) fn replace(&mut self, kvs: &[KeyValue], revision: Revision) -> Delta {
        let mut delta = Delta::default();
        let mut records = Records::default();
        for kv in kvs {
            if !records.put(&self.keys, kv, &mut Delta::default()) {
                delta.malformed.push(kv.key.clone());
            }
        }
        let old = std::mem::replace(&mut self.records, records);
        self.records.compare(&old, &mut delta);
        self.revision = revision;
        delta
    }

    /// Takes the changes of a watch; those that are not newer are known already.
    pub(super) fn apply(&mut self, events: &[WatchEvent]) -> Delta {
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
        // Only what was seen counts: the revision of an answer may run ahead of changes to come.
        self.revision = self.revision.max(newest.unwrap_or_default());
        delta
    }
}

impl Records {
    /// Takes a key as it was written. One that can't be read counts as absent, so that the cache
    /// of a node which saw a better value before equals that of one which did not. Says whether it
    /// could be read.
    fn put(&mut self, keys: &Keys, kv: &KeyValue, delta: &mut Delta) -> bool {
        let key = keys.parse(&kv.key);
        let taken = match &key {
            Key::Node(node) => decode(&kv.value)
                .filter(|record: &NodeRecord| record.node == *node)
                .map(|record| self.put_node(record, delta)),
            Key::Definition(service) => decode(&kv.value)
                .filter(|definition: &ServiceDef| definition.check().is_ok())
                .map(|definition| self.define(service, definition, delta)),
            Key::Instance(service, name) => decode(&kv.value)
                .filter(|record: &InstanceRecord| {
                    record.service == *service && record.instance == *name
                })
                .map(|record| self.put_instance(record, delta)),
            Key::Bye(service, instance) => {
                self.byes.insert((service.clone(), *instance));
                Some(())
            }
            Key::Other => Some(()),
            Key::Malformed => None,
        };
        if taken.is_none() {
            self.delete(&key, delta);
        }
        taken.is_some()
    }

    fn put_node(&mut self, record: NodeRecord, delta: &mut Delta) {
        delta.nodes = true;
        self.nodes.insert(record.node.clone(), Arc::new(record));
    }

    fn define(&mut self, service: &Name, definition: ServiceDef, delta: &mut Delta) {
        delta.services.insert(service.clone());
        self.definitions.insert(service.clone(), Arc::new(definition));
    }

    fn put_instance(&mut self, record: InstanceRecord, delta: &mut Delta) {
        let record = Arc::new(record);
        let service = record.service.clone();
        let instances = self.instances.entry(service.clone()).or_default();
        let event = match instances.insert(record.instance, Arc::clone(&record)) {
            // Written again as it was: its owner repaired what it took for missing.
            Some(old) if old == record => return,
            Some(_) => DirectoryEvent::Changed(record),
            None => DirectoryEvent::Up(record),
        };
        delta.services.insert(service.clone());
        delta.events.push((service, event));
    }

    fn delete(&mut self, key: &Key, delta: &mut Delta) {
        match key {
            Key::Node(node) => delta.nodes |= self.nodes.remove(node).is_some(),
            Key::Definition(service) => {
                if self.definitions.remove(service).is_some() {
                    delta.services.insert(service.clone());
                }
            }
            Key::Instance(service, name) => {
                let Some(instances) = self.instances.get_mut(service) else { return };
                let Some(instance) = instances.remove(name) else { return };
                if instances.is_empty() {
                    self.instances.remove(service);
                }
                self.down(instance, delta);
            }
            Key::Bye(service, instance) => {
                self.byes.remove(&(service.clone(), *instance));
            }
            Key::Other | Key::Malformed => {}
        }
    }

    fn down(&self, instance: Arc<InstanceRecord>, delta: &mut Delta) {
        let service = instance.service.clone();
        let left = self.byes.contains(&(service.clone(), instance.instance));
        delta.services.insert(service.clone());
        delta.events.push((service, DirectoryEvent::Down { instance, left }));
    }

    /// What is different from before, as events.
    fn compare(&self, old: &Self, delta: &mut Delta) {
        delta.nodes = self.nodes != old.nodes;
        for (service, before) in &old.instances {
            let now = self.instances.get(service);
            for (name, instance) in before {
                if now.is_none_or(|now| !now.contains_key(name)) {
                    self.down(Arc::clone(instance), delta);
                }
            }
        }
        for (service, now) in &self.instances {
            let before = old.instances.get(service);
            for (name, instance) in now {
                let event = match before.and_then(|before| before.get(name)) {
                    Some(old) if old == instance => continue,
                    Some(_) => DirectoryEvent::Changed(Arc::clone(instance)),
                    None => DirectoryEvent::Up(Arc::clone(instance)),
                };
                delta.services.insert(service.clone());
                delta.events.push((service.clone(), event));
            }
        }
        for service in self.definitions.keys().chain(old.definitions.keys()) {
            if self.definitions.get(service) != old.definitions.get(service) {
                delta.services.insert(service.clone());
            }
        }
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
