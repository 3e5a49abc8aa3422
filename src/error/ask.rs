use std::{convert::Infallible, fmt};

use super::{Delivery, Failure};

/// Why an ask gave no reply: the handler said no, or the message got no answer.
pub enum AskError<E = Infallible> {
    /// The handler's own error, as the message declares it with `error = ..`.
    Rejected(E),
    /// The message was not delivered, or its answer did not come.
    Failed(Failure),
}

impl<E> AskError<E> {
    /// Whether a handler saw the message.
    pub fn delivery(&self) -> Delivery {
        match self {
            Self::Rejected(_) => Delivery::Handled,
            Self::Failed(failure) => failure.delivery(),
        }
    }

    /// The failure, unless the handler rejected the message.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Rejected(_) => None,
            Self::Failed(failure) => Some(failure),
        }
    }

    /// Unites both sides in an error type of one's own.
    pub fn flatten<T: From<E> + From<Failure>>(self) -> T {
        match self {
            Self::Rejected(error) => error.into(),
            Self::Failed(failure) => failure.into(),
        }
    }
}

impl<E> From<Failure> for AskError<E> {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl<E: fmt::Display> fmt::Display for AskError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(error) => fmt::Display::fmt(error, f),
            Self::Failed(failure) => fmt::Display::fmt(failure, f),
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for AskError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(error) => f.debug_tuple("Rejected").field(error).finish(),
            Self::Failed(failure) => f.debug_tuple("Failed").field(failure).finish(),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for AskError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Rejected(error) => Some(error),
            Self::Failed(failure) => Some(failure),
        }
    }
}
