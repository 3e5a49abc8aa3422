//! The host: one long-lived task per arbiter that polls the actors which live there.
//!
//! Owns the slots, the run queue and the list of wake-ups from other threads. Does not know what an
//! actor is: it polls futures, each with a waker of its own.
//!
//! A wake-up during the host's own poll goes to a run queue without lock or atomic; any other goes
//! to a list under a mutex. The host sets `parked` in the critical section in which it found that
//! list empty, so whoever finds `parked` wakes the host's task.

mod observer;
mod remote;
mod run_queue;
mod task;

#[cfg(feature = "testing")]
pub(crate) use observer::Observer;
pub(crate) use remote::{HostShared, Resident, Slot, Tenant};
pub(crate) use task::HostTask;
