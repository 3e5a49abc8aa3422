use crate::log::{LogError, StreamName};

/// Why the bus could not do something with a stream of its own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// The log refused it or can't be reached.
    #[error("the bus could not {what} {stream}: {source}")]
    Log {
        /// What was attempted.
        what: &'static str,
        /// On which stream.
        stream: StreamName,
        /// The log's answer.
        source: LogError,
    },
    /// This process reads it already, for the same group.
    #[error("this process reads {stream} already; stop and drain the other consumption first")]
    Consumed {
        /// The stream.
        stream: StreamName,
    },
    /// A bound makes no sense.
    #[error("the bus can't start with {setting}: {reason}")]
    Setting {
        /// The bound.
        setting: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The bus was stopped, or its runtime is gone.
    #[error("the bus was stopped; start another")]
    Stopped,
}
