use super::ReplayReport;
use crate::{
    error::Error,
    log::{LogError, StreamName},
};

/// Why dead letters or retained messages could not be looked at or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LettersError {
    /// The log refused it, or did not answer for 30 s.
    #[error("could not {what} {stream}: {source}")]
    Log {
        /// What was attempted.
        what: &'static str,
        /// Where they lie.
        stream: StreamName,
        /// The log's answer.
        source: LogError,
    },
    /// An argument is out of bounds.
    #[error("{setting} is refused: {reason}")]
    Bound {
        /// The argument.
        setting: &'static str,
        /// What is wrong, and what to give instead.
        reason: String,
    },
    /// The system was shut down.
    #[error("the system is shut down; start another")]
    Stopped,
}

/// A replay that ended before it was through. What it did is in the report, and what it did not get to
/// lies where it lay.
#[derive(Debug, thiserror::Error)]
#[error("the replay ended after {} of {} messages: {source}", report.done(), report.total)]
pub struct ReplayError {
    /// What was done until then.
    pub report: Box<ReplayReport>,
    /// Why it ended.
    pub source: LettersError,
}

/// Bytes that are not a recording, or messages that do not fit into one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// They could not be read from the log.
    #[error(transparent)]
    Letters(#[from] LettersError),
    /// There are more than a recording holds.
    #[error("the messages have more than {max} bytes together; record a shorter range")]
    TooLarge {
        /// The most bytes of a recording.
        max: usize,
    },
    /// The bytes are something else.
    #[error("these bytes are no recording: {reason}")]
    Malformed {
        /// What is wrong with them.
        reason: String,
    },
    /// The file can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl From<LettersError> for Error {
    fn from(error: LettersError) -> Self {
        match error {
            LettersError::Stopped => Self::ShutDown,
            LettersError::Bound { setting, reason } => {
                Self::Setting { setting: setting.to_owned(), reason }
            }
            error => Self::Log(Box::new(error)),
        }
    }
}

impl From<ReplayError> for Error {
    fn from(error: ReplayError) -> Self {
        Self::Log(Box::new(error))
    }
}

impl From<RecordingError> for Error {
    fn from(error: RecordingError) -> Self {
        match error {
            RecordingError::Letters(error) => error.into(),
            error => Self::Other(Box::new(error)),
        }
    }
}
