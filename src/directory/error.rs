use std::time::Duration;

use super::ServiceDef;
use crate::{
    id::{Incarnation, Name},
    kv::KvError,
};

/// Why the directory could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// An option is out of bounds.
    #[error("the option {option} is refused: {reason}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What is wrong and what to write instead.
        reason: String,
    },
    /// A record holds what no reader would believe; nothing was written.
    #[error("the record is refused: {0}")]
    Record(String),
    /// The service is defined in another way; nothing was changed.
    #[error(
        "the service {service} is defined already, and differently: {stands:?} stands, {asked:?} \
         was asked for; use the same definition everywhere, or `redefine`"
    )]
    DefinedDifferently {
        /// The service.
        service: Name,
        /// The definition that stands.
        stands: Box<ServiceDef>,
        /// The definition that was asked for.
        asked: Box<ServiceDef>,
    },
    /// A later process took the node's name; this one is out of the directory for good.
    #[error(
        "a later process (incarnation {by}) runs under the name of this node; give each process a \
         name of its own"
    )]
    Superseded {
        /// Its incarnation.
        by: Incarnation,
    },
    /// The node could not be registered in time.
    #[error("the directory did not start within {after:?}; is the store reachable?")]
    StartTimeout {
        /// How long was waited.
        after: Duration,
        /// The last error of the store.
        #[source]
        source: Option<KvError>,
    },
    /// The node could not leave in time; what it left behind goes with its lease.
    #[error("the directory did not reach its store within {after:?} to leave in order")]
    Unreachable {
        /// How long was waited.
        after: Duration,
        /// The last error of the store.
        #[source]
        source: Option<KvError>,
    },
    /// The store failed, or did not answer; a write may have happened.
    #[error("the store of the directory failed")]
    Store(#[from] KvError),
    /// This node had a role and has it no more, or may not have it any more.
    #[error("this node leads {role} no more: {why}")]
    LeadershipLost {
        /// The role.
        role: Name,
        /// What happened.
        why: &'static str,
    },
    /// The directory was shut down.
    #[error("the directory is shut down")]
    Closed,
}
