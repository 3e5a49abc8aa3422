//! What this node wants to stand in the directory, and how far it does.
//!
//! Owns the desired state and the loop that makes the store agree with it. Reads nothing but the
//! node's own keys.

mod registrar;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

pub(super) use self::registrar::Registrar;
use super::{DirectoryError, InstanceName};
use crate::{
    id::{Incarnation, Name},
    kv::{KvError, LeaseId, Revision},
};

/// How long after the last wish or farewell a write for a service may still arrive.
const UNUSED_AFTER: Duration = Duration::from_secs(60);

/// The desired state, shared by callers and the loop.
#[derive(Debug, Default)]
pub(super) struct Registration {
    desired: Mutex<Desired>,
    /// Wakes the loop when something is desired anew.
    wake: Notify,
    progress: watch::Sender<Progress>,
    lease: Mutex<LeaseState>,
    last_error: Mutex<Option<KvError>>,
}

#[derive(Debug, Default)]
struct Desired {
    /// Goes up with each change of what is desired.
    version: u64,
    instances: BTreeMap<InstanceName, Arc<Wanted>>,
    /// Instances that must go, with a `bye`.
    leaving: BTreeMap<InstanceName, Arc<Wanted>>,
    /// Every service that may have a key of this process in the store, with the last time that
    /// one was wanted or taken out there.
    touched: BTreeMap<Name, Instant>,
    /// What this node says of itself, by key; none for a key that must go.
    reports: BTreeMap<String, Option<Bytes>>,
    /// Since when the keys of reports must go.
    taken_back: BTreeMap<String, Instant>,
}

/// One instance as it must stand in the store.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) service: Name,
    pub(super) key: String,
    pub(super) bye: String,
    pub(super) health: String,
    pub(super) value: Bytes,
}

/// How far the store agrees.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// The version of the desired state that is in the store.
    applied: u64,
    /// The revision of the last write.
    revision: Revision,
    superseded: Option<Incarnation>,
    closed: bool,
}

/// The node's lease, and when it was last not to be relied on.
#[derive(Debug, Default)]
struct LeaseState {
    held: Option<HeldLease>,
    lapsed: Option<Instant>,
}

/// The node's lease.
#[derive(Debug, Clone, Copy)]
struct HeldLease {
    id: LeaseId,
    /// Since when it has been held without a gap.
    since: Instant,
    /// Until when others surely take the node for alive.
    deadline: Instant,
    /// When it must have been renewed, or an outage is long enough to end the leases of others.
    overdue: Instant,
}

/// What the loop has to do.
#[derive(Debug)]
struct Work {
    version: u64,
    missing: Vec<(InstanceName, Arc<Wanted>)>,
    leaving: Vec<(InstanceName, Arc<Wanted>)>,
    reports: Vec<(String, Option<Bytes>)>,
}

impl Desired {
    fn report(&mut self, key: String, value: Option<Bytes>) {
        match value {
            Some(_) => drop(self.taken_back.remove(&key)),
            None => drop(self.taken_back.insert(key.clone(), Instant::now())),
        }
        self.reports.insert(key, value);
    }

    /// An instance that goes says nothing more of itself.
    fn withdraw(&mut self, wanted: &Wanted) {
        if self.reports.get(&wanted.health).is_some_and(Option::is_some) {
            self.report(wanted.health.clone(), None);
        }
    }
}

impl Registration {
    /// Wants an instance in the store, with what it says of its health if that is given. Gives the
    /// version to wait for.
    pub(super) fn want(&self, name: InstanceName, wanted: Wanted, health: Option<Bytes>) -> u64 {
        self.change(|desired| {
            desired.touched.insert(wanted.service.clone(), Instant::now());
            desired.leaving.remove(&name);
            if health.is_some() {
                desired.report(wanted.health.clone(), health);
            }
            desired.instances.insert(name, Arc::new(wanted));
        })
    }

    /// Wants instances out of the store; names that are not known are left alone.
    pub(super) fn leave(&self, names: &[InstanceName]) -> u64 {
        self.change(|desired| {
            for name in names {
                if let Some(wanted) = desired.instances.remove(name) {
                    desired.withdraw(&wanted);
                    desired.leaving.insert(*name, wanted);
                }
            }
        })
    }

    /// Wants all instances out of the store.
    pub(super) fn leave_all(&self) -> u64 {
        self.change(|desired| {
            let mut instances = std::mem::take(&mut desired.instances);
            instances.values().for_each(|wanted| desired.withdraw(wanted));
            desired.leaving.append(&mut instances);
        })
    }

