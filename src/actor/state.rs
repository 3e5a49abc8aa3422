use std::fmt;

use serde::Serialize;

/// Where an actor is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorState {
    /// Its `started` hook runs for the first time, or it waits for its turn to.
    Starting,
    /// It handles messages.
    Running,
    /// It failed and waits to be built again.
    Restarting,
    /// It works off what it had accepted and takes no more.
    Stopping,
    /// It has ended.
    Stopped,
}

/// Why an actor stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// Somebody with its address told it to.
    Requested,
    /// It stopped by itself.
    Finished,
    /// Its system shut down.
    Shutdown,
    /// Its `started` hook failed at the first start.
    StartFailed(String),
    /// It failed and is not to be built again.
    Failed(String),
    /// It failed more often than its restart settings allow.
    TooManyRestarts(String),
    /// An actor that it was linked to ended by a failure; see [`Ctx::link`](crate::Ctx::link).
    Linked {
        /// The name of that actor.
        name: String,
        /// Why that one ended.
        reason: String,
    },
    /// Its last address was dropped, and it was spawned to stop then; see
    /// [`Spawn::stop_with_last_address`](crate::Spawn::stop_with_last_address).
    Unreferenced,
}

impl StopReason {
    /// Whether this is a failure, of its own or of an actor that it was linked to.
    pub fn is_failure(&self) -> bool {
        matches!(
            self,
            Self::StartFailed(_) | Self::Failed(_) | Self::TooManyRestarts(_) | Self::Linked { .. }
        )
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested => f.write_str("it was told to stop"),
            Self::Finished => f.write_str("it stopped by itself"),
            Self::Shutdown => f.write_str("its system shut down"),
            Self::StartFailed(reason) => write!(f, "it could not start: {reason}"),
            Self::Failed(reason) => write!(f, "it failed and is not restarted: {reason}"),
            Self::TooManyRestarts(reason) => {
                write!(f, "it failed more often than `restart(max, within)` allows: {reason}")
            }
            Self::Linked { name, reason } => {
                write!(f, "{name}, which it was linked to, ended: {reason}")
            }
            Self::Unreferenced => f.write_str("nobody had its address any more"),
        }
    }
}
