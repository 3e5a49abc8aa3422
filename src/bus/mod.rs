//! Messages between processes.
pub(crate) mod codec;
