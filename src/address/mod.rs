//! Addresses: how messages get to an actor, and the futures that send them.
//!
//! Owns [`Addr`], [`WeakAddr`], [`Recipient`] and the port [`RemoteSink`] through which an address may point to
//! another process. Does not know how such a message travels.

mod addr;
mod ask;
mod capacity;
mod context;
mod delayed;
mod each;
mod recipient;
mod remote;
mod strong;
mod target;
mod tell;
mod waiting;
mod weak;

pub use addr::Addr;
pub use ask::Ask;
pub(crate) use ask::{ASK_TIMEOUT_BOUNDS, ASK_TIMEOUT_DEFAULT, LocalAsk};
pub(crate) use context::{CodecContext, current_context, with_context};
pub use delayed::{DELAY_MAX, DelayedId, DelayedIdError};
pub(crate) use each::send_each;
pub use recipient::{Recipient, RecipientAsk, RecipientDelayedTell, RecipientTell};
pub use remote::{RemoteMessage, RemoteReply, RemoteSink};
pub use target::{SendOptions, Target, TargetAsk, TargetDelayed, TargetTell};
pub use tell::Tell;
pub use weak::WeakAddr;
