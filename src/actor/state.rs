use std::fmt;

/// Where an actor is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        }
    }
}
