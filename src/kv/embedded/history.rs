//! Keys with their past, and the changes in order: pure data, no clock and no locks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::kv::{
    EventKind, KeyValue, KvError, RangeRequest, RangeResponse, Revision, WatchBatch, WatchEvent,
};

/// The most changes that one batch of a watch holds, unless one revision has more.
const BATCH_EVENTS_MAX: usize = 512;

/// All keys since the last compaction.
#[derive(Debug)]
pub(super) struct History {
    /// The newest revision. An empty store is at 1, as etcd is.
    newest: Revision,
    /// The first revision that can be read.
    compacted: Revision,
    /// Per key its states, oldest first; at most one of them is at or below `compacted`, and the
    /// first is never a deletion at or below it.
    keys: BTreeMap<String, Vec<KeyState>>,
    /// The changes of each revision from `first_logged` to `newest`, without a gap.
    log: VecDeque<Vec<WatchEvent>>,
    /// Bytes of keys and values in `log`.
    log_bytes: usize,
}

/// A key as it was from a revision on.
#[derive(Debug)]
struct KeyState {
    since: Revision,
    /// Absent after a delete.
    kv: Option<KeyValue>,
}

impl History {
    pub(super) fn new() -> Self {
        Self {
            newest: Revision(1),
            compacted: Revision(1),
            keys: BTreeMap::new(),
            // Revision 1 is the empty store.
            log: VecDeque::from([Vec::new()]),
            log_bytes: 0,
        }
    }

    pub(super) fn newest(&self) -> Revision {
        self.newest
    }

    pub(super) fn compacted(&self) -> Revision {
        self.compacted
    }

    /// How many revisions the log holds.
    pub(super) fn revisions(&self) -> usize {
        self.log.len()
    }

    /// Bytes of the changes in the log.
    pub(super) fn bytes(&self) -> usize {
        self.log_bytes
    }

    #[cfg(test)]
    pub(super) fn states(&self) -> usize {
        self.keys.values().map(Vec::len).sum()
    }

    /// The key at the newest revision.
    pub(super) fn get(&self, key: &str) -> Option<&KeyValue> {
        self.keys.get(key)?.last()?.kv.as_ref()
    }

    /// Reads a page.
    pub(super) fn range(&self, request: &RangeRequest) -> Result<RangeResponse, KvError> {
        let at = self.readable(request.revision.unwrap_or(self.newest))?;
        let start = match &request.after {
            Some(after) if *after >= request.prefix => std::ops::Bound::Excluded(after.as_str()),
            _ => std::ops::Bound::Included(request.prefix.as_str()),
        };
        let mut found = self
            .keys
            .range::<str, _>((start, std::ops::Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(&request.prefix))
            .filter_map(|(_, states)| state_at(states, at));
        let limit = if request.limit == 0 { usize::MAX } else { request.limit };
        let kvs: Vec<KeyValue> = found.by_ref().take(limit).cloned().collect();
        let more = found.next().is_some();
        Ok(RangeResponse { kvs, revision: self.newest, more })
    }

    fn readable(&self, revision: Revision) -> Result<Revision, KvError> {
        if revision > self.newest {
            return Err(KvError::FutureRevision { asked: revision, newest: self.newest });
        }
        if revision < self.compacted {
            return Err(KvError::Compacted { compacted: self.compacted });
        }
        Ok(revision)
    }

    /// Appends the changes of one revision, which is the next; with none nothing happens.
    pub(super) fn commit(&mut self, changes: Vec<WatchEvent>) {
        if changes.is_empty() {
            return;
        }
        self.newest = self.newest.next();
        for event in &changes {
            debug_assert_eq!(event.kv.mod_revision, self.newest);
            self.log_bytes += size_of(event);
            let kv = (event.kind == EventKind::Put).then(|| event.kv.clone());
            let state = KeyState { since: self.newest, kv };
            self.keys.entry(event.kv.key.clone()).or_default().push(state);
        }
        self.log.push_back(changes);
    }

    /// The next changes under the prefix at or after `from`, and the revision up to which they
    /// reach; none when there is nothing.
    pub(super) fn changes(&self, prefix: &str, from: Revision) -> Result<WatchBatch, KvError> {
        if from < self.compacted {
            return Err(KvError::Compacted { compacted: self.compacted });
        }
        let first = self.first_logged();
        let skipped = usize::try_from(from.0 - first.0).unwrap_or(0).min(self.log.len());
        let mut batch = WatchBatch { events: Vec::new(), revision: self.newest };
        for (revision, changes) in (from.0..).zip(self.log.range(skipped..)) {
            batch.events.extend(changes.iter().filter(|e| e.kv.key.starts_with(prefix)).cloned());
            if batch.events.len() >= BATCH_EVENTS_MAX {
                batch.revision = Revision(revision);
                break;
            }
        }
        Ok(batch)
    }

    /// Forgets what was before the revision.
    pub(super) fn compact(&mut self, revision: Revision) -> Result<(), KvError> {
        if revision <= self.compacted {
            return Ok(());
        }
        self.readable(revision)?;
        // Only keys that changed in (compacted, revision] can have a state to forget.
        let known = usize::try_from(revision.0 - self.first_logged().0 + 1).unwrap_or(0);
        let touched: BTreeSet<String> =
            self.log.range(..known).flatten().map(|event| event.kv.key.clone()).collect();
        for key in touched {
            self.forget_before(&key, revision);
        }
        for changes in self.log.drain(..known - 1) {
            self.log_bytes -= changes.iter().map(size_of).sum::<usize>();
        }
        self.compacted = revision;
        Ok(())
    }

    fn forget_before(&mut self, key: &str, revision: Revision) {
        let Some(states) = self.keys.get_mut(key) else { return };
        let past = states.partition_point(|state| state.since <= revision);
        if past == 0 {
            return;
        }
        let deleted = states[past - 1].kv.is_none();
        states.drain(..if deleted { past } else { past - 1 });
        if states.is_empty() {
            self.keys.remove(key);
        }
    }

    /// The revision of the first entry of the log.
    fn first_logged(&self) -> Revision {
        Revision(self.newest.0 + 1 - i64::try_from(self.log.len()).unwrap_or(i64::MAX))
    }
}

fn state_at(states: &[KeyState], revision: Revision) -> Option<&KeyValue> {
    let past = states.partition_point(|state| state.since <= revision);
    states.get(past.checked_sub(1)?)?.kv.as_ref()
}

fn size_of(event: &WatchEvent) -> usize {
    std::mem::size_of::<WatchEvent>() + event.kv.key.len() + event.kv.value.len()
}
