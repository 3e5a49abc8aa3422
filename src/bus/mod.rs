//! The bus: messages between processes, over the log port.
pub mod codec;
pub mod frame;
pub mod keys;
mod backoff;
mod clock;
mod event;
mod lane;
mod outgoing;
mod refusal;
mod stats;
mod waiters;
