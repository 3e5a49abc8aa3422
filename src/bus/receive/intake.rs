use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::{
    bus::{
        codec::Codec,
        frame::{Frame, Kind, Trace, Waiting},
    },
    error::Failure,
    id::{ActorId, Incarnation},
    log::EntryId,
    message::{Place, RemoteDelivery, RemoteFrame},
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

/// Messages of one frame that differ in nothing but their bodies: tells to a service.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    pub(super) remote: &'a Arc<RemoteFrame>,
    pub(super) frame: &'a Frame,
    pub(super) first: u32,
    pub(super) count: u32,
}

impl Run<'_> {
    /// Their wire name.
    pub fn name(&self) -> &str {
        self.frame.shared_name(self.first).map_or("", |name| name)
    }

    /// The version of their form.
    pub fn version(&self) -> u32 {
        self.frame.version(self.first).unwrap_or_default()
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// How large the body of one of them is in bytes.
    pub fn size_bytes(&self, nth: u32) -> usize {
        self.frame.body(self.first.saturating_add(nth)).map_or(0, <[u8]>::len)
    }

    /// The way back of one of them. Whoever makes it has taken that message.
    pub fn delivery(&self, nth: u32) -> RemoteDelivery {
        RemoteDelivery::new(self.remote.clone(), self.first.saturating_add(nth))
    }

    /// Those from this one on, at most so many.
    #[must_use]
    pub fn part(&self, from: u32, count: u32) -> Self {
        let from = from.min(self.count);
        let count = count.min(self.count - from);
        Self { first: self.first.saturating_add(from), count, ..*self }
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

    /// Takes the first of a run, as many as there is room for at once, and says how many. Those that are
    /// not taken are offered one by one.
    fn offer_run(&self, _run: &Run<'_>) -> u32 {
        0
    }
}
