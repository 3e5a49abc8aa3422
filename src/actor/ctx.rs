use std::{fmt, sync::Arc};

use super::{Handlers, Replying, Shared, StopReason, boxed::Incoming, ticks::Ticks};
use crate::{
    address::Addr,
    id::ActorId,
    message::{Conclusion, Envelope, Message},
};

/// What a handler knows of the actor that it belongs to.
pub struct Ctx<A: Handlers> {
    shared: Arc<Shared<A::Inbox>>,
    /// The way back of the message in hand, when it came from another process.
    incoming: Option<Incoming>,
    /// Wire name of the message in hand, for the log.
    in_hand: &'static str,
    pub(super) ticks: Option<Box<Ticks>>,
}

impl<A: Handlers> Ctx<A> {
    pub(super) fn new(shared: Arc<Shared<A::Inbox>>) -> Self {
        Self { shared, incoming: None, in_hand: "", ticks: None }
    }

    /// The actor's own address.
    pub fn addr(&self) -> Addr<A> {
        Addr::from_shared(self.shared.clone())
    }

    /// The actor's identity within its process.
    pub fn id(&self) -> ActorId {
        self.shared.id()
    }

    /// The actor's name.
    pub fn name(&self) -> &str {
        self.shared.name()
    }

    /// Stops the actor once it has handled what it had accepted. Returns at once.
    pub fn stop(&mut self) {
        self.shared.request_stop(StopReason::Finished, None);
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<A::Inbox>> {
        &self.shared
    }

    pub(super) fn in_hand(&self) -> &'static str {
        self.in_hand
    }

    pub(super) fn take_incoming(&mut self) -> Option<Incoming> {
        self.incoming.take()
    }

    /// Takes a message from another process out of its wrapping.
    #[doc(hidden)]
    pub fn receive(&mut self, envelope: Box<super::RemoteEnvelope<A::Inbox>>) -> A::Inbox {
        let super::RemoteEnvelope { inbox, delivery } = *envelope;
        self.incoming = Some(delivery);
        inbox
    }

    /// Begins the handling of a message; nothing when its sender has given up.
    #[doc(hidden)]
    #[inline]
    pub fn open<M: Message>(&mut self, envelope: Envelope<M>) -> Option<(M, Replying<M>)> {
        let Envelope { message, mut reply } = envelope;
        self.in_hand = M::NAME;
        if reply.is_abandoned() || (self.incoming.is_some() && !self.begin_incoming()) {
            return None;
        }
        Some((message, Replying::new(reply.take())))
    }

    #[cold]
    fn begin_incoming(&mut self) -> bool {
        match self.incoming.take() {
            Some(incoming) if incoming.delivery.is_cancelled() => {
                incoming.delivery.conclude(Conclusion::Cancelled);
                false
            }
            Some(mut incoming) => {
                incoming.delivery.begin();
                self.incoming = Some(incoming);
                true
            }
            None => true,
        }
    }

    /// Names what is in hand when it is not a message.
    #[doc(hidden)]
    pub fn enter(&mut self, what: &'static str) {
        self.in_hand = what;
    }
}

impl<A: Handlers> fmt::Debug for Ctx<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ctx").field("actor", &self.name()).field("id", &self.id()).finish()
    }
}
