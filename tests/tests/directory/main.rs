//! The directory over the embedded store, under a paused clock.

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
mod services;
mod suspects;