    /// Wants this to stand as the health of an instance, or nothing. Nothing is wanted for one that is
    /// not, or gone: its last word must not outlive it. Gives the version to wait for.
    pub(super) fn report_health(&self, name: InstanceName, value: Option<Bytes>) -> Option<u64> {
        let wanted = {
            let desired = self.desired.lock();
            let wanted = desired.instances.get(&name).cloned()?;
            if value.is_none() && !desired.reports.contains_key(&wanted.health) {
                return None; // nothing was ever said
            }
            wanted
        };
        Some(self.change(|desired| {
            if desired.instances.contains_key(&name) {
                desired.report(wanted.health.clone(), value);
            }
        }))
    }

    /// Wants a key with this value under the node's lease, or no such key. Nobody waits for it.
    pub(super) fn report(&self, key: String, value: Option<Bytes>) {
        let is_known = match self.desired.lock().reports.get(&key) {
            Some(known) => *known == value,
            // Nothing was ever said, so that there is nothing to take back.
            None => value.is_none(),
        };
        if !is_known {
            self.change(|desired| desired.report(key, value));
        }
    }

    /// Forgets a report whose key is gone, unless a write of it may still be on its way. Whether it
    /// did.
    fn forget_report(&self, key: &str, now: Instant) -> bool {
        let mut desired = self.desired.lock();
        let since = desired.taken_back.get(key);
        let may = since.is_some_and(|since| now.duration_since(*since) > UNUSED_AFTER);
        if may {
            desired.taken_back.remove(key);
            desired.reports.remove(key);
        }
        may
    }

    fn change(&self, change: impl FnOnce(&mut Desired)) -> u64 {
        let mut desired = self.desired.lock();
        change(&mut desired);
        desired.version += 1;
        let version = desired.version;
        drop(desired);
        self.wake.notify_one();
        version
    }

    /// The version of all that is wanted now.
    pub(super) fn version(&self) -> u64 {
        self.desired.lock().version
    }

    /// Waits until the store has this version; gives the revision of the last write.
    ///
    /// # Errors
    /// [`DirectoryError::Superseded`] and [`DirectoryError::Closed`].
    pub(super) async fn applied(&self, version: u64) -> Result<Revision, DirectoryError> {
        let mut progress = self.progress.subscribe();
        loop {
            let now = *progress.borrow_and_update();
            if let Some(by) = now.superseded {
                return Err(DirectoryError::Superseded { by });
            }
            if now.applied >= version {
                return Ok(now.revision);
            }
            if now.closed || progress.changed().await.is_err() {
                return Err(DirectoryError::Closed);
            }
        }
    }

    /// Refuses new wishes after the end.
    pub(super) fn check_open(&self) -> Result<(), DirectoryError> {
        let now = *self.progress.borrow();
        match now.superseded {
            Some(by) => Err(DirectoryError::Superseded { by }),
            None if now.closed => Err(DirectoryError::Closed),
            None => Ok(()),
        }
    }

    /// Ends all waits. Whether this was the first time.
    pub(super) fn close(&self) -> bool {
        self.progress.send_if_modified(|progress| !std::mem::replace(&mut progress.closed, true))
    }

    pub(super) fn superseded_by(&self) -> Option<Incarnation> {
        self.progress.borrow().superseded
    }

