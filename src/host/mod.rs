//! The host: one long-lived task per arbiter that polls the actors which live there.
//!
//! Owns the slots, the run queue with its groups, and the list of what comes from other threads.
//! Does not know what an actor does: it polls what has a waker of its own, notes how long that took,
//! and lets whoever panicked go on where it was: one net is spread under a whole turn, not under
//! each poll.
//!
//! A wake-up on the host's own thread goes to the run queue without lock or atomic; any other goes
//! into the word that the host looks at (running, parked, mail, or a slip with one slot), or to a list
//! under a lock while that is taken: whoever brings something to a parked host wakes its task.

mod direct;
mod group;
mod letters;
mod local;
mod observer;
mod remote;
mod run_queue;
mod spin;
mod task;
mod tenants;

pub(crate) use direct::poll_directly;
pub(crate) use group::GroupKey;
pub(crate) use local::{current, with_current};
#[cfg(feature = "testing")]
pub(crate) use observer::Observer;
pub(crate) use remote::{Arriving, HostOptions, HostShared, Polled, Resident, Slot, Tenant};
pub(crate) use task::HostTask;

#[cfg(all(test, loom))]
mod loom_tests;
