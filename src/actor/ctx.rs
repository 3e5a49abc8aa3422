use std::{fmt, rc::Rc, sync::Arc};

use tokio::time::Instant;

use super::{
    Handlers, Replying, Shared, StopReason, boxed::Received, tasks::Tasks, ticks::Ticks,
    watch::Watching,
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
    received: Option<Received>,
    /// Wire name of the message in hand, for the log.
    in_hand: &'static str,
    pub(super) ticks: Option<Box<Ticks>>,
    /// Beside the context, as the cell polls them while a handler has it.
    tasks: Rc<Tasks>,
    pub(super) watching: Option<Box<Watching<A::Inbox>>>,
}

impl<A: Handlers> Ctx<A> {
    pub(super) fn new(shared: Arc<Shared<A::Inbox>>, tasks: Rc<Tasks>) -> Self {
        Self { shared, received: None, in_hand: "", ticks: None, tasks, watching: None }
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

    pub(super) fn tasks(&self) -> &Rc<Tasks> {
        &self.tasks
    }

    pub(super) fn in_hand(&self) -> &'static str {
        self.in_hand
    }

    pub(crate) fn take_received(&mut self) -> Option<Received> {
        self.received.take()
    }

    /// Takes a message from another process out of its wrapping.
    #[doc(hidden)]
    // It is boxed in the enum; unboxing it at the caller would move it twice.
    #[allow(clippy::boxed_local)]
    pub fn receive(&mut self, envelope: Box<super::RemoteEnvelope<A::Inbox>>) -> A::Inbox {
        let super::RemoteEnvelope { inbox, delivery } = *envelope;
        self.received = Some(delivery);
        inbox
    }

    /// Begins the handling of a message; nothing when its sender has given up.
    #[doc(hidden)]
    #[inline]
    pub fn open<M: Message>(&mut self, envelope: Envelope<M>) -> Option<(M, Replying<M>)> {
        let Envelope { message, mut reply } = envelope;
        self.in_hand = M::NAME;
        if reply.is_abandoned() || (self.received.is_some() && !self.begin_received()) {
            return None;
        }
        Some((message, Replying::new(reply.take())))
    }

    /// Notes that a handler begins; false when its sender took the message back, or it is late.
    #[cold]
    fn begin_received(&mut self) -> bool {
        let Some(mut received) = self.received.take() else { return true };
        if received.delivery.is_cancelled() {
            received.delivery.conclude(Conclusion::Cancelled);
            return false;
        }
        let now = Instant::now();
        if let Some(deadline) = received.deadline.filter(|deadline| *deadline <= now) {
            let after = now - deadline;
            let failure = FailureKind::DeadlinePassed { after };
            let failure = Failure::with_delivery(failure, Delivery::NotDelivered);
            received.delivery.conclude(Conclusion::NotTaken(failure));
            return false;
        }
        received.delivery.begin();
        self.received = Some(received);
        true
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
