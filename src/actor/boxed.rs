use std::{fmt, future::Future, pin::Pin};

use bytes::Bytes;
use tokio::time::Instant;

use super::{Ctx, Handler, Handlers, wire::EncodeOutcome};
use crate::{
    address::{CodecContext, with_context},
    bus::codec::Codec,
    message::{Conclusion, Envelope, Message, RemoteDelivery},
};

/// A message whose handler stands outside the `#[handlers]` block, with its type hidden.
pub trait BoxedEnvelope<A: Handlers>: Send {
    /// Runs the handler.
    fn handle<'a>(
        self: Box<Self>,
        actor: &'a mut A,
        ctx: &'a mut Ctx<A>,
    ) -> Pin<Box<dyn Future<Output = ()> + 'a>>;
}

impl<A: Handler<M>, M: Message> BoxedEnvelope<A> for Envelope<M> {
    fn handle<'a>(
        self: Box<Self>,
        actor: &'a mut A,
        ctx: &'a mut Ctx<A>,
    ) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        ctx.note_foreign::<M>();
        Box::pin(async move {
            if let Some((message, replying)) = ctx.open(*self) {
                let outcome = actor.handle(message, ctx).await;
                replying.finish(ctx, outcome);
            }
        })
    }
}

/// A message from another process: one of the actor's own messages with its way back.
pub struct RemoteEnvelope<I> {
    /// The decoded message until it is handled; nobody waits in it, the way back is `delivery`.
    pub inbox: Option<I>,
    /// The way back.
    pub delivery: Received,
}

impl<I> fmt::Debug for RemoteEnvelope<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteEnvelope").field("delivery", &self.delivery).finish_non_exhaustive()
    }
}

/// The way back of a message from another process, with what is needed to encode its outcome.
pub struct Received {
    /// When the message is worthless.
    pub deadline: Option<Instant>,
    /// Where the end is told.
    pub delivery: RemoteDelivery,
    /// The encoding that the sender chose.
    pub codec: Codec,
    /// Encodes the outcome.
    pub encode_outcome: EncodeOutcome,
    /// The process that encodes it.
    pub(crate) context: CodecContext,
}

impl Received {
    /// Says that a handler ran to its end.
    pub(super) fn handled<M: Message>(self, outcome: &M::Outcome) {
        let reply = self.delivery.wants_reply().then(|| self.encode(outcome)).flatten();
        let failure = M::is_failure(outcome);
        self.delivery.conclude(Conclusion::Handled { reply, failure });
    }

    fn encode<O: 'static>(&self, outcome: &O) -> Option<Bytes> {
        let mut bytes = Vec::new();
        let encoded =
            with_context(&self.context, || (self.encode_outcome)(self.codec, outcome, &mut bytes));
        match encoded {
            Ok(()) => Some(bytes.into()),
            Err(error) => {
                tracing::error!(%error, "a reply can't be encoded; its asker is told that there is none");
                None
            }
        }
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").field("delivery", &self.delivery).finish_non_exhaustive()
    }
}
