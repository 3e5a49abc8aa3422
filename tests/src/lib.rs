//! What the integration tests share.

#[cfg(doctest)]
mod book;
pub mod jobs;
#[cfg(feature = "etcd")]
pub mod leading;
pub mod letters;
pub mod servers;
pub mod tier;
pub mod worker;
