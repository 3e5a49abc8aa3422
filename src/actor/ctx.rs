use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
};

use tokio::time::Instant;

use super::{
    Handlers, Replying, Shared, StopReason,
    beside::Beside,
    boxed::{EncodesOutcomes, Received, codec_of},
    core::name_hash,
    reply::Owed,
    ticks::Ticks,
};
use crate::{
    address::Addr,
    error::{Delivery, Failure, FailureKind},
    id::ActorId,
    message::{Conclusion, Envelope, HandledRun, Message, RemoteDelivery},
};

/// What a handler knows of the actor that it belongs to.
pub struct Ctx<A: Handlers> {
    shared: Arc<Shared<A::Inbox>>,
    /// The way back of the message in hand, when it came from another process.
    received: Option<RemoteDelivery>,
    /// What was handled of messages from other processes and is not concluded yet.
    handled: HandledRun,
    pub(super) ticks: Option<Box<Ticks>>,
    beside: Option<Rc<Beside<A::Inbox>>>,
}

impl<A: Handlers> Ctx<A> {
    pub(super) fn new(shared: Arc<Shared<A::Inbox>>, beside: Option<Rc<Beside<A::Inbox>>>) -> Self {
        Self { shared, received: None, handled: HandledRun::default(), ticks: None, beside }
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

    pub(super) fn take_received(&mut self) -> Option<Received> {
        let delivery = self.received.take()?;
        let side = match delivery.wants_reply() {
            true => self.shared.remote_side().map(|side| side.clone() as Arc<dyn EncodesOutcomes>),
            false => None,
        };
        Some(Received { delivery, side })
    }

    /// Concludes the message in hand, if it came from another process.
    #[inline]
    pub(super) fn conclude_received<M: Message>(&mut self, outcome: M::Outcome) {
        let Some(delivery) = self.received.take() else { return };
        if delivery.wants_reply() || M::is_failure(&outcome) {
            self.received = Some(delivery);
            if let Some(received) = self.take_received() {
                received.handled::<M>(outcome);
            }
        } else {
            self.handled.add(delivery);
        }
    }

    /// Concludes what was handled: before anything is awaited, and at the end of a turn.
    #[inline]
    pub(super) fn flush_handled(&mut self) {
        self.handled.flush();
    }

    /// Drops the way back of the message in hand, if it came from another process.
    pub(crate) fn drop_received(&mut self) {
        self.received = None;
    }

    /// Decodes a message from another process; nothing when its sender took it back, it is late, or it
    /// can't be decoded: it is concluded then.
    #[doc(hidden)]
    pub fn receive(&mut self, mut delivery: RemoteDelivery) -> Option<A::Inbox> {
        if delivery.is_cancelled() {
            delivery.conclude(Conclusion::Cancelled);
            return None;
        }
        let late = delivery.deadline().map(|deadline| (deadline, Instant::now()));
        if let Some((deadline, now)) = late.filter(|(deadline, now)| deadline <= now) {
            let failure = FailureKind::DeadlinePassed { after: now - deadline };
            let failure = Failure::with_delivery(failure, Delivery::NotDelivered);
            delivery.conclude(Conclusion::NotTaken(failure));
            return None;
        }
        match self.decode(&delivery) {
            Ok(inbox) => {
                delivery.begin();
                self.received = Some(delivery);
                Some(inbox)
            }
            Err(conclusion) => {
                delivery.conclude(conclusion);
                None
            }
        }
    }

    /// The user's `Deserialize` runs here: one that panics costs its message, not the actor.
    fn decode(&self, delivery: &RemoteDelivery) -> Result<A::Inbox, Conclusion> {
        let (Some(content), Some(side)) = (delivery.content(), self.shared.remote_side()) else {
            return Err(Conclusion::NotTaken(self.shared.stopped_failure()));
        };
        let decode = || side.decode(delivery.row(), codec_of(content), content.body);
        match catch_unwind(AssertUnwindSafe(decode)) {
            Ok(decoded) => decoded.map_err(Conclusion::NotTaken),
            Err(_) => {
                tracing::error!(actor = self.name(), "the decoding of a message panicked");
                Err(Conclusion::Panicked)
            }
        }
    }

    /// Begins the handling of a message; nothing when its sender has given up.
    #[doc(hidden)]
    #[inline]
    pub fn open<M: Message>(&mut self, envelope: Envelope<M>) -> Option<(M, Replying<M>)> {
        let Envelope { message, reply } = envelope;
        self.shared.core.take_in_hand(const { name_hash(M::NAME) });
        if reply.is_abandoned() {
            return None;
        }
        Some((message, Replying::new(reply.into_asker())))
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
