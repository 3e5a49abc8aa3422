//! What happens after a failure.
//!
//! Owns the pure decisions: how long to wait before a restart ([`Backoff`]) and how many restarts
//! are too many ([`Intensity`]). Does not restart anything: the actor's cell does.

mod backoff;
mod intensity;

pub(crate) use backoff::Backoff;
pub(crate) use intensity::Intensity;
