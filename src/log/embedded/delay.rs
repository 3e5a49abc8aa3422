use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::Bytes;

use super::memory::Memory;

/// Messages that go back into the stream at their time.
#[derive(Debug)]
pub(super) struct DelaySet {
    /// By time, then by the order in which they came.
    by_time: BTreeMap<(u64, u64), Delayed>,
    by_key: HashMap<DelayKey, (u64, u64)>,
    arrivals: u64,
    memory: Arc<Memory>,
}

/// By what a delayed message is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum DelayKey {
    /// The id that the sender gave.
    Sent(String),
    /// Postponed messages have none that a sender could know; the number keeps them apart.
    Postponed(u64),
}

#[derive(Debug)]
struct Delayed {
    key: DelayKey,
    frame: Bytes,
}

impl DelaySet {
    pub(super) fn new(memory: Arc<Memory>) -> Self {
        Self { by_time: BTreeMap::new(), by_key: HashMap::new(), arrivals: 0, memory }
    }

    pub(super) fn holds(&self, id: &str) -> bool {
        self.by_key.contains_key(&DelayKey::Sent(id.to_owned()))
    }

    pub(super) fn insert(&mut self, due_ms: u64, id: Option<&str>, frame: Bytes) {
        self.arrivals += 1;
        let place = (due_ms, self.arrivals);
        let key = match id {
            Some(id) => DelayKey::Sent(id.to_owned()),
            None => DelayKey::Postponed(self.arrivals),
        };
        self.memory.take(frame.len());
        self.by_key.insert(key.clone(), place);
        self.by_time.insert(place, Delayed { key, frame });
    }

    pub(super) fn cancel(&mut self, id: &str) -> bool {
        let Some(place) = self.by_key.remove(&DelayKey::Sent(id.to_owned())) else { return false };
        if let Some(delayed) = self.by_time.remove(&place) {
            self.memory.give_back(delayed.frame.len());
        }
        true
    }

    /// Takes out the first message if it is due.
    pub(super) fn pop_due(&mut self, now_ms: u64) -> Option<Bytes> {
        if self.next_ms()? > now_ms {
            return None;
        }
        let (_, delayed) = self.by_time.pop_first()?;
        self.by_key.remove(&delayed.key);
        self.memory.give_back(delayed.frame.len());
        Some(delayed.frame)
    }

    pub(super) fn next_ms(&self) -> Option<u64> {
        self.by_time.keys().next().map(|(due_ms, _)| *due_ms)
    }

    pub(super) fn len(&self) -> usize {
        self.by_time.len()
    }
}

impl Drop for DelaySet {
    fn drop(&mut self) {
        for delayed in self.by_time.values() {
            self.memory.give_back(delayed.frame.len());
        }
    }
}
