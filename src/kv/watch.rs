use std::fmt;

use async_trait::async_trait;

use super::{KeyValue, KvError, Revision};

/// What to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchRequest {
    /// Every key that starts with this.
    pub prefix: String,
    /// The first revision whose changes are wanted: one after that of the list that it follows.
    pub from: Revision,
}

/// What happened to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Written.
    Put,
    /// Deleted, by hand or with its lease.
    Delete,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchEvent {
    /// What happened.
    pub kind: EventKind,
    /// The key after it; of a deleted one, only the key and `mod_revision` (the revision of the
    /// delete) have a meaning.
    pub kv: KeyValue,
}

/// Changes that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WatchBatch {
    /// The changes in order; empty when this only answers `request_progress`.
    pub events: Vec<WatchEvent>,
    /// The store's revision as far as this watcher knows it.
    pub revision: Revision,
}

/// A running watch. Dropping it ends it.
#[async_trait]
pub trait Watcher: Send + fmt::Debug {
    /// Waits for the next changes.
    ///
    /// # Errors
    /// After any error the watch is over; [`KvError::Compacted`] says that changes were missed and
    /// that the keys must be read anew.
    ///
    /// # Cancel safety
    /// Dropping the future loses no change.
    async fn next(&mut self) -> Result<WatchBatch, KvError>;

    /// Asks for a batch soon, even an empty one: a sign that the store is there.
    ///
    /// # Errors
    /// As for [`next`](Self::next).
    async fn request_progress(&mut self) -> Result<(), KvError>;
}
