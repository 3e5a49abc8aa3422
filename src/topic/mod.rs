//! Local topics: events for whoever subscribed in this process, with nothing stored.
//!
//! Owns the list of subscribers. Topics that reach other processes are the system's
//! ([`System::publish`](crate::System::publish)); these know nothing of them.

mod local;
mod subscribers;
mod subscription;

pub use local::{LocalTopic, Published};
pub use subscription::Subscription;
