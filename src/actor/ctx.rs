use std::{fmt, rc::Rc, sync::Arc};

use tokio::time::Instant;

use super::{
    Handlers, RemoteEnvelope, Replying, Shared, StopReason, beside::Beside, boxed::Received,
    core::name_hash, reply::Owed, ticks::Ticks,
};
use crate::{
    address::Addr,
    error::{Delivery, Failure, FailureKind},
    id::ActorId,
    message::{Conclusion, Envelope, Message},
};

/// What a handler knows of the actor that it belongs to.
pub struct Ctx<A: Handlers> {
    shared: Arc<Shared<A::Inbox>>,
    /// The way back of the message in hand, when it came from another process.
    received: Option<Box<RemoteEnvelope<A::Inbox>>>,
    pub(super) ticks: Option<Box<Ticks>>,
    beside: Option<Rc<Beside<A::Inbox>>>,
}

impl<A: Handlers> Ctx<A> {
    pub(super) fn new(shared: Arc<Shared<A::Inbox>>, beside: Option<Rc<Beside<A::Inbox>>>) -> Self {
        Self { shared, received: None, ticks: None, beside }
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

    /// What the actor has beside its handlers.
    pub(super) fn beside(&mut self) -> &Rc<Beside<A::Inbox>> {
        let Self { shared, beside, .. } = self;
        beside.get_or_insert_with(|| {
            shared.core.control.note_beside();
            Beside::make(shared.id())
        })
    }

    /// The same, if there is anything.
    pub(super) fn beside_if_any(&self) -> Option<&Rc<Beside<A::Inbox>>> {
        self.beside.as_ref()
    }

    /// Notes that the actor owes a reply beyond its handler.
    pub(super) fn owe_reply(&self) -> Owed {
        Owed::by(self.shared.clone())
    }

    pub(crate) fn take_received(&mut self) -> Option<Received> {
        let RemoteEnvelope { delivery, .. } = *self.received.take()?;
        Some(delivery)
    }

    /// Takes a message from another process out of its wrapping.
    #[doc(hidden)]
    pub fn receive(&mut self, mut envelope: Box<RemoteEnvelope<A::Inbox>>) -> A::Inbox {
        let inbox = envelope.inbox.take().expect("a message is received once");
        self.received = Some(envelope);
        inbox
    }

    /// Begins the handling of a message; nothing when its sender has given up.
    #[doc(hidden)]
    #[inline]
    pub fn open<M: Message>(&mut self, envelope: Envelope<M>) -> Option<(M, Replying<M>)> {
        let Envelope { message, reply } = envelope;
        self.shared.core.take_in_hand(const { name_hash(M::NAME) });
        if reply.is_abandoned() || (self.received.is_some() && !self.begin_received()) {
            return None;
        }
        Some((message, Replying::new(reply.into_asker())))
    }

    /// Notes that a handler begins; false when its sender took the message back, or it is late.
    #[cold]
    fn begin_received(&mut self) -> bool {
        let Some(received) = &mut self.received else { return true };
        let now = Instant::now();
        let passed = received.delivery.deadline.filter(|deadline| *deadline <= now);
        if !received.delivery.delivery.is_cancelled() && passed.is_none() {
            received.delivery.delivery.begin();
            return true;
        }
        let Some(received) = self.take_received() else { return false };
        if received.delivery.is_cancelled() {
            received.delivery.conclude(Conclusion::Cancelled);
        } else if let Some(deadline) = passed {
            let after = now - deadline;
            let failure = FailureKind::DeadlinePassed { after };
            let failure = Failure::with_delivery(failure, Delivery::NotDelivered);
            received.delivery.conclude(Conclusion::NotTaken(failure));
        }
        false
    }

    /// Notes the name of a message whose handler stands outside the block.
    pub(super) fn note_foreign<M: Message>(&self) {
        self.shared.core.control.note_foreign_name(M::NAME);
    }

    /// Names what is in hand when it is not a message.
    #[doc(hidden)]
    pub fn enter(&mut self, what: &'static str) {
        self.shared.core.take_in_hand(name_hash(what));
    }
}

impl<A: Handlers> fmt::Debug for Ctx<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ctx").field("actor", &self.name()).field("id", &self.id()).finish()
    }
}
