use std::{
    any::{Any, TypeId},
    fmt,
    marker::PhantomData,
};

use super::{
    Handler, Handlers, WireFns,
    older::{self, Itself, OlderRows, Upward},
    wire::EncodeOutcome,
};
use crate::{
    address::{Addr, LocalAsk},
    bus::codec::{Codec, CodecError},
    message::{Envelope, Message, ReplyTo, Wire},
};

/// From where a handler can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// From any process of the cluster.
    Remote,
    /// From its own process.
    Local,
}

/// One version of a message that a handler of an actor takes, as the service layer sees it.
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
    fn asker(&self, addr: &Addr<A>) -> Option<Box<dyn Any + Send + Sync>>;
    fn older(&self, method: &'static str) -> Vec<HandlerRow<A>>;
}

struct Typed<M: Message>(Option<WireFns<M>>);

/// An older version of `M`, which becomes `M` as it is decoded.
struct Replaced<M, Way>(PhantomData<fn(Way) -> M>);

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

    fn asker(&self, addr: &Addr<A>) -> Option<Box<dyn Any + Send + Sync>> {
        let asker: Box<dyn LocalAsk<M>> = Box::new(addr.clone());
        Some(Box::new(asker))
    }

    fn older(&self, method: &'static str) -> Vec<HandlerRow<A>> {
        let mut rows = Vec::new();
        if self.0.is_some() {
            let way = PhantomData::<fn(M) -> Itself>;
            M::__older(&mut OlderRows { method, rows: &mut rows, way });
        }
        rows
    }
}

impl<A: Handler<M>, M: Message, Way: Upward<M, Old: Wire>> RowOps<A> for Replaced<M, Way> {
    fn access(&self) -> Access {
        Access::Remote
    }

    fn decode(&self, codec: Codec, bytes: &[u8]) -> Result<A::Inbox, CodecError> {
        let message = older::decode::<M, Way>(codec, bytes)?;
        Ok(A::__wrap(Envelope { message, reply: ReplyTo::NOBODY }))
    }

    fn encode_outcome(&self) -> Option<EncodeOutcome> {
        Some(older::encode_outcome::<M, Way>())
    }

    // A message that was not taken could not be handed back: it has become another.
    fn asker(&self, _: &Addr<A>) -> Option<Box<dyn Any + Send + Sync>> {
        None
    }

    fn older(&self, _: &'static str) -> Vec<HandlerRow<A>> {
        Vec::new()
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

    /// The row of an older version of `M`.
    pub(super) fn older<M: Message, Way: Upward<M, Old: Wire>>(method: &'static str) -> Self
    where
        A: Handler<M>,
    {
        Self {
            method,
            message: <Way::Old as Message>::NAME,
            version: <Way::Old as Message>::VERSION,
            type_id: TypeId::of::<Way::Old>(),
            ops: Box::new(Replaced::<M, Way>(PhantomData)),
        }
    }

    /// The rows of the older versions that its message takes the place of, if it can be called from
    /// another process.
    pub(crate) fn older_versions(&self) -> Vec<Self> {
        self.ops.older(self.method)
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

    /// The actor as a `Box<dyn LocalAsk<M>>` of this row's message; none for an older version, which
    /// goes the way of messages from other processes.
    pub(crate) fn asker(&self, addr: &Addr<A>) -> Option<Box<dyn Any + Send + Sync>> {
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
