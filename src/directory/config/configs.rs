//! The configuration as this node's cache has it, and the places of the program that use it.

use std::{collections::BTreeMap, fmt, sync::Arc};

use parking_lot::Mutex;

use super::{applied::Report, record::Entry};
use crate::{
    directory::{keys::Keys, registration::Registration},
    id::Name,
};

/// A place of the program that uses one configuration as one type.
pub(super) trait Place: Send + Sync + fmt::Debug {
    /// Takes what the store holds, unless something later was offered before. Runs code of the
    /// user: no lock may be held.
    fn offer(&self, step: u64, entry: Option<&Entry>);

    /// What it has applied.
    fn report(&self) -> Report;

    /// Nothing will come any more.
    fn close(&self);
}

/// What is known of the configuration, and who uses it.
#[derive(Debug)]
pub(in crate::directory) struct Configs {
    keys: Keys,
    node: Name,
    registration: Arc<Registration>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    /// Goes up with each change, so that a place never goes back to something older.
    step: u64,
    entries: BTreeMap<Name, Arc<Entry>>,
    places: BTreeMap<Name, BTreeMap<u64, Arc<dyn Place>>>,
    last_place: u64,
}

/// Keeps a place informed; dropping it ends that.
#[derive(Debug)]
pub(super) struct Seat {
    configs: Arc<Configs>,
    name: Name,
    number: u64,
}

impl Configs {
    pub(in crate::directory) fn new(
        keys: Keys,
        node: Name,
        registration: Arc<Registration>,
    ) -> Self {
        Self { keys, node, registration, state: Mutex::default() }
    }

    /// The configurations that have an entry, sorted.
    pub(super) fn names(&self) -> Vec<Name> {
        self.state.lock().entries.keys().cloned().collect()
    }

    /// Keeps a place informed from now on; it has what is known when this returns.
    pub(super) fn seat(self: &Arc<Self>, name: &Name, place: Arc<dyn Place>) -> Seat {
        let (step, entry, number, closed) = {
            let mut state = self.state.lock();
            state.last_place += 1;
            let number = state.last_place;
            if !state.closed {
                let places = state.places.entry(name.clone()).or_default();
                places.insert(number, Arc::clone(&place));
            }
            (state.step, state.entries.get(name).cloned(), number, state.closed)
        };
        place.offer(step, entry.as_deref());
        if closed {
            place.close();
        }
        self.report(name);
        Seat { configs: Arc::clone(self), name: name.clone(), number }
    }

    /// Takes entries that changed, none for those that were removed, and hands them to their places.
    pub(in crate::directory) fn publish(&self, changed: Vec<(Name, Option<Arc<Entry>>)>) {
        let mut offers = Vec::new();
        let step = {
            let mut state = self.state.lock();
            state.step += 1;
            for (name, entry) in changed {
                let places = state.places.get(&name).into_iter().flat_map(BTreeMap::values);
                let places: Vec<_> = places.cloned().collect();
                match &entry {
                    Some(entry) => drop(state.entries.insert(name.clone(), Arc::clone(entry))),
                    None => drop(state.entries.remove(&name)),
                }
                offers.push((name, entry, places));
            }
            state.step
        };
        for (name, entry, places) in offers {
            places.iter().for_each(|place| place.offer(step, entry.as_deref()));
            self.report(&name);
        }
    }

    /// Tells the cluster what this node has applied.
    fn report(&self, name: &Name) {
        let state = self.state.lock();
        let places = state.places.get(name).into_iter().flat_map(BTreeMap::values);
        let report = Report::merge(places.map(|place| place.report()));
        let encoded = report.map(|report| report.encode()).transpose();
        let Ok(value) = encoded else {
            debug_assert!(false, "a number and a short text fit in a value");
            return;
        };
        // Under the lock, so that an older report does not come last.
        self.registration.report(self.keys.config_applied_by(name, &self.node), value);
    }

    fn leave(&self, name: &Name, number: u64) {
        let place = {
            let mut state = self.state.lock();
            let Some(places) = state.places.get_mut(name) else { return };
            let place = places.remove(&number);
            if places.is_empty() {
                state.places.remove(name);
            }
            place
        };
        // It may hold the last reference to a value of the user's.
        drop(place);
        self.report(name);
    }

    /// Ends all waits; the last values stay.
    pub(in crate::directory) fn close(&self) {
        let places = {
            let mut state = self.state.lock();
            state.closed = true;
            std::mem::take(&mut state.places)
        };
        places.values().flat_map(BTreeMap::values).for_each(|place| place.close());
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.configs.leave(&self.name, self.number);
    }
}
