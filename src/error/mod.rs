//! What can go wrong, and whether the message was handled all the same.
//!
//! Owns the errors of sending ([`TellError`], [`AskError`]), their causes ([`Failure`]) and the
//! crate's own [`Error`]. Errors of a port stand beside that port.

mod ask;
mod failure;
mod tell;
mod top;

pub use ask::AskError;
pub use failure::{Delivery, Failure, FailureKind};
pub use tell::TellError;
pub use top::{BoxError, Error, Result};
