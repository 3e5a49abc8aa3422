//! The same small workloads for callboard and its peers.
//!
//! Owns the workloads, how they are timed, and how the figures are shown. A workload is written once
//! over the traits of [`peer`], so that every peer runs the same loop; what a peer does its own way
//! is in its file under [`peers`]. What is measured between two processes is apart, in `remote`.

pub mod demands;
#[cfg(feature = "remote")]
pub mod directory;
pub mod figures;
pub mod measured;
pub mod options;
pub mod peer;
pub mod peers;
pub mod plot;
#[cfg(feature = "remote")]
pub mod remote;
pub mod row;
pub mod savina;
#[cfg(feature = "remote")]
#[path = "../../tests/src/servers/mod.rs"]
pub mod servers;
pub mod span;
pub mod table;
pub mod verdict;
pub mod workload;
