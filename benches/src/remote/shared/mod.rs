//! What callboard's processes and those of its peers have in common.
//!
//! A package of its own builds the peers ([`super::peers`]) and takes this folder in by its path: so
//! that all send the same, count alike, and are told alike what to do.

pub mod orders;
pub mod seen;
pub mod usage;

/// What goes wrong in a benchmark ends it.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Letters of a message's text; one more byte says how many, so that a body has 64 as callboard
/// encodes it.
pub const LETTERS: usize = 63;
/// Tells whose end is awaited at a time.
pub const OUTSTANDING: usize = 1024;

/// The text of a message.
pub fn text() -> String {
    "x".repeat(LETTERS)
}
