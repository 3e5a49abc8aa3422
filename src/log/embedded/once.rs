use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::memory::Memory;

/// The dedup ids of messages, each until its time.
#[derive(Debug)]
pub(super) struct Once {
    until: HashMap<Arc<str>, u64>,
    by_time: BTreeSet<(u64, Arc<str>)>,
    memory: Arc<Memory>,
}

impl Once {
    pub(super) fn new(memory: Arc<Memory>) -> Self {
        Self { until: HashMap::new(), by_time: BTreeSet::new(), memory }
    }

    /// Whether an id is known; from then on it is, for this long.
    pub(super) fn knows(&mut self, id: &str, window_ms: u64, now_ms: u64) -> bool {
        self.forget(now_ms);
        if self.until.contains_key(id) {
            return true;
        }
        let (id, until): (Arc<str>, _) = (id.into(), now_ms.saturating_add(window_ms));
        self.memory.take(id.len());
        self.until.insert(id.clone(), until);
        self.by_time.insert((until, id));
        false
    }

    fn forget(&mut self, now_ms: u64) {
        while let Some((until, id)) = self.by_time.pop_first() {
            if until > now_ms {
                self.by_time.insert((until, id));
                return;
            }
            self.until.remove(&id);
            self.memory.give_back(id.len());
        }
    }
}

impl Drop for Once {
    fn drop(&mut self) {
        for id in self.until.keys() {
            self.memory.give_back(id.len());
        }
    }
}
