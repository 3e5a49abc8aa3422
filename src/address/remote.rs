use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;

use super::CodecContext;
use crate::{
    actor::WireFns,
    bus::codec::Codec,
    error::{Failure, FailureKind},
    id::{ActorId, Incarnation},
    message::Message,
};

/// An encoded message on its way to another process.
#[derive(Debug, Clone)]
pub struct RemoteMessage {
    /// Wire name.
    pub name: &'static str,
    /// Version.
    pub version: u32,
    /// The encoding of `body`.
    pub codec: Codec,
    /// The message.
    pub body: Bytes,
}

impl RemoteMessage {
    /// Encodes a message.
    ///
    /// # Errors
    /// [`FailureKind::Undecodable`] when the message's own `Serialize` fails.
    pub fn encode<M: Message>(wire: WireFns<M>, message: &M) -> Result<Self, Failure> {
        let mut body = Vec::new();
        (wire.encode)(Codec::Bincode, message, &mut body).map_err(|error| {
            Failure::new(FailureKind::Undecodable {
                message: M::NAME.to_owned(),
                version: M::VERSION,
                reason: format!("it can't be encoded: {error}"),
            })
        })?;
        Ok(Self { name: M::NAME, version: M::VERSION, codec: Codec::Bincode, body: body.into() })
    }
}

/// An encoded outcome from another process.
#[derive(Debug, Clone)]
pub struct RemoteReply {
    /// The encoding of `body`.
    pub codec: Codec,
    /// The outcome.
    pub body: Bytes,
}

impl RemoteReply {
    /// Decodes the outcome of `M`.
    ///
    /// # Errors
    /// [`FailureKind::Undecodable`]; the message was handled.
    pub fn decode<M: Message>(&self, wire: WireFns<M>) -> Result<M::Outcome, Failure> {
        (wire.decode_outcome)(self.codec, &self.body).map_err(|error| {
            Failure::with_delivery(
                FailureKind::Undecodable {
                    message: format!("the reply to {}", M::NAME),
                    version: M::VERSION,
                    reason: error.to_string(),
                },
                crate::error::Delivery::Handled,
            )
        })
    }
}

/// An actor in another process, as the layer that can reach it shows it.
pub trait RemoteSink: Send + Sync + 'static {
    /// Which actor it is.
    fn identity(&self) -> (Incarnation, ActorId);
    /// The process that encodes and decodes on this side.
    fn context(&self) -> CodecContext;
    /// Sends and returns as soon as the message is on its way out.
    ///
    /// # Errors
    /// When it is certain that the message was not sent.
    fn try_tell(&self, message: RemoteMessage) -> Result<(), Failure>;
    /// Sends and resolves when the message is stored.
    fn tell(&self, message: RemoteMessage) -> BoxFuture<'static, Result<(), Failure>>;
    /// Sends and resolves with the outcome.
    fn ask(
        &self,
        message: RemoteMessage,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<RemoteReply, Failure>>;
}
