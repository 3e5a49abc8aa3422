use std::{
    fmt,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::{Terminated, notices::Notices};
use crate::{
    actor::{Shared, StopReason},
    id::ActorId,
};

/// Those who are to hear of an actor's end. One word while there are none.
#[derive(Default)]
pub(in crate::actor) struct Ties(Mutex<State>);

enum State {
    Open(Option<Box<Lists>>),
    /// They were told; who comes now is told at once.
    Told,
}

#[derive(Default)]
struct Lists {
    watchers: FxHashMap<ActorId, Arc<Notices>>,
    linked: FxHashMap<ActorId, Weak<dyn Tied>>,
}

/// That an actor has ended, so that nobody can be noted any more.
pub(super) struct HasEnded;

impl Ties {
    pub(super) fn add_watcher(&self, id: ActorId, notices: Arc<Notices>) -> Result<(), HasEnded> {
        self.with_lists(|lists| lists.watchers.insert(id, notices)).map(drop)
    }

    pub(super) fn remove_watcher(&self, id: ActorId) {
        let State::Open(Some(lists)) = &mut *self.0.lock() else { return };
        // The watcher that asks holds its notices too: nothing is dropped under the lock.
        lists.watchers.remove(&id);
    }

    pub(super) fn add_link(&self, id: ActorId, other: Weak<dyn Tied>) -> Result<(), HasEnded> {
        self.with_lists(|lists| lists.linked.insert(id, other)).map(drop)
    }

    pub(super) fn remove_link(&self, id: ActorId) {
        let removed = match &mut *self.0.lock() {
            State::Open(Some(lists)) => lists.linked.remove(&id),
            _ => None,
        };
        drop(removed);
    }

    fn with_lists<T>(&self, change: impl FnOnce(&mut Lists) -> T) -> Result<T, HasEnded> {
        match &mut *self.0.lock() {
            State::Open(lists) => Ok(change(lists.get_or_insert_default())),
            State::Told => Err(HasEnded),
        }
    }

    /// Takes the lists out; from here on nobody can be noted.
    fn close(&self) -> Option<Box<Lists>> {
        match std::mem::replace(&mut *self.0.lock(), State::Told) {
            State::Open(lists) => lists,
            State::Told => None,
        }
    }

    #[cfg(all(test, feature = "macros"))]
    pub(super) fn counts(&self) -> (usize, usize) {
        match &*self.0.lock() {
            State::Open(Some(lists)) => (lists.watchers.len(), lists.linked.len()),
            _ => (0, 0),
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self::Open(None)
    }
}

impl fmt::Debug for Ties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ties").finish_non_exhaustive()
    }
}

/// An actor as those see it who are tied to it, whatever its messages are.
pub(super) trait Tied: Send + Sync {
    fn ties(&self) -> &Ties;

    /// Why it has ended for good, in the form in which watchers are told.
    fn terminated(&self) -> Option<Terminated>;

    /// An actor that it is linked to has failed.
    fn stop_with(&self, other: &Terminated);
}

impl<I: Send + 'static> Tied for Shared<I> {
    fn ties(&self) -> &Ties {
        &self.ties
    }

    fn terminated(&self) -> Option<Terminated> {
        let reason = self.control.ended()?;
        Some(Terminated { id: self.id(), name: self.name().to_owned(), reason })
    }

    fn stop_with(&self, other: &Terminated) {
        let name = other.name.clone();
        self.request_stop(StopReason::Linked { name, reason: other.reason.to_string() }, None);
    }
}

impl<I: Send + 'static> Shared<I> {
    /// Tells those who watch this actor, or are linked to it. Must be called once the reason of its
    /// end stands.
    pub(in crate::actor) fn tell_of_end(&self) {
        let Some(lists) = self.ties.close() else { return };
        let Some(terminated) = self.terminated() else {
            debug_assert!(false, "the end is told when its reason stands");
            return;
        };
        let Lists { watchers, linked } = *lists;
        for notices in watchers.into_values() {
            notices.put(&terminated);
        }
        for other in linked.into_values().filter_map(|other| other.upgrade()) {
            other.ties().remove_link(self.id());
            if terminated.reason.is_failure() {
                other.stop_with(&terminated);
            }
        }
    }
}
