//! Callboard's peers between two processes: what each does its own way, and the loops that are the
//! same for all.
//!
//! The benchmark `remote` starts this package's program twice for each sample, as the process that
//! calls and as the one that is called.

#[path = "../../src/remote/shared/mod.rs"]
pub mod shared;

pub mod kameo;
pub mod peer;
pub mod ractor;
pub mod telepathy;
mod threads;
pub mod work;
