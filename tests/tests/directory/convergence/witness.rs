//! Two witnesses against a cache: a mirror that is built from its events alone, and the history of
//! the store itself, which is watched without a fault in between.

use std::{collections::BTreeMap, sync::Arc};

use callboard::{
    Name,
    directory::{
        Directory, DirectoryEvent, HealthRecord, HealthState, InstanceName, InstanceRecord,
        Subscription,
    },
    kv::{EventKind, KeyValueStore, KvError, Revision, WatchEvent, WatchRequest},
};
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::{
    task::{JoinHandle, unconstrained},
    time::{Duration, Instant, sleep},
};

pub(super) const ROOT: &str = "/callboard/c/";

/// An instance at one time: its record, or that it was not there.
type State = Option<Arc<InstanceRecord>>;
type Place = (String, InstanceName);

/// What the events of one node say of some services.
pub(super) struct Mirror {
    services: Vec<Watched>,
    /// How many events came, and how often one was told to read anew.
    pub(super) events: usize,
    pub(super) resyncs: usize,
}

struct Watched {
    name: Name,
    subscription: Subscription,
    seen: View,
    /// What was told of each, in order; nothing more after events were dropped, because a snapshot
    /// is ahead of the events that still wait.
    told: Option<BTreeMap<InstanceName, Vec<State>>>,
}

/// A service as one node sees it.
#[derive(Debug, Default, PartialEq)]
struct View {
    instances: BTreeMap<InstanceName, Seen>,
    /// Whether fewer than half pass, so that all are called.
    is_panicking: bool,
}

#[derive(Debug, PartialEq)]
struct Seen {
    record: Arc<InstanceRecord>,
    is_suspect: bool,
    /// Unless it passes.
    health: Option<Arc<HealthRecord>>,
}

impl Mirror {
    /// Subscribes, and reads the snapshot once.
    pub(super) fn new(directory: &Directory, services: &[Name]) -> Self {
        let watched = |name: &Name| {
            let subscription = directory.watch(name);
            let seen = snapshot(directory, name);
            let told = seen.instances.iter().map(|(name, seen)| {
                let first: State = Some(Arc::clone(&seen.record));
                (*name, vec![first])
            });
            let told = Some(told.collect());
            Watched { name: name.clone(), subscription, seen, told }
        };
        Self { services: services.iter().map(watched).collect(), events: 0, resyncs: 0 }
    }

    /// Takes what was told since, and compares with the snapshots, which must be the same at every
    /// moment at which nobody is in the middle of a step.
    pub(super) fn follow(&mut self, directory: &Directory) {
        for watched in &mut self.services {
            while let Some(event) = unconstrained(watched.subscription.next()).now_or_never() {
                let event = event.expect("the directory runs");
                self.events += 1;
                self.resyncs += usize::from(event == DirectoryEvent::Resync);
                watched.take(directory, event);
            }
            let there = snapshot(directory, &watched.name);
            let node = directory.node();
            assert_eq!(watched.seen, there, "{node}: the mirror of {}", watched.name);
        }
    }

    /// Nothing was told in another order than it happened in, nor anything that never happened.
    pub(super) fn check_order(&self, history: &History) {
        let seen = history.seen.lock();
        for watched in &self.services {
            for (name, told) in watched.told.iter().flatten() {
                let place = (watched.name.to_string(), *name);
                let happened = seen.states.get(&place).map_or(&[][..], Vec::as_slice);
                let mut rest = happened.iter();
                for state in told {
                    assert!(
                        rest.any(|other| other == state),
                        "{} {name}: told in another order than it happened in: {:?}, but {:?}",
                        watched.name,
                        short(told),
                        short(happened),
                    );
                }
            }
        }
    }
}

impl Watched {
    fn take(&mut self, directory: &Directory, event: DirectoryEvent) {
        let in_order = self.told.is_some();
        let instances = &mut self.seen.instances;
        match event {
            DirectoryEvent::Up(record) => {
                // It passes, unless something else is told.
                let now = Seen { record: Arc::clone(&record), is_suspect: false, health: None };
                let before = instances.insert(record.instance, now);
                let is_new = before.is_none_or(|before| before.is_suspect);
                assert!(!in_order || is_new, "up though it was up: {record:?}");
                self.told(record.instance, Some(record));
            }
            DirectoryEvent::Changed(record) => {
                let before = instances.remove(&record.instance);
                let is_change = before.as_ref().is_some_and(|before| before.record != record);
                assert!(!in_order || is_change, "no change: {record:?}");
                let health = before.and_then(|before| before.health);
                let now = Seen { record: Arc::clone(&record), is_suspect: false, health };
                drop(instances.insert(record.instance, now));
                self.told(record.instance, Some(record));
            }
            DirectoryEvent::Down { instance, .. } => {
                let before = instances.remove(&instance.instance);
                assert!(!in_order || before.is_some(), "down though it was not up: {instance:?}");
                self.told(instance.instance, None);
            }
            DirectoryEvent::Suspect(record) => {
                let before = instances.remove(&record.instance);
                let health = before.and_then(|before| before.health);
                let now = Seen { record: Arc::clone(&record), is_suspect: true, health };
                drop(instances.insert(record.instance, now));
            }
            DirectoryEvent::Health { instance, health } => {
                let seen = instances.get_mut(&instance.instance);
                assert!(!in_order || seen.is_some(), "the health of nobody: {instance:?}");
                if let Some(seen) = seen {
                    let passes = health.state == HealthState::Passing;
                    seen.health = (!passes).then_some(health);
                }
            }
            DirectoryEvent::Panic(is_panicking) => self.seen.is_panicking = is_panicking,
            DirectoryEvent::Resync => {
                self.seen = snapshot(directory, &self.name);
                self.told = None;
            }
            DirectoryEvent::Stale | DirectoryEvent::Fresh => {}
            other => panic!("unknown: {other:?}"),
        }
    }

