//! The same small workloads for callboard and its peers.
//!
//! Owns the workloads, how they are timed, and how the figures are shown. A workload is written once
//! over the traits of [`peer`], so that every peer runs the same loop; what a peer does its own way
//! is in its file under [`peers`].

pub mod figures;
pub mod options;
pub mod peer;
pub mod peers;
pub mod row;
pub mod span;
pub mod table;
pub mod workload;
