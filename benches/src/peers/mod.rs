//! Callboard and its peers, each written as its own documents show.

pub mod actix;
pub mod callboard;
pub mod kameo;
pub mod ractor;
mod thread;
pub mod tokio;