    fn told(&mut self, name: InstanceName, state: State) {
        if let Some(told) = &mut self.told {
            push(told.entry(name).or_default(), state);
        }
    }
}

fn snapshot(directory: &Directory, service: &Name) -> View {
    let view = directory.resolve(service);
    let health: BTreeMap<_, _> = view.health.iter().cloned().collect();
    let seen = |record: &Arc<InstanceRecord>| Seen {
        record: Arc::clone(record),
        is_suspect: view.is_suspect(record.instance),
        health: health.get(&record.instance).cloned(),
    };
    let instances = view.instances.iter().map(|record| (record.instance, seen(record)));
    View { instances: instances.collect(), is_panicking: view.is_panicking() }
}

/// Adds what is not the same again.
fn push(states: &mut Vec<State>, state: State) {
    if states.last() != Some(&state) {
        states.push(state);
    }
}

fn short(states: &[State]) -> Vec<Option<u32>> {
    states.iter().map(|state| state.as_ref().map(|record| record.weight)).collect()
}

/// Everything that ever stood in the store, by a watch of its own.
pub(super) struct History {
    seen: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

struct Heard {
    states: BTreeMap<Place, Vec<State>>,
    revision: Revision,
    last_change: Instant,
}

impl History {
    pub(super) fn of(kv: Arc<dyn KeyValueStore>) -> Self {
        let seen =
            Heard { states: BTreeMap::new(), revision: Revision(0), last_change: Instant::now() };
        let seen = Arc::new(Mutex::new(seen));
        let task = {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                loop {
                    let ended = follow(&*kv, &seen).await;
                    // Whoever compacts waits for us.
                    assert!(!matches!(ended, KvError::Compacted { .. }), "{ended}");
                    sleep(Duration::from_millis(100)).await;
                }
            })
        };
        Self { seen, task }
    }

    /// When a key that somebody follows was last changed, as far as was heard.
    pub(super) fn last_change(&self) -> Instant {
        assert!(!self.task.is_finished(), "the witness is gone");
        self.seen.lock().last_change
    }

    /// Up to where it was heard of.
    pub(super) fn revision(&self) -> Revision {
        self.seen.lock().revision
    }

    /// Waits until all up to this revision was heard of.
    pub(super) async fn reaches(&self, revision: Revision) {
        while self.seen.lock().revision < revision {
            assert!(!self.task.is_finished(), "the witness is gone");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(kv: &dyn KeyValueStore, seen: &Mutex<Heard>) -> KvError {
    let from = seen.lock().revision.next();
    let mut watcher = match kv.watch(WatchRequest { prefix: ROOT.to_owned(), from }).await {
        Ok(watcher) => watcher,
        Err(error) => return error,
    };
    loop {
        let batch = match watcher.next().await {
            Ok(batch) => batch,
            Err(error) => return error,
        };
        let mut seen = seen.lock();
        for event in batch.events {
            seen.revision = seen.revision.max(event.kv.mod_revision);
            seen.take(&event);
        }
    }
}

impl Heard {
    fn take(&mut self, event: &WatchEvent) {
        let Some((kind, rest)) =
            event.kv.key.strip_prefix(ROOT).and_then(|key| key.split_once('/'))
        else {
            return;
        };
        // A farewell that ends says nothing.
        if ["node", "svc", "def", "health", "policy"].contains(&kind)
            || rest.starts_with("current/")
        {
            self.last_change = Instant::now();
        }
        if kind != "svc" {
            return;
        }
        let (service, name) = rest.split_once('/').expect("it was written by a directory");
        let name = name.parse().expect("the name of an instance");
        let state = match event.kind {
            // What can't be read is not there.
            EventKind::Put => serde_json::from_slice(&event.kv.value).ok().map(Arc::new),
            EventKind::Delete => None,
        };
        push(self.states.entry((service.to_owned(), name)).or_default(), state);
    }
}
