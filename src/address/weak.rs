use std::{
    fmt,
    sync::{Arc, Weak},
};

use super::{Addr, RemoteSink, addr::Place, strong::Strong};
use crate::{
    actor::{ActorState, Handlers, Shared},
    id::{ActorId, Incarnation},
};

/// The address of an actor that does not keep it alive, for one that stops with its last [`Addr`].
/// Cloning it is cheap.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
///
/// #[derive(Actor)]
/// struct Session;
/// #[handlers]
/// impl Session {}
///
/// #[callboard::main]
/// async fn main(system: System) -> callboard::Result<()> {
///     let session = system.actor(|| Session).stop_with_last_address().spawn()?;
///     let weak: WeakAddr<Session> = session.downgrade();
///     assert_eq!(weak.upgrade().as_ref(), Some(&session));
///     drop(session);
///     assert_eq!(weak.upgrade(), None);
///     Ok(())
/// }
/// ```
pub struct WeakAddr<A: Handlers> {
    place: WeakPlace<A::Inbox>,
    id: ActorId,
    name: Arc<str>,
}

enum WeakPlace<I> {
    Here(Weak<Shared<I>>),
    /// An address does not keep an actor of another process alive.
    Elsewhere(Arc<dyn RemoteSink>),
}

impl<A: Handlers> Addr<A> {
    /// The address without what keeps alive an actor that stops with its last address; see
    /// [`Spawn::stop_with_last_address`](crate::Spawn::stop_with_last_address).
    pub fn downgrade(&self) -> WeakAddr<A> {
        let place = match &self.place {
            Place::Here(shared) => WeakPlace::Here(Arc::downgrade(shared)),
            Place::Elsewhere(sink) => WeakPlace::Elsewhere(sink.clone()),
        };
        WeakAddr { place, id: self.id(), name: self.name().into() }
    }
}

impl<A: Handlers> WeakAddr<A> {
    /// The address, unless the actor has ended or is about to because nobody had its address any
    /// more.
    pub fn upgrade(&self) -> Option<Addr<A>> {
        let place = match &self.place {
            WeakPlace::Here(weak) => {
                let strong = Strong::try_new(weak.upgrade()?)?;
                if strong.state() == ActorState::Stopped {
                    return None;
                }
                Place::Here(strong)
            }
            WeakPlace::Elsewhere(sink) => Place::Elsewhere(sink.clone()),
        };
        Some(Addr { place })
    }

    /// The actor's identity within its process.
    pub fn id(&self) -> ActorId {
        self.id
    }

    /// The process that the actor lives in, when that is another one.
    pub fn incarnation(&self) -> Option<Incarnation> {
        match &self.place {
            WeakPlace::Here(_) => None,
            WeakPlace::Elsewhere(sink) => Some(sink.identity().0),
        }
    }

    /// The actor's name, also when it has ended.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl<A: Handlers> Clone for WeakAddr<A> {
    fn clone(&self) -> Self {
        let place = match &self.place {
            WeakPlace::Here(weak) => WeakPlace::Here(weak.clone()),
            WeakPlace::Elsewhere(sink) => WeakPlace::Elsewhere(sink.clone()),
        };
        Self { place, id: self.id, name: self.name.clone() }
    }
}

impl<A: Handlers> PartialEq for WeakAddr<A> {
    fn eq(&self, other: &Self) -> bool {
        (self.incarnation(), self.id) == (other.incarnation(), other.id)
    }
}

impl<A: Handlers> Eq for WeakAddr<A> {}

impl<A: Handlers> fmt::Debug for WeakAddr<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakAddr").field("name", &self.name).field("id", &self.id).finish()
    }
}
