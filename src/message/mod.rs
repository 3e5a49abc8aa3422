//! What is sent: messages, their outcomes, and how a message from another process is concluded.
//!
//! Owns the vocabulary alone. How messages are encoded, queued and handled is for the layers above.

mod delivery;
mod envelope;
mod show;
mod traits;
mod versions;

pub use delivery::{Conclusion, Content, DeliverySink, RemoteDelivery, RemoteFrame};
pub(crate) use delivery::{HandledRun, Place};
#[doc(hidden)]
pub use envelope::{Envelope, NoReply, ReplyTo};
pub(crate) use envelope::{displace, send};
#[doc(hidden)]
pub use show::{Shown, ViaDebug, ViaName};
pub use traits::{Message, Wire};
#[doc(hidden)]
pub use versions::{
    AnswersAs, Becomes, Older, OlderVisitor, OutcomeOfParts, Replaces, assert_is_older, downgraded,
    upgraded,
};
