use std::{sync::Arc, time::Duration};

use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::{core::Core, keys, lane::Lane};
use crate::{
    id::{Incarnation, Name},
    log::StreamName,
};

/// Where messages can be sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Destination {
    /// The inbox of one process.
    Inbox(Incarnation),
    /// The replies to one process.
    Replies(Incarnation),
    /// A partition of a service's stream; 0 when it has none.
    Service(Name, u32),
    /// A topic.
    Topic(Name),
}

impl Destination {
    /// The stream's name.
    pub fn stream(&self, cluster: &Name) -> StreamName {
        match self {
            Self::Inbox(incarnation) => keys::inbox(cluster, *incarnation),
            Self::Replies(incarnation) => keys::replies(cluster, *incarnation),
            Self::Service(service, partition) => keys::service(cluster, service, *partition),
            Self::Topic(topic) => keys::topic(cluster, topic),
        }
    }
}

/// The lanes of a process, one per stream.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    lanes: RwLock<FxHashMap<Destination, Arc<Lane>>>,
    /// Of services that have a bound of their own.
    backlogs: RwLock<FxHashMap<Name, Option<u64>>>,
}

impl Outbox {
    /// The lane to a stream; made, with its task, when there is none.
    pub(crate) fn lane(&self, core: &Core, to: &Destination) -> Arc<Lane> {
        if let Some(lane) = self.lanes.read().get(to) {
            return lane.clone();
        }
        let mut lanes = self.lanes.write();
        if let Some(lane) = lanes.get(to) {
            return lane.clone();
        }
        let backlog = self.backlog_max(core, to);
        let (lane, drive) = Lane::new(core.lanes.clone(), to.stream(&core.cluster), backlog);
        lanes.insert(to.clone(), lane.clone());
        drop(lanes);
        core.spawn(drive);
        if core.is_ended() {
            lane.abort();
        }
        lane
    }

    /// Sets how many messages of a service may wait.
    pub(crate) fn set_backlog_max(&self, service: &Name, max: Option<u64>) {
        self.backlogs.write().insert(service.clone(), max);
        for (to, lane) in &*self.lanes.read() {
            if matches!(to, Destination::Service(name, _) if name == service) {
                lane.set_backlog_max(max);
            }
        }
    }

    /// Drops lanes that carried nothing for so long.
    pub(crate) fn drop_idle(&self, now: Instant, idle: Duration) {
        self.lanes.write().retain(|_, lane| !lane.close_if_idle(now, idle));
    }

    pub(crate) fn all(&self) -> Vec<Arc<Lane>> {
        self.lanes.read().values().cloned().collect()
    }

    fn backlog_max(&self, core: &Core, to: &Destination) -> Option<u64> {
        let Destination::Service(service, _) = to else { return None };
        let own = self.backlogs.read().get(service).copied();
        own.unwrap_or(core.limits.backlog_max)
    }
}
