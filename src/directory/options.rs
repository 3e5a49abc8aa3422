use std::{collections::BTreeMap, time::Duration};

use super::{DirectoryError, metadata::check_labels};
use crate::{
    id::{Incarnation, Name},
    kv::LEASE_TTL_MAX,
};

/// How a node takes part in the directory.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DirectoryOptions {
    /// The cluster; clusters in one store don't see each other.
    pub cluster: Name,
    /// The node's name, unique in the cluster.
    pub node: Name,
    /// This life of the process.
    pub incarnation: Incarnation,
    /// What the operator says of the node.
    pub labels: BTreeMap<String, String>,
    /// How long the node stays registered when it is not heard of; 5 s by default and at least.
    pub lease_ttl: Duration,
    /// The most time that one call of the store may take; 2 s by default.
    pub call_timeout: Duration,
    /// The longest wait between two attempts; 2 s by default. Waits are drawn from zero up to
    /// twice the one before.
    pub backoff_max: Duration,
    /// How often the node reads its own keys back; 3 s by default.
    pub verify_every: Duration,
    /// How often an idle watch is asked whether it lives; 1 s by default.
    pub probe_every: Duration,
    /// How long a watch may be silent before it is given up; 3 s by default.
    pub silence_max: Duration,
    /// How often the cache is compared with a full list: between this and twice this; 5 min by
    /// default.
    pub audit_every: Duration,
    /// Keys in one page of a list; 5000 by default.
    pub page_keys: usize,
    /// Events that a subscriber may lag behind before it is told to read anew; 256 by default.
    pub events_max: usize,
    /// How long [`Directory::start`](super::Directory::start) and
    /// [`Directory::shutdown`](super::Directory::shutdown) try; 30 s by default.
    pub patience: Duration,
}

impl DirectoryOptions {
    /// The defaults, for a new life of this node.
    pub fn new(cluster: Name, node: Name, incarnation: Incarnation) -> Self {
        Self {
            cluster,
            node,
            incarnation,
            labels: BTreeMap::new(),
            lease_ttl: Duration::from_secs(5),
            call_timeout: Duration::from_secs(2),
            backoff_max: Duration::from_secs(2),
            verify_every: Duration::from_secs(3),
            probe_every: Duration::from_secs(1),
            silence_max: Duration::from_secs(3),
            audit_every: Duration::from_secs(300),
            page_keys: 5_000,
            events_max: 256,
            patience: Duration::from_secs(30),
        }
    }

    pub(super) fn check(&self) -> Result<(), DirectoryError> {
        let refuse = |option, reason: &str| {
            Err(DirectoryError::Option { option, reason: reason.to_owned() })
        };
        if self.lease_ttl < Duration::from_secs(5) || self.lease_ttl > LEASE_TTL_MAX {
            return refuse("lease_ttl", "use 5 seconds or more, at most a year");
        }
        for (option, value) in [
            ("call_timeout", self.call_timeout),
            ("backoff_max", self.backoff_max),
            ("verify_every", self.verify_every),
            ("probe_every", self.probe_every),
            ("audit_every", self.audit_every),
            ("patience", self.patience),
        ] {
            if value.is_zero() || value > LEASE_TTL_MAX {
                return refuse(option, "use more than nothing and at most a year");
            }
        }
        if let Err(error) = check_labels(&self.labels) {
            return refuse("labels", &error.to_string());
        }
        if self.silence_max <= self.probe_every || self.silence_max > LEASE_TTL_MAX {
            return refuse("silence_max", "use more than probe_every and at most a year");
        }
        if self.page_keys == 0 {
            return refuse("page_keys", "use 1 or more");
        }
        if !(1..=1 << 20).contains(&self.events_max) {
            return refuse("events_max", "use 1 to 1048576");
        }
        Ok(())
    }
}
