//! The actors of this process that can be reached from others, and those that were.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::LocalActor;
use crate::{
    bus::{Incoming, Intake, Offered, frame::Kind},
    error::{Failure, FailureKind},
    id::ActorId,
};

/// How long it is remembered that an instance has left: as long as its `bye` stands.
const MOVED_KEPT: Duration = Duration::from_secs(60);

/// Takes what comes to this process for one of its actors.
#[derive(Default)]
pub(super) struct Admitted {
    places: RwLock<FxHashMap<ActorId, Place>>,
}

enum Place {
    Here {
        actor: Arc<dyn LocalActor>,
        /// Whether anything ever came for it.
        called: AtomicBool,
        /// Its service has left: asks are to go to another instance.
        departed: bool,
    },
    /// It was an instance of a service and ended at that time.
    Left(Instant),
}

impl Admitted {
    pub(super) fn contains(&self, id: ActorId) -> bool {
        self.get(id).is_some()
    }

    pub(super) fn get(&self, id: ActorId) -> Option<Arc<dyn LocalActor>> {
        match self.places.read().get(&id)? {
            Place::Here { actor, .. } => Some(actor.clone()),
            Place::Left(_) => None,
        }
    }

    /// Makes an actor reachable by its identity.
    pub(super) fn admit(&self, actor: Arc<dyn LocalActor>) {
        let (called, departed) = (AtomicBool::new(false), false);
        self.places.write().insert(actor.id(), Place::Here { actor, called, departed });
    }

    /// The actor is reachable no more.
    pub(super) fn dismiss(&self, id: ActorId) {
        self.places.write().remove(&id);
    }

    /// From now on asks for the actor are answered `moved`.
    pub(super) fn depart(&self, id: ActorId) {
        if let Some(Place::Here { departed, .. }) = self.places.write().get_mut(&id) {
            *departed = true;
        }
    }

    /// An instance has ended: who still asks for it is told to ask another.
    pub(super) fn retire(&self, id: ActorId, now: Instant) {
        let mut places = self.places.write();
        places.retain(|_, place| match place {
            Place::Here { .. } => true,
            Place::Left(when) => now.duration_since(*when) < MOVED_KEPT,
        });
        places.insert(id, Place::Left(now));
    }

    /// Whether anything ever came for the actor from outside.
    pub(super) fn was_called(&self, id: ActorId) -> bool {
        match self.places.read().get(&id) {
            Some(Place::Here { called, .. }) => called.load(Relaxed),
            _ => false,
        }
    }

    fn find(&self, target: Option<ActorId>, kind: Kind) -> Result<Arc<dyn LocalActor>, Failure> {
        let Some(target) = target else {
            return Err(stopped("nobody in particular".to_owned()));
        };
        match self.places.read().get(&target) {
            Some(Place::Here { departed: true, .. }) if kind == Kind::Ask => Err(moved(target)),
            Some(Place::Here { actor, called, .. }) => {
                called.store(true, Relaxed);
                Ok(actor.clone())
            }
            Some(Place::Left(_)) => Err(moved(target)),
            None => Err(stopped(format!("actor {target}"))),
        }
    }

    pub(super) fn clear(&self) {
        self.places.write().clear();
    }
}

impl Intake for Admitted {
    fn offer(&self, message: Incoming) -> Offered {
        match self.find(message.target, message.kind) {
            // Outside the lock: decoding runs the user's code.
            Ok(actor) => actor.offer(message),
            Err(failure) => Offered::Refused { message: Box::new(message), failure },
        }
    }
}

fn moved(target: ActorId) -> Failure {
    FailureKind::Moved { actor: format!("actor {target}") }.into()
}

fn stopped(actor: String) -> Failure {
    FailureKind::Stopped { actor }.into()
}
