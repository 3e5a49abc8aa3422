use std::sync::Arc;

use tokio::sync::broadcast::{self, error::RecvError};

use super::{HealthRecord, InstanceRecord};

/// What happened to a service, as this node's cache saw it.
///
/// The snapshot that [`Directory::resolve`](super::Directory::resolve) gives holds a change before
/// its event comes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DirectoryEvent {
    /// An instance came, or one that was suspect is back. It passes its checks, unless its `Health`
    /// follows at once.
    Up(Arc<InstanceRecord>),
    /// The record of an instance changed.
    Changed(Arc<InstanceRecord>),
    /// An instance went.
    Down {
        /// Its last record.
        instance: Arc<InstanceRecord>,
        /// Whether it left in order; else it died or was cut off.
        left: bool,
    },
    /// The registration of an instance vanished together with many others, or with this node's own:
    /// most likely their leases ended while their nodes live. It stays in the snapshot for one more
    /// lease time; then it is up again, or down. May follow a `Down` of the same instance.
    Suspect(Arc<InstanceRecord>),
    /// An instance does better or worse, or was taken out or in again.
    Health {
        /// The instance.
        instance: Arc<InstanceRecord>,
        /// How it does now.
        health: Arc<HealthRecord>,
    },
    /// Fewer than half of the instances pass their checks, so that all are called; or that is over.
    Panic(bool),
    /// The subscriber was too slow and events were dropped: read the snapshot.
    Resync,
    /// The store can't be reached: the snapshot may be old.
    Stale,
    /// The cache follows the store again; what changed meanwhile came as events before this one.
    Fresh,
}

/// The events of one service from when it was made.
#[derive(Debug)]
pub struct Subscription {
    receiver: broadcast::Receiver<DirectoryEvent>,
}

impl Subscription {
    pub(super) fn new(receiver: broadcast::Receiver<DirectoryEvent>) -> Self {
        Self { receiver }
    }

    /// Waits for the next event; none when the directory was stopped.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<DirectoryEvent> {
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(_)) => Some(DirectoryEvent::Resync),
            Err(RecvError::Closed) => None,
        }
    }
}
