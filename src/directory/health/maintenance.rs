//! Taking instances out for a while, from anywhere in the cluster.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{HealthRecord, HealthState, plain};
use crate::{
    directory::{
        Directory, DirectoryError, InstanceRecord,
        record::{decode, encode},
    },
    id::Name,
    kv::{Compare, KeyValue, Op, Txn},
    time::unix_ms,
};

/// What is taken out: a node with all its services, or one service of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaintenanceScope {
    /// The node.
    pub node: Name,
    /// One of its services; all of them without.
    pub service: Option<Name>,
}

impl MaintenanceScope {
    /// All services of a node, those that it will have too.
    pub fn node(node: Name) -> Self {
        Self { node, service: None }
    }

    /// One service of a node.
    pub fn service(node: Name, service: Name) -> Self {
        Self { node, service: Some(service) }
    }
}

impl fmt::Display for MaintenanceScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.service {
            None => write!(f, "the node {}", self.node),
            Some(service) => write!(f, "{service} on the node {}", self.node),
        }
    }
}

/// A maintenance that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Maintenance {
    /// What is taken out.
    pub scope: MaintenanceScope,
    /// Why.
    pub reason: String,
    /// The node that asked for it.
    pub by: String,
    /// Since when, in milliseconds of Unix time by that node's clock.
    pub since_ms: u64,
}

/// As it stands under `policy/maintenance/<node>` or `policy/maintenance/<node>/<service>`, without a
/// lease: it outlives the node's restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::directory) struct MaintenanceEntry {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    by: String,
    #[serde(default)]
    since_ms: u64,
}

/// What is in maintenance.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in crate::directory) struct Places(BTreeMap<MaintenanceScope, Arc<MaintenanceEntry>>);

impl Places {
    /// Takes an entry; none when it can't be read.
    pub(in crate::directory) fn put(
        &mut self,
        scope: &MaintenanceScope,
        kv: &KeyValue,
    ) -> Option<()> {
        let entry = decode::<MaintenanceEntry>(&kv.value)?;
        self.0.insert(scope.clone(), Arc::new(entry));
        Some(())
    }

    /// Whether there was one.
    pub(in crate::directory) fn remove(&mut self, scope: &MaintenanceScope) -> bool {
        self.0.remove(scope).is_some()
    }

    /// What takes an instance out.
    pub(in crate::directory) fn of(&self, record: &InstanceRecord) -> Option<&MaintenanceEntry> {
        if self.0.is_empty() {
            return None;
        }
        let of_node = MaintenanceScope::node(record.node.clone());
        let of_service = || MaintenanceScope::service(record.node.clone(), record.service.clone());
        self.0.get(&of_node).or_else(|| self.0.get(&of_service())).map(|entry| &**entry)
    }

    pub(in crate::directory) fn all(&self) -> Vec<Maintenance> {
        let maintenance =
            |(scope, entry): (&MaintenanceScope, &Arc<MaintenanceEntry>)| Maintenance {
                scope: scope.clone(),
                reason: entry.reason.clone(),
                by: entry.by.clone(),
                since_ms: entry.since_ms,
            };
        self.0.iter().map(maintenance).collect()
    }
}

impl MaintenanceEntry {
    /// What an instance says of itself meanwhile.
    pub(in crate::directory) fn health(&self) -> HealthRecord {
        HealthRecord::new(HealthState::Maintenance, self.since_ms, &*self.reason)
    }
}

impl Directory {
    /// Takes the instances of a scope out until [`end_maintenance`](Self::end_maintenance): callers go
    /// to others, and their process reads no stored messages for them. What they have in hand they
    /// finish. Resolves when this node's cache has it. Doing it again changes the reason.
    ///
    /// It stands in the store without a lease, so that it outlives restarts of the node, and also
    /// covers services that the node serves later. The node need not be there.
    ///
    /// # Errors
    /// [`DirectoryError::Store`] when the store failed repeatedly (doing it again is safe),
    /// [`DirectoryError::Closed`].
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it may have begun or not.
    pub async fn begin_maintenance(
        &self,
        scope: &MaintenanceScope,
        reason: impl Into<String>,
    ) -> Result<(), DirectoryError> {
        let inner = &self.inner;
        inner.registration.check_open()?;
        let entry = MaintenanceEntry {
            reason: plain(reason.into()),
            by: inner.options.node.to_string(),
            since_ms: unix_ms(),
        };
        let put = Op::put(inner.keys.maintenance(scope), encode(&entry)?, None);
        let response = inner.persist(Txn::new([put])).await?;
        inner.seen(response.revision).await
    }

    /// Takes the instances of a scope in again; resolves when this node's cache has it. Gives false
    /// when no maintenance of exactly this scope stood, or when the answer to a first attempt was lost.
    ///
    /// # Errors
    /// As [`begin_maintenance`](Self::begin_maintenance).
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it may have ended or not.
    pub async fn end_maintenance(&self, scope: &MaintenanceScope) -> Result<bool, DirectoryError> {
        let inner = &self.inner;
        inner.registration.check_open()?;
        let key = inner.keys.maintenance(scope);
        let delete = Txn::new([Op::delete(&key)]).when(Compare::present(&key));
        let response = inner.persist(delete).await?;
        inner.seen(response.revision).await?;
        Ok(response.succeeded)
    }

    /// What is in maintenance, as this node's cache has it, sorted by scope.
    pub fn maintenance(&self) -> Vec<Maintenance> {
        self.inner.cache.maintenance()
    }
}
