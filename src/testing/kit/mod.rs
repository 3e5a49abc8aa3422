//! The kit for testing actors: a system on one thread whose time the test moves, and probes.
//!
//! Owns what a test says and is told. Of the host it needs one thing, its observer: who is polled,
//! and which panics were caught. That nothing is left to do it learns from tokio, so that tasks
//! which are no actors count too.

mod feed;
mod probe;
mod probe_actor;
mod received;
mod rest;
mod system;
mod watch;

pub use feed::{Fed, FedMessage, FedOutcome, Feed};
pub use probe::Probe;
pub use probe_actor::ProbeActor;
pub use received::Received;
pub use system::TestSystem;
pub use watch::ActorPanic;
