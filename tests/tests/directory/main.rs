//! The directory over the embedded store, under a paused clock.

mod clocks;
mod cluster;
mod config;
mod convergence;
mod definitions;
mod elections;
mod faults;
mod health;
mod maintenance;
mod nodes;
mod queries;
#[cfg(feature = "etcd")]
mod real_etcd;
mod services;
mod suspects;
