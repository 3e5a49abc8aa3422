//! What generated code names. Not part of the public interface.
pub use crate::{
    actor::{
        Access, Actor, ActorOptions, BoxedEnvelope, Ctx, EncodeOutcome, EventReply, HandledBy,
        Handler, HandlerRow, Handlers, OutcomeOf, Pack, Packed, Packing, Probe, Reply, Replying,
        RestartWhen, Started, StopReason, Tick, TopicRow, ViaLocal, ViaWire, WireFns, WireFor,
        assert_wire_name_is_free, event_name, is_large, returned, returned_future, started,
    },
    address::{Addr, Recipient, RemoteMessage, RemoteReply, RemoteSink},
    error::BoxError,
    mailbox::Overflow,
    message::{
        AnswersAs, Becomes, Conclusion, Content, DeliverySink, Envelope, Message, NoReply, Older,
        OlderVisitor, OutcomeOfParts, RemoteDelivery, RemoteFrame, Replaces, ReplyTo, Shown,
        ViaDebug, ViaName, Wire, assert_is_older, downgraded, upgraded,
    },
    service::Serves,
};
pub use std;

pub use crate::system::entry::*;
