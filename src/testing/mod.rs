//! Conformance suites of the ports and the test kit.

mod faulty_kv;
mod kit;
pub mod kv_suite;
pub mod log_suite;

pub use faulty_kv::{FaultyKv, KvFaults};
pub use kit::{
    ActorPanic, Fed, FedMessage, FedOutcome, Feed, Probe, ProbeActor, Received, TestSystem,
};

#[doc(inline)]
pub use crate::__kv_suite as kv_suite;
#[doc(inline)]
pub use crate::__log_suite as log_suite;
