use std::{fmt, sync::Arc};

use super::{Ctx, Handlers, boxed::Received};
use crate::{
    host::Resident,
    message::{Conclusion, Message, NoReply},
};

type Asker<M> = oneshot::Sender<Result<<M as Message>::Outcome, NoReply>>;

/// The end of a handling that has begun: finished with the outcome, or dropped by a panic.
///
/// The way back of a message from another process waits in the context meanwhile.
pub struct Replying<M: Message>(Option<Asker<M>>);

impl<M: Message> Replying<M> {
    pub(super) fn new(asker: Option<Asker<M>>) -> Self {
        Self(asker)
    }

    /// Tells whoever waits what the handler returned.
    #[inline]
    pub fn finish<A: Handlers>(mut self, ctx: &mut Ctx<A>, outcome: M::Outcome) {
        let asker = self.0.take();
        // Nothing is left in it to be dropped.
        std::mem::forget(self);
        match asker {
            Some(asker) => crate::message::send(Some(asker), Ok(outcome)),
            None => ctx.conclude_received::<M>(outcome),
        }
    }

    /// Turns it into a reply that outlives the handler.
    pub fn defer<A: Handlers>(mut self, ctx: &mut Ctx<A>) -> Reply<M> {
        let way = match self.0.take() {
            Some(asker) => Way::Asker(asker, ctx.owe_reply()),
            None => match ctx.take_received() {
                Some(received) => Way::Received(received),
                None => Way::Nobody,
            },
        };
        Reply(Some(way))
    }
}

impl<M: Message> Drop for Replying<M> {
    #[inline]
    fn drop(&mut self) {
        if let Some(asker) = self.0.take() {
            crate::message::send(Some(asker), Err(unanswered()));
        }
    }
}

fn unanswered() -> NoReply {
    if std::thread::panicking() { NoReply::Panicked } else { NoReply::Unanswered }
}

impl<M: Message> fmt::Debug for Replying<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Replying").field(&M::NAME).finish()
    }
}

enum Way<M: Message> {
    Nobody,
    // The second part counts as long as it is there.
    Asker(Asker<M>, #[expect(dead_code, reason = "it is there to be dropped")] Owed),
    Received(Received),
}

/// An actor that owes a reply which its handlers do not.
pub(super) struct Owed(Option<Arc<dyn Resident>>);

impl Owed {
    pub(super) fn by(actor: Arc<dyn Resident>) -> Self {
        actor.core().waits.defer();
        Self(Some(actor))
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if let Some(actor) = self.0.take() {
            actor.core().waits.settle_deferred();
        }
    }
}

/// A reply that a handler gives later: `#[handle(defer)] fn f(&mut self, m: M, reply: Reply<M>)`.
///
/// Dropped without [`send`](Self::send), the asker gets
/// [`Unanswered`](crate::FailureKind::Unanswered).
pub struct Reply<M: Message>(Option<Way<M>>);

impl<M: Message> Reply<M> {
    /// Answers. When nobody waits any more the outcome is dropped.
    pub fn send(mut self, outcome: M::Outcome) {
        match self.0.take() {
            Some(Way::Asker(asker, _)) => crate::message::send(Some(asker), Ok(outcome)),
            Some(Way::Received(received)) => received.handled::<M>(outcome),
            Some(Way::Nobody) | None => {}
        }
    }

    /// Whether the asker has given up.
    pub fn is_abandoned(&self) -> bool {
        match &self.0 {
            Some(Way::Asker(asker, _)) => asker.is_closed(),
            Some(Way::Received(received)) => received.delivery.is_cancelled(),
            Some(Way::Nobody) | None => false,
        }
    }

    /// A reply with the end that waits for it, for a handler that is called directly.
    #[doc(hidden)]
    pub fn channel() -> (Self, impl Future<Output = M::Outcome>) {
        let (asker, outcome) = oneshot::async_channel();
        let waiting = async move {
            match outcome.await {
                Ok(Ok(outcome)) => outcome,
                // Nothing can be returned: the caller's own deadline ends this.
                _ => std::future::pending().await,
            }
        };
        (Self(Some(Way::Asker(asker, Owed(None)))), waiting)
    }
}

impl<M: Message> Drop for Reply<M> {
    fn drop(&mut self) {
        match self.0.take() {
            Some(Way::Asker(asker, _)) => crate::message::send(Some(asker), Err(unanswered())),
            Some(Way::Received(received)) => received.delivery.conclude(Conclusion::Abandoned),
            Some(Way::Nobody) | None => {}
        }
    }
}

impl<M: Message> fmt::Debug for Reply<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reply").field(&M::NAME).finish()
    }
}
