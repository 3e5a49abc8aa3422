//! Services: actors that are found by name.

mod serves;

pub use serves::{ServedBy, Serves};
