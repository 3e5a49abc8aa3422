//! The bus: messages between processes, over the log port.
//!
//! Owns the wire format ([`frame`], [`codec`]), the names of streams ([`keys`]), the way out (lanes)
//! and the way in (readers, settling, retries, dead letters, replies). Knows nothing of actors
//! and services' definitions: the layers above pick the destination, implement [`Intake`], and say who
//! is alive ([`Membership`]). `codec`, `frame` and `keys` are pure and may be used by the local core.
//!
//! **Promises.** A tell that was acknowledged is handled at least once or ends in the dead letters
//! with its reason. An entry is settled when each of its messages was concluded, and never before.
//! Resending makes no duplicate. Messages of one sender into one stream keep their order.

mod account;
mod ask;
mod backoff;
mod clock;
pub mod codec;
mod contact;
mod core;
mod definitions;
mod error;
mod event;
pub mod frame;
pub mod keys;
mod lane;
mod limits;
mod membership;
mod outbox;
mod outgoing;
mod process;
mod receive;
mod refusal;
mod retention;
mod send;
mod start;
mod stats;
mod stop;
mod sweep;
mod waiters;
mod way;

pub use account::{StreamAccount, StreamAccountError};
pub use ask::AskTicket;
pub use backoff::Backoff;
pub(crate) use core::Core;
pub use definitions::{Definition, Definitions};
pub use error::BusError;
pub use event::{BusEvent, Observer};
pub use lane::Receipt;
pub(crate) use lane::Stored;
pub use limits::BusLimits;
pub use membership::{Listing, Members, Membership};
pub use outbox::Destination;
pub use outgoing::{Body, Dedup, EncodeBody, Outgoing};
pub use process::{Bus, BusOptions, Subscriber};
pub use receive::{Consumption, Incoming, Intake, Offered, Run};
pub use stats::BusStats;
pub(crate) use stats::add;
pub use waiters::ReplyBytes;
pub(crate) use way::{NotYet, Way};

pub use crate::address::DelayedId;
pub use crate::message::{Conclusion, Content, DeliverySink, RemoteDelivery, RemoteFrame};
