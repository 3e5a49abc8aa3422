//! Health checks: what is asked of an instance, how often, and what follows.
//!
//! Owns the checks and the ladder of states that their outcomes lead up and down. What stands in the
//! directory and how calls are spread by it is that module's.
//!
//! An instance is looked at in four ways: its node has a lease, its mailbox answers a ping, the checks
//! of its service pass, and it does not fail its callers again and again. This module is the last three.

mod check;
// Under loom tokio has no sockets, and the models need none.
#[cfg(not(loom))]
mod http;
mod ladder;
mod monitor;
mod policy;

pub use crate::directory::{HealthRecord, HealthState, Maintenance, MaintenanceScope};

#[cfg(not(loom))]
pub use self::http::{HttpCheck, HttpCheckError};
pub(crate) use self::monitor::Monitor;
pub use self::{
    check::{CheckFuture, CheckOutcome, FnCheck, HealthCheck, check},
    policy::HealthPolicy,
};
