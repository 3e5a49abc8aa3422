use std::{collections::BTreeSet, fmt, time::Duration};

use tokio::time::Instant;

use crate::id::{Incarnation, Name};

/// The processes of the cluster, as somebody knows them who follows who is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// The incarnations that are registered.
    pub incarnations: BTreeSet<Incarnation>,
    /// Since when this view has been fresh without a gap, with this process itself registered.
    pub since: Instant,
    /// How long a process stays registered when it is not heard of.
    pub lease_ttl: Duration,
}

impl Members {
    /// Whether this process is registered.
    pub fn contains(&self, incarnation: Incarnation) -> bool {
        self.incarnations.contains(&incarnation)
    }
}

/// Whether an instance of a service that is alive takes a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// One does, or it can't be known for sure that none does.
    Possible,
    /// None does, by a view that is at most so much older than what others may have seen.
    Nobody {
        /// How old the view may be.
        lag: Duration,
    },
}

/// Who is alive in the cluster. The layer above has the directory, and answers from it.
///
/// # Contract
/// It answers from memory and must not block. It must say nothing while it can't be sure that what
/// it knows is fresh, or while this process itself is not registered: then nobody is taken for gone.
pub trait Membership: Send + Sync + fmt::Debug + 'static {
    /// The members, if they are known for sure.
    fn members(&self) -> Option<Members>;

    /// Whether an instance of a service takes this version of a message. Asked only of messages that
    /// the instances of this process do not know. Whoever does not know services says nobody, as here.
    fn listing(&self, service: &Name, message: &str, version: u32) -> Listing {
        let _ = (service, message, version);
        Listing::Nobody { lag: Duration::ZERO }
    }
}
