//! What the integration tests share.

#[cfg(doctest)]
mod book;
#[cfg(feature = "etcd")]
pub mod leading;
pub mod servers;
pub mod tier;
pub mod worker;
