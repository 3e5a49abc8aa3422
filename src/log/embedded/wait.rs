use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// How many readers may have been unblocked before they blocked, at the same time; the oldest is
/// forgotten, because it may be gone.
const PERMITS_MAX: usize = 4096;

/// What one blocked read waits for.
#[derive(Debug, Default)]
pub(super) struct Signal {
    notify: Notify,
    is_unblocked: AtomicBool,
    is_over: AtomicBool,
}

impl Signal {
    pub(super) async fn raised(&self) {
        self.notify.notified().await;
    }

    pub(super) fn is_unblocked(&self) -> bool {
        self.is_unblocked.load(Ordering::Acquire)
    }

    /// Whether what it reads was taken away.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }
}

/// The blocked reads of one stream.
///
/// Invariant: while a group has entries to give and blocked reads, at least one of these reads was
/// woken. An entry wakes one read of each group; a read that leaves passes that on.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    /// By group; under `None` those that read outside any group, who are all woken.
    blocked: BTreeMap<Option<String>, VecDeque<Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    signal: Arc<Signal>,
    is_woken: bool,
}

impl Waiter {
    fn wake(&mut self) {
        self.is_woken = true;
        self.signal.notify.notify_one();
    }
}

impl Waiters {
    pub(super) fn is_empty(&self) -> bool {
        self.blocked.is_empty()
    }

    pub(super) fn add(
        &mut self,
        group: Option<&str>,
        id: u64,
        signal: Arc<Signal>,
        is_woken: bool,
    ) {
        let waiter = Waiter { id, signal, is_woken };
        self.blocked.entry(group.map(str::to_owned)).or_default().push_back(waiter);
    }

    pub(super) fn remove(&mut self, group: Option<&str>, id: u64) {
        let group = group.map(str::to_owned);
        if let Some(waiters) = self.blocked.get_mut(&group) {
            waiters.retain(|waiter| waiter.id != id);
            if waiters.is_empty() {
                self.blocked.remove(&group);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn woken(&self) -> usize {
        self.blocked.values().flatten().filter(|waiter| waiter.is_woken).count()
    }

    pub(super) fn wake_for_entry(&mut self) {
        for (group, waiters) in &mut self.blocked {
            let asleep = waiters.iter_mut().filter(|waiter| !waiter.is_woken);
            match group {
                Some(_) => asleep.take(1).for_each(Waiter::wake),
                None => asleep.for_each(Waiter::wake),
            }
        }
    }

    pub(super) fn wake_next(&mut self, group: &str) {
        let waiters = self.blocked.get_mut(&Some(group.to_owned()));
        if let Some(next) = waiters.into_iter().flatten().find(|waiter| !waiter.is_woken) {
            next.wake();
        }
    }

    pub(super) fn end_group(&mut self, group: &str) {
        end(self.blocked.get_mut(&Some(group.to_owned())).into_iter().flatten());
    }

    pub(super) fn end_all(&mut self) {
        end(self.blocked.values_mut().flatten());
    }
}

fn end<'a>(waiters: impl Iterator<Item = &'a mut Waiter>) {
    for waiter in waiters {
        waiter.signal.is_over.store(true, Ordering::Release);
        waiter.wake();
    }
}

/// All blocked reads by the name of their reader.
#[derive(Debug, Default)]
pub(super) struct Readers {
    state: Mutex<ReadersState>,
}

#[derive(Debug, Default)]
struct ReadersState {
    blocked: HashMap<String, Vec<(u64, Arc<Signal>)>>,
    /// Readers that were unblocked while they did not block, oldest first.
    permits: VecDeque<String>,
}

impl Readers {
    /// Whether the reader was unblocked before this call.
    pub(super) fn take_permit(&self, reader: &str) -> bool {
        take_permit(&mut self.state.lock().permits, reader)
    }

    /// Registers a read before it blocks.
    pub(super) fn enter(&self, reader: &str, id: u64, signal: &Arc<Signal>) {
        let mut state = self.state.lock();
        if take_permit(&mut state.permits, reader) {
            signal.is_unblocked.store(true, Ordering::Release);
            signal.notify.notify_one();
        }
        state.blocked.entry(reader.to_owned()).or_default().push((id, Arc::clone(signal)));
    }

    pub(super) fn leave(&self, reader: &str, id: u64) {
        let mut state = self.state.lock();
        if let Some(blocked) = state.blocked.get_mut(reader) {
            blocked.retain(|(other, _)| *other != id);
            if blocked.is_empty() {
                state.blocked.remove(reader);
            }
        }
    }

    pub(super) fn unblock(&self, reader: &str) {
        let mut state = self.state.lock();
        if let Some(blocked) = state.blocked.get(reader) {
            for (_, signal) in blocked {
                signal.is_unblocked.store(true, Ordering::Release);
                signal.notify.notify_one();
            }
            return;
        }
        if !state.permits.iter().any(|name| name == reader) {
            if state.permits.len() == PERMITS_MAX {
                state.permits.pop_front();
            }
            state.permits.push_back(reader.to_owned());
        }
    }
}

fn take_permit(permits: &mut VecDeque<String>, reader: &str) -> bool {
    let at = permits.iter().position(|name| name == reader);
    at.and_then(|at| permits.remove(at)).is_some()
}