    /// Until when others surely take the node for alive.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.lease.lock().held.map(|lease| lease.deadline)
    }

    /// The lease, and until when others surely take the node for alive.
    pub(super) fn lease(&self) -> Option<(LeaseId, Instant)> {
        self.lease.lock().held.map(|lease| (lease.id, lease.deadline))
    }

    /// Since when the lease has been held without a gap; none while it is not.
    pub(super) fn held_since(&self, now: Instant) -> Option<Instant> {
        self.lease.lock().held.filter(|lease| now <= lease.deadline).map(|lease| lease.since)
    }

    /// The last error of the store.
    pub(super) fn take_error(&self) -> Option<KvError> {
        self.last_error.lock().take()
    }

    /// What is desired and, as far as the loop knows, not in the store.
    fn work(
        &self,
        registered: &BTreeMap<InstanceName, Arc<Wanted>>,
        reported: &BTreeMap<String, Option<Bytes>>,
    ) -> Work {
        let desired = self.desired.lock();
        let missing = desired.instances.iter().filter(|(name, wanted)| {
            registered.get(name).is_none_or(|there| there.value != wanted.value)
        });
        let owned = |(name, wanted): (&InstanceName, &Arc<Wanted>)| (*name, Arc::clone(wanted));
        Work {
            version: desired.version,
            missing: missing.map(owned).collect(),
            leaving: desired.leaving.iter().map(owned).collect(),
            reports: desired
                .reports
                .iter()
                .filter(|(key, value)| reported.get(*key) != Some(value))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        }
    }

    /// Instances that left need not leave again, unless they came back meanwhile.
    fn left(&self, names: &[InstanceName]) {
        let mut desired = self.desired.lock();
        for name in names {
            if let Some(left) = desired.leaving.remove(name) {
                // Up to now it may have been written, however long ago it was wanted.
                desired.touched.insert(left.service.clone(), Instant::now());
            }
        }
    }

    fn wants(&self, name: InstanceName) -> bool {
        let desired = self.desired.lock();
        desired.instances.contains_key(&name) || desired.leaving.contains_key(&name)
    }

    fn touched(&self) -> Vec<Name> {
        self.desired.lock().touched.keys().cloned().collect()
    }

    /// Forgets a service that has no key of this process, unless one may still be on its way.
    fn forget_unused(&self, service: &Name, now: Instant) {
        let mut desired = self.desired.lock();
        let desired = &mut *desired;
        let mut wanted = desired.instances.values().chain(desired.leaving.values());
        if wanted.any(|wanted| wanted.service == *service) {
            return;
        }
        if let Some(last) = desired.touched.get(service)
            && now.duration_since(*last) > UNUSED_AFTER
        {
            desired.touched.remove(service);
        }
    }

    fn publish_applied(&self, version: u64, revision: Revision) {
        self.progress.send_modify(|progress| {
            progress.applied = version;
            progress.revision = revision;
        });
    }

    fn publish_superseded(&self, by: Incarnation) {
        self.progress.send_modify(|progress| progress.superseded = Some(by));
    }

    /// Notes that the lease was granted or renewed; it is held since the request left, or since an
    /// earlier one that it follows without a gap.
    fn hold(&self, lease: HeldLease, now: Instant) {
        let mut state = self.lease.lock();
        state.lapsed = state.lapsed(now);
        let goes_on =
            state.held.filter(|before| before.id == lease.id && lease.since <= before.deadline);
        let since = goes_on.map_or(lease.since, |before| before.since);
        state.held = Some(HeldLease { since, ..lease });
    }

    /// The store says that the lease is gone.
    fn lose(&self, now: Instant) {
        *self.lease.lock() = LeaseState { held: None, lapsed: Some(now) };
    }

    /// When this node could last not be sure of its lease: now, while it can't be. None for a node
    /// that gave its place to a later life: it will have no lease again, and must not doubt for ever.
    pub(super) fn lapsed(&self, now: Instant) -> Option<Instant> {
        match self.superseded_by() {
            Some(_) => None,
            None => self.lease.lock().lapsed(now),
        }
    }

    /// Lets the lease go: from now on nobody takes the node for alive.
    pub(super) fn let_go(&self) -> Option<LeaseId> {
        self.lease.lock().held.take().map(|lease| lease.id)
    }

    fn remember(&self, error: KvError) {
        *self.last_error.lock() = Some(error);
    }
}

impl LeaseState {
    fn lapsed(&self, now: Instant) -> Option<Instant> {
        match (self.held, self.lapsed) {
            (Some(lease), _) if lease.overdue <= now => Some(now),
            (None, Some(_)) => Some(now),
            (_, lapsed) => lapsed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_lapses_while_it_is_overdue_or_lost_and_the_last_time_is_remembered() {
        let registration = Registration::default();
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let lease = |from: Instant| HeldLease {
            id: LeaseId(1),
            since: from,
            deadline: from + second * 4,
            overdue: from + second * 3,
        };
        assert_eq!(registration.lapsed(start), None, "it has had none yet");
        registration.hold(lease(start), start);
        registration.hold(lease(start + second), start + second);
        assert_eq!(registration.lapsed(start + second * 3), None);
        let late = start + second * 5;
        assert_eq!(registration.lapsed(late), Some(late));
        registration.hold(lease(late), late);
        assert_eq!(registration.lapsed(late + second), Some(late));
        registration.lose(late + second);
        assert_eq!(registration.lapsed(late + second * 2), Some(late + second * 2));
        registration.publish_superseded(Incarnation::from_u128(1));
        assert_eq!(registration.lapsed(late + second * 2), None);
    }

    #[test]
    fn a_lease_is_held_since_its_grant_unless_it_lapsed_in_between() {
        let registration = Registration::default();
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let at = |seconds: u32| start + second * seconds;
        let hold = |id, asked| {
            let (deadline, overdue) = (at(asked + 5), at(asked + 3));
            let lease = HeldLease { id: LeaseId(id), since: at(asked), deadline, overdue };
            registration.hold(lease, at(asked));
        };
        assert_eq!(registration.held_since(start), None);
        hold(7, 0);
        hold(7, 3);
        assert_eq!(registration.held_since(at(8)), Some(at(0)));
        assert_eq!(registration.held_since(at(9)), None, "others may have taken it for dead");
        hold(7, 10);
        assert_eq!(registration.held_since(at(11)), Some(at(10)));
        hold(8, 12);
        assert_eq!(registration.held_since(at(12)), Some(at(12)), "another lease");
    }
}
