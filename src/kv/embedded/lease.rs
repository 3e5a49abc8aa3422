//! Leases: when each ends and which keys die with it.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use tokio::time::Instant;

use crate::kv::{KvError, Lease, LeaseId};

/// All living leases.
#[derive(Debug, Default)]
pub(super) struct Leases {
    by_id: HashMap<LeaseId, Living>,
    /// The same leases by the time at which they end.
    by_deadline: BTreeSet<(Instant, i64)>,
}

#[derive(Debug)]
struct Living {
    ttl: Duration,
    deadline: Instant,
    keys: BTreeSet<String>,
}

impl Leases {
    /// Grants a lease with an identity that no lease has had, as far as chance allows.
    pub(super) fn grant(&mut self, ttl: Duration, now: Instant) -> Lease {
        let id = loop {
            let id = LeaseId(fastrand::i64(1..));
            if !self.by_id.contains_key(&id) {
                break id;
            }
        };
        let deadline = now + ttl;
        self.by_id.insert(id, Living { ttl, deadline, keys: BTreeSet::new() });
        self.by_deadline.insert((deadline, id.0));
        Lease { id, ttl }
    }

    /// Starts the time of a lease again.
    pub(super) fn keep_alive(&mut self, id: LeaseId, now: Instant) -> Result<Duration, KvError> {
        let living = self.by_id.get_mut(&id).ok_or(KvError::LeaseNotFound(id))?;
        self.by_deadline.remove(&(living.deadline, id.0));
        living.deadline = now + living.ttl;
        self.by_deadline.insert((living.deadline, id.0));
        Ok(living.ttl)
    }

    pub(super) fn check(&self, id: LeaseId) -> Result<(), KvError> {
        if self.by_id.contains_key(&id) { Ok(()) } else { Err(KvError::LeaseNotFound(id)) }
    }

    /// Ends a lease and gives its keys, in byte order.
    pub(super) fn remove(&mut self, id: LeaseId) -> Result<BTreeSet<String>, KvError> {
        let living = self.by_id.remove(&id).ok_or(KvError::LeaseNotFound(id))?;
        self.by_deadline.remove(&(living.deadline, id.0));
        Ok(living.keys)
    }

    /// Ends the first lease whose time is over.
    pub(super) fn expire_one(&mut self, now: Instant) -> Option<BTreeSet<String>> {
        let &(deadline, id) = self.by_deadline.first()?;
        if deadline > now {
            return None;
        }
        self.remove(LeaseId(id)).ok()
    }

    /// When the next lease ends.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.by_deadline.first().map(|(deadline, _)| *deadline)
    }

    /// Takes the key from one lease to another, or to none.
    pub(super) fn attach(&mut self, key: &str, from: Option<LeaseId>, to: Option<LeaseId>) {
        if from == to {
            return;
        }
        if let Some(old) = from.and_then(|id| self.by_id.get_mut(&id)) {
            old.keys.remove(key);
        }
        if let Some(new) = to.and_then(|id| self.by_id.get_mut(&id)) {
            new.keys.insert(key.to_owned());
        }
    }
}
