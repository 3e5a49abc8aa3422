use std::{any::Any, fmt, future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;

use super::{Ctx, Handler, Handlers};
use crate::{
    bus::codec::{Codec, CodecError},
    error::Failure,
    message::{Conclusion, Content, Envelope, Message, RemoteDelivery},
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

/// What an actor needs to take messages from other processes: its handlers, and the process that
/// decodes and encodes for it.
pub(crate) trait RemoteSide<I>: EncodesOutcomes {
    /// Decodes a message for the handler with this place in the table.
    fn decode(&self, row: u16, codec: Codec, body: &[u8]) -> Result<I, Failure>;
}

/// The part of [`RemoteSide`] that replies need.
pub(crate) trait EncodesOutcomes: Send + Sync {
    /// Encodes the outcome of the handler with this place in the table; behind `Any` is the `Option`
    /// of it, which may be empty afterwards.
    fn encode(
        &self,
        row: u16,
        codec: Codec,
        outcome: &mut dyn Any,
        into: &mut Vec<u8>,
    ) -> Result<(), CodecError>;
}

/// The way back of a message from another process, with what encodes its outcome.
pub(super) struct Received {
    /// Where the end is told.
    pub(super) delivery: RemoteDelivery,
    /// None where the message wants no reply.
    pub(super) side: Option<Arc<dyn EncodesOutcomes>>,
}

impl Received {
    /// Says that a handler ran to its end.
    pub(super) fn handled<M: Message>(self, outcome: M::Outcome) {
        let failure = M::is_failure(&outcome);
        let reply = self.side.as_ref().and_then(|side| self.encode(&**side, Some(outcome)));
        self.delivery.conclude(Conclusion::Handled { reply, failure });
    }

    fn encode<O: 'static>(
        &self,
        side: &dyn EncodesOutcomes,
        mut outcome: Option<O>,
    ) -> Option<Bytes> {
        let codec = codec_of(self.delivery.content()?);
        let mut bytes = Vec::new();
        match side.encode(self.delivery.row(), codec, &mut outcome, &mut bytes) {
            Ok(()) => Some(bytes.into()),
            Err(error) => {
                tracing::error!(%error, "a reply can't be encoded; its asker is told that there is none");
                None
            }
        }
    }
}

/// The codec of a message whose frame was checked when it was read.
pub(super) fn codec_of(content: Content<'_>) -> Codec {
    Codec::from_byte(content.codec).unwrap_or_default()
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").field("delivery", &self.delivery).finish_non_exhaustive()
    }
}
