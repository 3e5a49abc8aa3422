//! What generated code names. Not part of the public interface.
pub use crate::{
    actor::{
        Access, Actor, ActorOptions, BoxedEnvelope, Ctx, EncodeOutcome, HandledBy, Handler,
        HandlerRow, Handlers, Pack, Packed, Packing, Probe, Received, RemoteEnvelope, Reply,
        Replying, RestartWhen, StopReason, Tick, TopicRow, ViaLocal, ViaWire, WireFns, WireFor,
        is_large,
    },
    address::{Addr, Recipient, RemoteMessage, RemoteReply, RemoteSink},
    error::BoxError,
    mailbox::Overflow,
    message::{
        Conclusion, DeliverySink, Envelope, Message, NoReply, RemoteDelivery, ReplyTo, Wire,
    },
    service::Serves,
};
pub use std;

pub use crate::system::entry::*;
