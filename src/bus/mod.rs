//! The bus: messages between processes, over the log port.
pub mod codec;
pub mod frame;
pub mod keys;
