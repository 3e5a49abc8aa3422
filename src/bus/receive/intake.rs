use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::{
    bus::{
        codec::Codec,
        frame::{Kind, Trace, Waiting},
    },
    error::Failure,
    id::{ActorId, Incarnation},
    log::EntryId,
    message::{Place, RemoteDelivery},
};

/// A message that came from another process.
#[derive(Debug)]
pub struct Incoming {
    /// [`Kind::Tell`], [`Kind::Ask`] or [`Kind::Publish`].
    pub kind: Kind,
    /// Its wire name.
    pub name: Arc<str>,
    /// The version of its form.
    pub version: u32,
    /// The topic of a publish.
    pub topic: Option<Arc<str>>,
    /// How the body is encoded.
    pub codec: Codec,
    /// The body.
    pub body: Bytes,
    /// The actor it is for; none for the service.
    pub target: Option<ActorId>,
    /// Hash of the partition key.
    pub key_hash: Option<u64>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// When it is worthless. Conclude it as not taken with `DeadlinePassed` then.
    pub deadline: Option<Instant>,
    /// Who sent it.
    pub sender: Incarnation,
    /// The entry that it was first in.
    pub origin: EntryId,
    /// Its trace.
    pub trace: Option<Trace>,
    /// The actors that wait for it, the first asker first.
    pub chain: Vec<Waiting>,
    /// The way back: whoever takes the message concludes it.
    pub delivery: RemoteDelivery,
    /// Room that was granted to it, or will be.
    pub(crate) place: Option<Place>,
}

/// What became of an offered message.
pub enum Offered {
    /// It was taken; its delivery will be concluded.
    Taken,
    /// There is no room. It comes back, with a future that ends when it makes sense to offer it
    /// again.
    Full {
        /// The message.
        message: Box<Incoming>,
        /// Ends when there may be room.
        room: BoxFuture<'static, ()>,
    },
    /// It will not be taken here.
    Refused {
        /// The message.
        message: Box<Incoming>,
        /// Why.
        failure: Failure,
    },
}

impl fmt::Debug for Offered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Taken => "Taken",
            Self::Full { .. } => "Full",
            Self::Refused { .. } => "Refused",
        })
    }
}

/// Where received messages go.
///
/// # Contract
/// `offer` runs on the I/O runtime and must not block. It must take the messages of one sender in
/// the order in which they are offered.
pub trait Intake: Send + Sync + 'static {
    /// Takes the message, or gives it back.
    fn offer(&self, message: Incoming) -> Offered;
}
