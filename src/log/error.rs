use crate::error::BoxError;

/// Why an operation on the log failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The log has no memory left. This call stored nothing; a frame that is sent again after an
    /// unknown outcome may have been stored by the earlier call all the same (no log looks at the
    /// lane before it looks at its memory).
    #[error(
        "the message log is out of memory and stores nothing more until consumers have drained it"
    )]
    OutOfMemory,
    /// A bound was exceeded or an argument makes no sense; nothing was changed.
    #[error("the request is refused: {0}")]
    Refused(String),
    /// The log did not answer in time, or the connection broke. Nothing is known of a write.
    #[error("the message log did not answer: {what}")]
    Unavailable {
        /// What was attempted.
        what: String,
        /// The cause.
        #[source]
        source: Option<BoxError>,
    },
    /// What is stored there is not what this version of the framework writes.
    #[error("{place} holds something else than expected: {reason}")]
    Foreign {
        /// The key.
        place: String,
        /// What was found.
        reason: String,
    },
}
