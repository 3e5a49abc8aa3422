//! Two witnesses against a cache: a mirror that is built from its events alone, and the history of
//! the store itself, which is watched without a fault in between.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use callboard::{
    Name,
    directory::{Directory, DirectoryEvent, InstanceName, InstanceRecord, Subscription},
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
    instances: BTreeMap<InstanceName, (Arc<InstanceRecord>, IsSuspect)>,
    /// What was told of each, in order; nothing more after events were dropped, because a snapshot
    /// is ahead of the events that still wait.
    told: Option<BTreeMap<InstanceName, Vec<State>>>,
}

type IsSuspect = bool;

impl Mirror {
    /// Subscribes, and reads the snapshot once.
    pub(super) fn new(directory: &Directory, services: &[Name]) -> Self {
        let watched = |name: &Name| {
            let subscription = directory.watch(name);
            let instances = snapshot(directory, name);
            let told = instances.iter().map(|(name, (record, _))| {
                let first: State = Some(Arc::clone(record));
                (*name, vec![first])
            });
            let told = Some(told.collect());
            Watched { name: name.clone(), subscription, instances, told }
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
            assert_eq!(watched.instances, there, "{node}: the mirror of {}", watched.name);
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
        match event {
            DirectoryEvent::Up(record) => {
                let before = self.instances.insert(record.instance, (record.clone(), false));
                let is_new = before.is_none_or(|(_, is_suspect)| is_suspect);
                assert!(!in_order || is_new, "up though it was up: {record:?}");
                self.told(record.instance, Some(record));
            }
            DirectoryEvent::Changed(record) => {
                let before = self.instances.insert(record.instance, (record.clone(), false));
                let is_change = before.is_some_and(|(before, _)| before != record);
                assert!(!in_order || is_change, "no change: {record:?}");
                self.told(record.instance, Some(record));
            }
            DirectoryEvent::Down { instance, .. } => {
                let before = self.instances.remove(&instance.instance);
                assert!(!in_order || before.is_some(), "down though it was not up: {instance:?}");
                self.told(instance.instance, None);
            }
            DirectoryEvent::Suspect(record) => {
                drop(self.instances.insert(record.instance, (record, true)));
            }
            DirectoryEvent::Resync => {
                self.instances = snapshot(directory, &self.name);
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

fn snapshot(
    directory: &Directory,
    service: &Name,
) -> BTreeMap<InstanceName, (Arc<InstanceRecord>, IsSuspect)> {
    let view = directory.resolve(service);
    let suspects: BTreeSet<_> = view.suspects.iter().copied().collect();
    let entry = |record: &Arc<InstanceRecord>| {
        (record.instance, (Arc::clone(record), suspects.contains(&record.instance)))
    };
    view.instances.iter().map(entry).collect()
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
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

struct Seen {
    states: BTreeMap<Place, Vec<State>>,
    revision: Revision,
    last_change: Instant,
}

impl History {
    pub(super) fn of(kv: Arc<dyn KeyValueStore>) -> Self {
        let seen =
            Seen { states: BTreeMap::new(), revision: Revision(0), last_change: Instant::now() };
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

async fn follow(kv: &dyn KeyValueStore, seen: &Mutex<Seen>) -> KvError {
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

impl Seen {
    fn take(&mut self, event: &WatchEvent) {
        let Some((kind, rest)) =
            event.kv.key.strip_prefix(ROOT).and_then(|key| key.split_once('/'))
        else {
            return;
        };
        // A farewell that ends says nothing.
        if ["node", "svc", "def"].contains(&kind) || rest.starts_with("current/") {
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
