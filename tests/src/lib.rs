//! What the integration tests share.

#[cfg(doctest)]
mod book;
pub mod servers;
pub mod tier;
pub mod worker;
