//! The records of a cluster, key by key.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use tokio::time::Instant;

use super::model::Delta;
use crate::{
    directory::{
        DirectoryEvent, HealthRecord, HealthState, InstanceName, InstanceRecord, NodeRecord,
        ServiceDef,
        config::Entry,
        health::{MaintenanceScope, Places},
        keys::{Key, Keys},
        record::decode,
    },
    id::Name,
    kv::KeyValue,
};

/// An instance by its place in the store.
pub(super) type Place = (Name, InstanceName);

/// What an instance said of itself.
#[derive(Debug)]
struct Health {
    record: Arc<HealthRecord>,
    /// Whether the store still holds it: that of a suspect is kept as long as the suspect.
    stands: bool,
}

/// What is known, and what of it the store does not hold any more.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) instances: BTreeMap<Name, BTreeMap<InstanceName, Arc<InstanceRecord>>>,
    pub(super) nodes: BTreeMap<Name, Arc<NodeRecord>>,
    pub(super) definitions: BTreeMap<Name, Arc<ServiceDef>>,
    /// The configuration; what can't be read stands as such, so that whoever uses it is told.
    pub(super) configs: BTreeMap<Name, Arc<Entry>>,
    /// What instances that do not pass say of themselves, whether they are known or not.
    healths: BTreeMap<Name, BTreeMap<InstanceName, Health>>,
    /// Of those, whose record went in this step. Empty between steps.
    fading: BTreeSet<Place>,
    /// What operators took out.
    pub(super) maintenance: Places,
    /// Instances that said `bye` within the last minute.
    pub(super) byes: HashSet<Place>,
    /// What vanished in this step without a farewell. Empty between steps.
    pub(super) missing: BTreeSet<Place>,
    pub(super) missing_nodes: BTreeSet<Name>,
    /// What vanished and is kept, with until when.
    pub(super) suspects: BTreeMap<Place, Instant>,
    pub(super) suspect_nodes: BTreeMap<Name, Instant>,
}

impl Records {
    pub(super) fn instance(&self, (service, name): &Place) -> Option<&Arc<InstanceRecord>> {
        self.instances.get(service)?.get(name)
    }

    /// Whether a later life of its node is registered, so that it can't live.
    pub(super) fn is_superseded(&self, record: &InstanceRecord) -> bool {
        let node = self.nodes.get(&record.node);
        node.is_some_and(|node| node.incarnation > record.incarnation())
    }

    /// Whether an instance of this life of a node said `bye`: it is being shut down in order.
    pub(super) fn says_bye(&self, node: &NodeRecord) -> bool {
        self.byes.iter().any(|(_, instance)| instance.incarnation() == node.incarnation)
    }

