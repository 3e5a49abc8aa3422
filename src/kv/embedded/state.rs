//! The store behind the lock: what each operation does at a given time.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::{EmbeddedKvOptions, history::History, lease::Leases};
use crate::kv::{
    Compare, CompareOp, CompareTarget, EventKind, KeyValue, KvError, Lease, LeaseId, Op,
    OpResponse, RangeRequest, RangeResponse, Revision, Txn, TxnResponse, WatchBatch, WatchEvent,
};

/// Keys, leases and the latest time that was seen.
#[derive(Debug)]
pub(super) struct State {
    options: EmbeddedKvOptions,
    history: History,
    leases: Leases,
    /// Time never goes back, even when callers on several runtimes have different clocks.
    now: Instant,
}

impl State {
    pub(super) fn new(options: EmbeddedKvOptions, now: Instant) -> Self {
        Self { options, history: History::new(), leases: Leases::default(), now }
    }

    /// Moves the clock and ends the leases whose time is over. Whether a key was deleted.
    pub(super) fn advance(&mut self, now: Instant) -> bool {
        self.now = self.now.max(now);
        let before = self.history.newest();
        while let Some(keys) = self.leases.expire_one(self.now) {
            self.delete_all(keys);
        }
        self.history.newest() != before
    }

    pub(super) fn newest(&self) -> Revision {
        self.history.newest()
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.leases.next_deadline()
    }

    pub(super) fn get(&self, key: &str) -> Option<KeyValue> {
        self.history.get(key).cloned()
    }

    pub(super) fn range(&self, request: &RangeRequest) -> Result<RangeResponse, KvError> {
        self.history.range(request)
    }

    pub(super) fn changes(&self, prefix: &str, from: Revision) -> Result<WatchBatch, KvError> {
        self.history.changes(prefix, from)
    }

    pub(super) fn compact(&mut self, revision: Revision) -> Result<(), KvError> {
        self.history.compact(revision)
    }

    pub(super) fn grant(&mut self, ttl: Duration) -> Lease {
        self.leases.grant(ttl, self.now)
    }

    pub(super) fn keep_alive(&mut self, lease: LeaseId) -> Result<Duration, KvError> {
        self.leases.keep_alive(lease, self.now)
    }

    pub(super) fn revoke(&mut self, lease: LeaseId) -> Result<(), KvError> {
        let keys = self.leases.remove(lease)?;
        self.delete_all(keys);
        Ok(())
    }

    /// Runs a transaction whose bounds were checked.
    pub(super) fn txn(&mut self, txn: Txn) -> Result<TxnResponse, KvError> {
        let succeeded = txn.compare.iter().all(|compare| self.holds(compare));
        let ops = if succeeded { txn.then } else { txn.otherwise };
        // Whatever can fail fails before the first change.
        for op in &ops {
            if let Op::Put { lease: Some(lease), .. } = op {
                self.leases.check(*lease)?;
            }
        }
        let mut changes = Vec::new();
        let responses = ops.into_iter().map(|op| self.run(op, &mut changes)).collect();
        self.commit(changes);
        Ok(TxnResponse { succeeded, revision: self.history.newest(), responses })
    }

    #[cfg(test)]
    pub(super) fn history_revisions(&self) -> usize {
        self.history.revisions()
    }

    #[cfg(test)]
    pub(super) fn states(&self) -> usize {
        self.history.states()
    }

    fn holds(&self, compare: &Compare) -> bool {
        let stored = self.history.get(&compare.key);
        let number = |of: fn(&KeyValue) -> i64| stored.map_or(0, of);
        let ordering = match &compare.target {
            CompareTarget::Version(version) => number(|kv| kv.version).cmp(version),
            CompareTarget::CreateRevision(revision) => {
                number(|kv| kv.create_revision.0).cmp(&revision.0)
            }
            CompareTarget::ModRevision(revision) => number(|kv| kv.mod_revision.0).cmp(&revision.0),
            CompareTarget::Value(value) => match stored {
                Some(kv) => kv.value.cmp(value),
                None => return false,
            },
        };
        match compare.op {
            CompareOp::Equal => ordering.is_eq(),
            CompareOp::NotEqual => ordering.is_ne(),
            CompareOp::Greater => ordering.is_gt(),
            CompareOp::Less => ordering.is_lt(),
        }
    }

    /// Runs one operation; its change becomes visible to others with the commit of all.
    fn run(&mut self, op: Op, changes: &mut Vec<WatchEvent>) -> OpResponse {
        match op {
            Op::Get { key } => OpResponse::Get(self.current(&key, changes).cloned()),
            Op::Put { key, value, lease } => {
                let event = self.put(key, value, lease, changes);
                changes.push(event);
                OpResponse::Put
            }
            Op::Delete { key } => match self.delete(key, changes) {
                Some(event) => {
                    changes.push(event);
                    OpResponse::Delete { deleted: 1 }
                }
                None => OpResponse::Delete { deleted: 0 },
            },
        }
    }

    /// The key as the transaction that makes `changes` sees it.
    fn current<'a>(&'a self, key: &str, changes: &'a [WatchEvent]) -> Option<&'a KeyValue> {
        match changes.iter().rev().find(|event| event.kv.key == key) {
            Some(event) => (event.kind == EventKind::Put).then_some(&event.kv),
            None => self.history.get(key),
        }
    }

    fn put(
        &mut self,
        key: String,
        value: Bytes,
        lease: Option<LeaseId>,
        changes: &[WatchEvent],
    ) -> WatchEvent {
        let revision = self.history.newest().next();
        let (create_revision, version, old_lease) = match self.current(&key, changes) {
            Some(kv) => (kv.create_revision, kv.version + 1, kv.lease),
            None => (revision, 1, None),
        };
        self.leases.attach(&key, old_lease, lease);
        let kv = KeyValue { key, value, create_revision, mod_revision: revision, version, lease };
        WatchEvent { kind: EventKind::Put, kv }
    }

    fn delete(&mut self, key: String, changes: &[WatchEvent]) -> Option<WatchEvent> {
        let old_lease = self.current(&key, changes)?.lease;
        self.leases.attach(&key, old_lease, None);
        let kv = KeyValue {
            key,
            value: Bytes::new(),
            create_revision: Revision(0),
            mod_revision: self.history.newest().next(),
            version: 0,
            lease: None,
        };
        Some(WatchEvent { kind: EventKind::Delete, kv })
    }

    fn delete_all(&mut self, keys: BTreeSet<String>) {
        let changes = keys.into_iter().filter_map(|key| self.delete(key, &[])).collect();
        self.commit(changes);
    }

    /// Makes the changes visible and forgets as much of the past as the bounds ask for.
    fn commit(&mut self, changes: Vec<WatchEvent>) {
        self.history.commit(changes);
        let revisions_max = self.options.history_revisions_max.max(1);
        while self.history.revisions() > revisions_max
            || (self.history.bytes() > self.options.history_bytes_max
                && self.history.compacted() < self.history.newest())
        {
            let next = self.history.compacted().next();
            if self.history.compact(next).is_err() {
                debug_assert!(false, "the revision after the compacted one can be compacted");
                return;
            }
        }
    }
}
