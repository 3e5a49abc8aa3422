//! The wire format: the vectors of its chapter, and bytes of all sorts.
//!
//! A binary of its own, because what reading takes is measured by the global allocator.

mod fuzz;
#[cfg(feature = "redis")]
mod script;
mod vectors;
