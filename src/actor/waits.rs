use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use super::Core;
use crate::{
    error::{Failure, FailureKind},
    host::{HostShared, Resident, Slot},
};

/// Actors on the longest chain that is followed.
const CHAIN_MAX: usize = 64;

/// Whom an actor's handler waits for.
///
/// Written by the actor's own thread, read by whoever is about to wait for it. An edge stands only
/// while exactly one ask of the handler is under way: of several it may need any, so they refuse
/// nobody.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    /// The actor that is waited for; zero for none.
    on: AtomicU64,
    /// Where that one lives: host and slot.
    place: AtomicU64,
    /// Asks of the handler that are under way.
    asks: AtomicU32,
    /// Replies that the actor owes and its handlers do not: who waits for one of these does not
    /// wait for its handler.
    deferred: AtomicU32,
}

impl Waits {
    pub(super) fn defer(&self) {
        self.deferred.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn settle_deferred(&self) {
        self.deferred.fetch_sub(1, Ordering::Relaxed);
    }

    /// The handler is over: nobody waits for anything on its behalf.
    #[inline]
    pub(super) fn reset(&self) {
        if self.asks.load(Ordering::Relaxed) != 0 {
            self.asks.store(0, Ordering::Relaxed);
            self.on.store(0, Ordering::Release);
        }
    }
}

impl Core {
    /// Notes that this actor's handler is about to wait for `other`.
    ///
    /// # Errors
    /// [`FailureKind::Cycle`] when that one waits for this.
    pub(crate) fn begin_ask(&self, other: &Self) -> Result<(), Failure> {
        if self.id() == other.id() {
            return Err(cycle(vec![self.name().to_owned(), other.name().to_owned()]));
        }
        let waits = &self.waits;
        let asks = waits.asks.load(Ordering::Relaxed) + 1;
        waits.asks.store(asks, Ordering::Relaxed);
        if asks > 1 {
            waits.on.store(0, Ordering::Release);
            return Ok(());
        }
        waits.place.store(other.place(), Ordering::Relaxed);
        // In one order with those who do the same: of two that would wait for each other, at least
        // one sees the other's edge.
        waits.on.swap(other.id().to_u64(), Ordering::SeqCst);
        if other.waits.on.load(Ordering::SeqCst) == 0 {
            return Ok(());
        }
        match self.follow(other) {
            None => Ok(()),
            Some(path) => {
                self.end_ask();
                Err(cycle(path))
            }
        }
    }

    /// Notes that an ask is over.
    pub(crate) fn end_ask(&self) {
        let asks = self.waits.asks.load(Ordering::Relaxed);
        self.waits.asks.store(asks.saturating_sub(1), Ordering::Relaxed);
        if asks <= 1 {
            self.waits.on.store(0, Ordering::Release);
        }
    }

    /// Runs with the actor that this one's handler waits for, if it waits for exactly one.
    pub(crate) fn awaited<R>(&self, with: impl FnOnce(&Self) -> R) -> Option<R> {
        let (id, place) = self.waits.next()?;
        let resident = resident_at(place)?;
        // The edge may have changed between the two words.
        let core = resident.core();
        (core.id().to_u64() == id).then(|| with(core))
    }

    fn place(&self) -> u64 {
        let slot = self.slot().map_or(u32::MAX, |slot| slot.0);
        self.host().id() << 32 | u64::from(slot)
    }

    /// Follows the edges from `other`; the names on the way when they lead here.
    #[cold]
    fn follow(&self, other: &Self) -> Option<Vec<String>> {
        let mut path = vec![self.name().to_owned(), other.name().to_owned()];
        let (mut next, mut place) = other.waits.next()?;
        for _ in 0..CHAIN_MAX {
            let resident = resident_at(place)?;
            let core = resident.core();
            if core.id().to_u64() != next || core.waits.deferred.load(Ordering::Relaxed) > 0 {
                return None;
            }
            path.push(core.name().to_owned());
            if core.id() == self.id() {
                return Some(path);
            }
            (next, place) = core.waits.next()?;
        }
        None
    }
}

impl Waits {
    fn next(&self) -> Option<(u64, u64)> {
        let on = self.on.load(Ordering::SeqCst);
        (on != 0).then(|| (on, self.place.load(Ordering::Relaxed)))
    }
}

/// Who lives at a place: a host and a slot in it.
fn resident_at(place: u64) -> Option<Arc<dyn Resident>> {
    let slot = Slot(u32::try_from(place & u64::from(u32::MAX)).ok()?);
    HostShared::by_id(place >> 32)?.resident(slot)
}

fn cycle(path: Vec<String>) -> Failure {
    FailureKind::Cycle { path }.into()
}
