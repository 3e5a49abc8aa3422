use std::{
    any::Any,
    cell::RefCell,
    rc::Rc,
    task::{Context, Poll},
};

use super::{
    tasks::{Panic, Tasks},
    watch::Watching,
};
use crate::id::ActorId;

/// What an actor has beside its handlers: the futures that it spawned and the actors that it
/// watches.
///
/// Most actors have nothing of that. Who does shares it between its context, which adds to it while
/// a handler has it, and its cell, which polls it at each of its polls, also while a handler awaits.
pub(super) struct Beside<I: Send + 'static> {
    pub(super) tasks: Tasks,
    /// Outlives a restart.
    pub(super) watching: RefCell<Option<Box<Watching<I>>>>,
}

thread_local! {
    /// What contexts made and their cells have not taken yet.
    static MADE: RefCell<Vec<(ActorId, Rc<dyn Any>)>> = const { RefCell::new(Vec::new()) };
}

impl<I: Send + 'static> Beside<I> {
    /// Makes it for an actor that is being polled; its cell finds it after that poll.
    pub(super) fn make(id: ActorId) -> Rc<Self> {
        let beside = Rc::new(Self { tasks: Tasks::default(), watching: RefCell::new(None) });
        MADE.with_borrow_mut(|made| made.push((id, beside.clone())));
        beside
    }

    /// Takes what the actor's context has made.
    pub(super) fn take(id: ActorId) -> Option<Rc<Self>> {
        let made = MADE.with_borrow_mut(|made| {
            let at = made.iter().position(|(made_for, _)| *made_for == id)?;
            Some(made.swap_remove(at).1)
        });
        made?.downcast().ok()
    }

    /// Polls what was spawned. A panic in it is one of the actor.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Panic> {
        match self.tasks.poll(cx) {
            Ok(()) => Poll::Pending,
            Err(panic) => Poll::Ready(panic),
        }
    }
}
