//! Services as actors.
#![forbid(unsafe_code)]

mod error;
mod id;
pub mod kv;
pub mod log;
pub mod message;

pub use error::{AskError, BoxError, Delivery, Error, Failure, FailureKind, Result, TellError};
pub use id::{ActorId, Incarnation, IncarnationError, NAME_BYTES_MAX, Name, NameError};
#[cfg(feature = "testing")]
pub mod testing;
