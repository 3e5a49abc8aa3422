use super::{AskError, Failure, TellError};
use crate::id::NameError;

/// Any error, as hooks and user code hand it over.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A result with the crate's own [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the operations of a [`System`](crate::System) return; errors of sending turn into it with
/// `?`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A message was not delivered or got no answer.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// A handler answered with its own error.
    #[error("the handler rejected the message: {0}")]
    Rejected(#[source] BoxError),
    /// A name breaks the rules.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A setting is missing, contradicts another or is out of bounds.
    #[error("{setting}: {reason}")]
    Setting {
        /// The attribute, builder method or environment variable.
        setting: String,
        /// What is wrong and what to write instead.
        reason: String,
    },
    /// A service can't be served as asked.
    #[error("the service {service} can't be served: {reason}")]
    Serve {
        /// Its name.
        service: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The directory refused an operation or can't be reached.
    #[error("the directory failed: {0}")]
    Directory(#[source] BoxError),
    /// A configuration can't be read or written as asked.
    #[error(transparent)]
    Configuration(BoxError),
    /// The message log refused an operation or can't be reached.
    #[error("the message log failed: {0}")]
    Log(#[source] BoxError),
    /// The system is shut down.
    #[error("the system is shut down; start another")]
    ShutDown,
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// An error of the user's code, passed on.
    #[error(transparent)]
    Other(#[from] BoxError),
}

impl<M> From<TellError<M>> for Error {
    fn from(error: TellError<M>) -> Self {
        Self::Failed(error.into())
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<AskError<E>> for Error {
    fn from(error: AskError<E>) -> Self {
        match error {
            AskError::Rejected(error) => Self::Rejected(Box::new(error)),
            AskError::Failed(failure) => Self::Failed(failure),
        }
    }
}
