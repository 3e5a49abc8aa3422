use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicI64,
            Ordering::{Acquire, Release},
        },
    },
};

use parking_lot::Mutex;

/// How many readers may have been unblocked before they blocked, at the same time; the oldest is
/// forgotten, because it may be gone.
const PERMITS_MAX: usize = 4096;

/// All reads that block, by the name of their reader.
#[derive(Default)]
pub(super) struct Readers(Mutex<State>);

#[derive(Default)]
struct State {
    blocked: HashMap<String, Vec<Arc<Seat>>>,
    /// Readers that were unblocked while they did not block, oldest first.
    permits: VecDeque<String>,
}

/// A read that blocks, or is about to.
pub(super) struct Seat {
    /// The connection that it blocks, as Redis numbers them; 0 while it has none.
    client: AtomicI64,
    unblocked: AtomicBool,
    left: AtomicBool,
}

impl Seat {
    pub(super) fn client(&self) -> i64 {
        self.client.load(Acquire)
    }

    pub(super) fn sit(&self, client: i64) {
        self.client.store(client, Release);
    }

    pub(super) fn is_unblocked(&self) -> bool {
        self.unblocked.load(Acquire)
    }

    /// Whether the read has ended.
    pub(super) fn has_left(&self) -> bool {
        self.left.load(Acquire)
    }
}

/// A seat that is given up on drop.
pub(super) struct Seated<'a> {
    readers: &'a Readers,
    reader: &'a str,
    pub(super) seat: Arc<Seat>,
}

impl Readers {
    /// Registers a read before it blocks, for as long as it lasts.
    pub(super) fn enter<'a>(&'a self, reader: &'a str) -> Seated<'a> {
        let mut state = self.0.lock();
        let unblocked = AtomicBool::new(take_permit(&mut state.permits, reader));
        let seat = Seat { client: AtomicI64::new(0), unblocked, left: AtomicBool::new(false) };
        let seat = Arc::new(seat);
        state.blocked.entry(reader.to_owned()).or_default().push(Arc::clone(&seat));
        Seated { readers: self, reader, seat }
    }

    /// Marks the reader's blocked reads and returns them; leaves a permit when there are none.
    pub(super) fn unblock(&self, reader: &str) -> Vec<Arc<Seat>> {
        let mut state = self.0.lock();
        if let Some(blocked) = state.blocked.get(reader) {
            for seat in blocked {
                seat.unblocked.store(true, Release);
            }
            return blocked.clone();
        }
        if !state.permits.iter().any(|name| name == reader) {
            if state.permits.len() == PERMITS_MAX {
                state.permits.pop_front();
            }
            state.permits.push_back(reader.to_owned());
        }
        Vec::new()
    }
}

impl Drop for Seated<'_> {
    fn drop(&mut self) {
        self.seat.left.store(true, Release);
        let mut state = self.readers.0.lock();
        if let Some(blocked) = state.blocked.get_mut(self.reader) {
            blocked.retain(|seat| !Arc::ptr_eq(seat, &self.seat));
            if blocked.is_empty() {
                state.blocked.remove(self.reader);
            }
        }
    }
}

fn take_permit(permits: &mut VecDeque<String>, reader: &str) -> bool {
    let at = permits.iter().position(|name| name == reader);
    at.and_then(|at| permits.remove(at)).is_some()
}
