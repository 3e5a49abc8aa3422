use std::fmt;

use sync_wrapper::SyncWrapper;

use super::{Delivery, Failure};

/// A refused tell: the message comes back with the reason.
pub struct TellError<M> {
    // The wrapper makes the error `Sync` for messages that are only `Send`.
    message: SyncWrapper<M>,
    failure: Failure,
}

impl<M> TellError<M> {
    /// Refuses a message.
    pub fn new(message: M, failure: impl Into<Failure>) -> Self {
        Self { message: SyncWrapper::new(message), failure: failure.into() }
    }

    /// Why it was refused.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }

    /// Whether a handler may have seen the message all the same.
    pub fn delivery(&self) -> Delivery {
        self.failure.delivery()
    }

    /// Gives the message back.
    pub fn into_message(self) -> M {
        self.message.into_inner()
    }

    /// Gives the message and the reason.
    pub fn into_parts(self) -> (M, Failure) {
        (self.message.into_inner(), self.failure)
    }

    /// Replaces the message that is handed back.
    pub fn map<N>(self, change: impl FnOnce(M) -> N) -> TellError<N> {
        let (message, failure) = self.into_parts();
        TellError::new(change(message), failure)
    }
}

impl<M> From<TellError<M>> for Failure {
    fn from(error: TellError<M>) -> Self {
        error.failure
    }
}

impl<M> fmt::Display for TellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.failure, f)
    }
}

impl<M> fmt::Debug for TellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TellError").field("failure", &self.failure).finish_non_exhaustive()
    }
}

impl<M> std::error::Error for TellError<M> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.failure)
    }
}
