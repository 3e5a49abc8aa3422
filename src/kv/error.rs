use super::{LeaseId, Revision};
use crate::error::BoxError;

/// Why an operation on the store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KvError {
    /// The revision was compacted away; read anew, or watch from a later one.
    #[error("the revision is gone: the store was compacted up to {compacted}")]
    Compacted {
        /// The first revision that can still be read.
        compacted: Revision,
    },
    /// The revision lies in the future.
    #[error("the revision {asked} is in the future: the store is at {newest}")]
    FutureRevision {
        /// What was asked for.
        asked: Revision,
        /// The store's newest.
        newest: Revision,
    },
    /// The lease expired, was revoked or never was.
    #[error("the lease {0:?} does not exist any more; grant a new one")]
    LeaseNotFound(LeaseId),
    /// A bound was exceeded; nothing was changed.
    #[error("the request is refused: {0}")]
    Refused(String),
    /// The store did not answer in time, or the connection broke. Nothing is known of a write.
    #[error("the store did not answer: {what}")]
    Unavailable {
        /// What was attempted.
        what: String,
        /// The cause.
        #[source]
        source: Option<BoxError>,
    },
    /// The watch ended; start a new one from the last revision that was seen, or read anew.
    #[error("the watch ended: {0}")]
    WatchEnded(String),
}
