//! The bus: messages between processes, over the log port.
mod backoff;
mod clock;
pub mod codec;
mod event;
pub mod frame;
pub mod keys;
mod lane;
mod outgoing;
mod refusal;
mod stats;
mod waiters;
