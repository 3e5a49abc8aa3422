use std::{
    any::{Any, TypeId},
    fmt,
};

use super::{Handler, Handlers, WireFns, wire::EncodeOutcome};
use crate::{
    address::{Addr, LocalAsk},
    bus::codec::{Codec, CodecError},
    message::{Envelope, Message, ReplyTo},
};

/// From where a handler can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// From any process of the cluster.
    Remote,
    /// From its own process.
    Local,
}

/// One handler of an actor, as the service layer sees it.
pub struct HandlerRow<A: Handlers> {
    /// The method.
    pub method: &'static str,
    /// Wire name of its message.
    pub message: &'static str,
    /// Version of its message.
    pub version: u32,
    /// The message's type.
    pub type_id: TypeId,
    ops: Box<dyn RowOps<A>>,
}

trait RowOps<A: Handlers>: Send + Sync {
    fn access(&self) -> Access;
    fn decode(&self, codec: Codec, bytes: &[u8]) -> Result<A::Inbox, CodecError>;
    fn encode_outcome(&self) -> Option<EncodeOutcome>;
    fn asker(&self, addr: &Addr<A>) -> Box<dyn Any + Send + Sync>;
}

struct Typed<M: Message>(Option<WireFns<M>>);

impl<A: Handler<M>, M: Message> RowOps<A> for Typed<M> {
    fn access(&self) -> Access {
        if self.0.is_some() { Access::Remote } else { Access::Local }
    }

    fn decode(&self, codec: Codec, bytes: &[u8]) -> Result<A::Inbox, CodecError> {
        let wire = self.0.ok_or_else(|| {
            CodecError::Decode(format!("{} is handled for senders in its process only", M::NAME))
        })?;
        let message = (wire.decode)(codec, bytes)?;
        Ok(A::__wrap(Envelope { message, reply: ReplyTo::NOBODY }))
    }

    fn encode_outcome(&self) -> Option<EncodeOutcome> {
        self.0.map(|wire| wire.encode_outcome)
    }

    fn asker(&self, addr: &Addr<A>) -> Box<dyn Any + Send + Sync> {
        let asker: Box<dyn LocalAsk<M>> = Box::new(addr.clone());
        Box::new(asker)
    }
}

impl<A: Handlers> HandlerRow<A> {
    /// The row of the method that handles `M`.
    pub fn new<M: Message>(method: &'static str, wire: Option<WireFns<M>>) -> Self
    where
        A: Handler<M>,
    {
        Self {
            method,
            message: M::NAME,
            version: M::VERSION,
            type_id: TypeId::of::<M>(),
            ops: Box::new(Typed(wire)),
        }
    }

    /// From where it can be called.
    pub fn access(&self) -> Access {
        self.ops.access()
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// [`CodecError`] when the bytes are not that message, or the handler is local.
    pub fn decode(&self, codec: Codec, bytes: &[u8]) -> Result<A::Inbox, CodecError> {
        self.ops.decode(codec, bytes)
    }

    /// How its outcome is encoded, if it can be called from another process.
    pub fn encode_outcome(&self) -> Option<EncodeOutcome> {
        self.ops.encode_outcome()
    }

    /// The actor as a `Box<dyn LocalAsk<M>>` of this row's message.
    pub(crate) fn asker(&self, addr: &Addr<A>) -> Box<dyn Any + Send + Sync> {
        self.ops.asker(addr)
    }
}

impl<A: Handlers> fmt::Debug for HandlerRow<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerRow")
            .field("method", &self.method)
            .field("message", &self.message)
            .field("version", &self.version)
            .field("access", &self.access())
            .finish()
    }
}

/// One subscription of an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicRow {
    /// The topic.
    pub topic: &'static str,
    /// Wire name of the event.
    pub message: &'static str,
    /// Whether every instance of a service gets a copy, or one of them.
    pub each: bool,
}