    /// Takes a key as it was written. One that can't be read counts as absent, so that the cache
    /// of a node which saw a better value before equals that of one which did not. Says whether it
    /// could be read.
    pub(super) fn put(&mut self, keys: &Keys, kv: &KeyValue, delta: &mut Delta) -> bool {
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
                self.put_bye((service.clone(), *instance), delta);
                Some(())
            }
            Key::Health(service, instance) => decode(&kv.value)
                .map(|record| self.put_health((service.clone(), *instance), record, delta)),
            Key::Maintenance(scope) => {
                self.maintain(scope, delta, |maintenance| maintenance.put(scope, kv))
            }
            Key::Config(name) => return self.configure(name, kv, delta),
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
        self.missing_nodes.remove(&record.node);
        self.suspect_nodes.remove(&record.node);
        let incarnation = record.incarnation;
        let before = self.nodes.insert(record.node.clone(), Arc::new(record));
        if before.is_none_or(|before| before.incarnation >= incarnation) {
            return;
        }
        // Instances of an earlier life need not be waited for.
        let places: Vec<Place> = self.suspects.keys().cloned().collect();
        for place in places {
            if self.instance(&place).is_some_and(|record| self.is_superseded(record)) {
                self.suspects.remove(&place);
                self.missing.insert(place);
            }
        }
    }

    fn define(&mut self, service: &Name, definition: ServiceDef, delta: &mut Delta) {
        delta.services.insert(service.clone());
        self.definitions.insert(service.clone(), Arc::new(definition));
    }

    /// Says whether the entry could be read.
    fn configure(&mut self, name: &Name, kv: &KeyValue, delta: &mut Delta) -> bool {
        let entry = Entry::read(name, kv);
        let is_readable = entry.record.is_ok();
        delta.configs.insert(name.clone());
        self.configs.insert(name.clone(), Arc::new(entry));
        is_readable
    }

    fn put_instance(&mut self, record: InstanceRecord, delta: &mut Delta) {
        let record = Arc::new(record);
        let place = (record.service.clone(), record.instance);
        self.missing.remove(&place);
        let was_suspect = self.suspects.remove(&place).is_some();
        if was_suspect {
            // What it said before it vanished it would have said again by now.
            self.forget_health(&place, |health| !health.stands);
        }
        let service = place.0;
        let instances = self.instances.entry(service.clone()).or_default();
        let event = match instances.insert(record.instance, Arc::clone(&record)) {
            Some(_) if was_suspect => DirectoryEvent::Up(record),
            // Written again as it was: its owner repaired what it took for missing.
            Some(old) if old == record => return,
            Some(_) => DirectoryEvent::Changed(record),
            None => DirectoryEvent::Up(record),
        };
        delta.services.insert(service.clone());
        let came = match &event {
            DirectoryEvent::Up(record) => Some(Arc::clone(record)),
            _ => None,
        };
        delta.events.push((service, event));
        if let Some(record) = came {
            self.tell_health(&record, None, delta);
        }
    }

    fn put_health(&mut self, place: Place, record: HealthRecord, delta: &mut Delta) {
        self.fading.remove(&place);
        let instance = self.instance(&place).cloned();
        let before = instance.as_ref().and_then(|instance| self.health(instance));
        let (service, name) = place;
        let health = Health { record: Arc::new(record), stands: true };
        self.healths.entry(service).or_default().insert(name, health);
        if let Some(instance) = instance {
            self.tell_health(&instance, before, delta);
        }
    }

    /// Changes what is in maintenance.
    fn maintain<T>(
        &mut self,
        scope: &MaintenanceScope,
        delta: &mut Delta,
        change: impl FnOnce(&mut Places) -> T,
    ) -> T {
        let there = self.instances.values().flat_map(BTreeMap::values);
        let there = there.filter(|record| record.node == scope.node).cloned();
        let before: Vec<_> = there.map(|record| (self.health(&record), record)).collect();
        let changed = change(&mut self.maintenance);
        delta.maintenance = true;
        for (before, record) in before {
            self.tell_health(&record, before, delta);
        }
        changed
    }

    /// How an instance does, unless it passes: as its operators say, else as it says itself.
    pub(super) fn health(&self, record: &InstanceRecord) -> Option<Arc<HealthRecord>> {
        let own = self.healths.get(&record.service).and_then(|of| of.get(&record.instance));
        let own = own.map(|health| &health.record);
        if let Some(draining) = own.filter(|own| own.state == HealthState::Draining) {
            return Some(Arc::clone(draining));
        }
        match self.maintenance.of(record) {
            Some(entry) => Some(Arc::new(entry.health())),
            None => own.filter(|own| own.state != HealthState::Passing).cloned(),
        }
    }

    /// Tells how an instance does, if that is not what it was before.
    fn tell_health(
        &self,
        record: &Arc<InstanceRecord>,
        before: Option<Arc<HealthRecord>>,
        delta: &mut Delta,
    ) {
        let now = self.health(record);
        if now == before {
            return;
        }
        let health = now.unwrap_or_else(|| Arc::new(HealthRecord::passing()));
        let event = DirectoryEvent::Health { instance: Arc::clone(record), health };
        delta.services.insert(record.service.clone());
        delta.events.push((record.service.clone(), event));
    }

    /// Whether there was one that may be forgotten.
    fn forget_health(&mut self, (service, name): &Place, may: impl FnOnce(&Health) -> bool) {
        let Some(of) = self.healths.get_mut(service) else { return };
        if of.get(name).is_some_and(may) {
            of.remove(name);
        }
        if of.is_empty() {
            self.healths.remove(service);
        }
    }

    /// Forgets what instances said whose record went, but for suspects: those could not renew it.
    pub(super) fn fade(&mut self, delta: &mut Delta) {
        for place in std::mem::take(&mut self.fading) {
            if self.suspects.contains_key(&place) {
                continue;
            }
            let instance = self.instance(&place).cloned();
            let before = instance.as_ref().and_then(|instance| self.health(instance));
            self.forget_health(&place, |health| !health.stands);
            if let Some(instance) = instance {
                self.tell_health(&instance, before, delta);
            }
        }
    }

    /// Takes the farewell of an instance, which may have been missed before.
    fn put_bye(&mut self, place: Place, delta: &mut Delta) {
        if self.missing.contains(&place) || self.suspects.contains_key(&place) {
            self.take_out(&place, true, delta);
        }
        self.byes.insert(place);
    }

    pub(super) fn delete(&mut self, key: &Key, delta: &mut Delta) {
        match key {
            Key::Node(node) => {
                if self.nodes.contains_key(node) && !self.suspect_nodes.contains_key(node) {
                    self.missing_nodes.insert(node.clone());
                }
            }
            Key::Definition(service) => {
                if self.definitions.remove(service).is_some() {
                    delta.services.insert(service.clone());
                }
            }
            Key::Instance(service, name) => self.miss((service.clone(), *name), delta),
            Key::Bye(service, instance) => {
                self.byes.remove(&(service.clone(), *instance));
            }
            Key::Health(service, instance) => {
                if let Some(health) =
                    self.healths.get_mut(service).and_then(|of| of.get_mut(instance))
                {
                    health.stands = false;
                    self.fading.insert((service.clone(), *instance));
                }
            }
            Key::Maintenance(scope) => {
                self.maintain(scope, delta, |maintenance| maintenance.remove(scope));
            }
            Key::Config(name) => {
                if self.configs.remove(name).is_some() {
                    delta.configs.insert(name.clone());
                }
            }
            Key::Other | Key::Malformed => {}
        }
    }

    /// An instance is not in the store any more.
    fn miss(&mut self, place: Place, delta: &mut Delta) {
        if self.byes.contains(&place) {
            self.take_out(&place, true, delta);
        } else if self.instance(&place).is_some() && !self.suspects.contains_key(&place) {
            self.missing.insert(place);
        }
    }

    /// Removes an instance and tells of it. Gives its last record.
    pub(super) fn take_out(
        &mut self,
        place: &Place,
        left: bool,
        delta: &mut Delta,
    ) -> Option<Arc<InstanceRecord>> {
        self.missing.remove(place);
        self.suspects.remove(place);
        self.forget_health(place, |health| !health.stands);
        let (service, name) = place;
        let instances = self.instances.get_mut(service)?;
        let instance = instances.remove(name)?;
        if instances.is_empty() {
            self.instances.remove(service);
        }
        delta.services.insert(service.clone());
        let event = DirectoryEvent::Down { instance: Arc::clone(&instance), left };
        delta.events.push((service.clone(), event));
        Some(instance)
    }

    /// Keeps an instance that is not in the store, until then.
    pub(super) fn suspect(
        &mut self,
        record: Arc<InstanceRecord>,
        until: Instant,
        delta: &mut Delta,
    ) {
        let service = record.service.clone();
        self.suspects.insert((service.clone(), record.instance), until);
        let instances = self.instances.entry(service.clone()).or_default();
        let is_back = instances.insert(record.instance, Arc::clone(&record)).is_none();
        delta.services.insert(service.clone());
        delta.events.push((service, DirectoryEvent::Suspect(Arc::clone(&record))));
        if is_back {
            // Who heard of its end has forgotten how it did.
            self.tell_health(&record, None, delta);
        }
    }

    /// Of a fresh list: takes over from before what the list does not have.
    pub(super) fn inherit(&mut self, old: &Self, delta: &mut Delta) {
        for (name, node) in &old.nodes {
            if self.nodes.contains_key(name) {
                continue;
            }
            self.nodes.insert(name.clone(), Arc::clone(node));
            match old.suspect_nodes.get(name) {
                Some(until) => drop(self.suspect_nodes.insert(name.clone(), *until)),
                None => drop(self.missing_nodes.insert(name.clone())),
            }
        }
        for (service, before) in &old.instances {
            for (name, instance) in before {
                let place = (service.clone(), *name);
                if self.instance(&place).is_some() {
                    continue;
                }
                let instances = self.instances.entry(service.clone()).or_default();
                instances.insert(*name, Arc::clone(instance));
                self.inherit_health(old, &place);
                match old.suspects.get(&place) {
                    Some(until) if !self.byes.contains(&place) && !self.is_superseded(instance) => {
                        self.suspects.insert(place, *until);
                    }
                    _ => self.miss(place, delta),
                }
            }
        }
    }

    fn inherit_health(&mut self, old: &Self, (service, name): &Place) {
        let said = old.healths.get(service).and_then(|of| of.get(name));
        let of = self.healths.entry(service.clone()).or_default();
        if let Some(said) = said
            && !of.contains_key(name)
        {
            of.insert(*name, Health { record: Arc::clone(&said.record), stands: false });
            self.fading.insert((service.clone(), *name));
        }
        if of.is_empty() {
            self.healths.remove(service);
        }
    }

    /// What came or changed since before, as events.
    pub(super) fn compare(&self, old: &Self, delta: &mut Delta) {
        delta.nodes = self.nodes != old.nodes;
        for (service, now) in &self.instances {
            let before = old.instances.get(service);
            for (name, instance) in now {
                let place = (service.clone(), *name);
                let is_back =
                    old.suspects.contains_key(&place) && !self.suspects.contains_key(&place);
                let mut health_before =
                    before.and_then(|of| of.get(name)).and_then(|one| old.health(one));
                let event = match before.and_then(|before| before.get(name)) {
                    Some(_) if is_back => Some(DirectoryEvent::Up(Arc::clone(instance))),
                    Some(old) if old == instance => None,
                    Some(_) => Some(DirectoryEvent::Changed(Arc::clone(instance))),
                    // Told of already.
                    None if self.suspects.contains_key(&place) => continue,
                    None => Some(DirectoryEvent::Up(Arc::clone(instance))),
                };
                if let Some(event) = event {
                    if matches!(event, DirectoryEvent::Up(_)) {
                        health_before = None;
                    }
                    delta.services.insert(service.clone());
                    delta.events.push((service.clone(), event));
                }
                self.tell_health(instance, health_before, delta);
            }
        }
        delta.maintenance = self.maintenance != old.maintenance;
        for name in self.configs.keys().chain(old.configs.keys()) {
            if self.configs.get(name) != old.configs.get(name) {
                delta.configs.insert(name.clone());
            }
        }
        for service in self.definitions.keys().chain(old.definitions.keys()) {
            if self.definitions.get(service) != old.definitions.get(service) {
                delta.services.insert(service.clone());
            }
        }
    }
}
