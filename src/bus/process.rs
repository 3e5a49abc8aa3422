use std::{fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{runtime::Handle, time::Instant};

use super::{
    core::Core,
    definitions::Definitions,
    error::BusError,
    event::Observer,
    keys,
    limits::BusLimits,
    membership::Membership,
    outbox::Destination,
    receive::{Consumption, Intake, Reading, read_replies},
    retention::trim_retained,
    start::{keep_house, start},
    stats::BusStats,
    stop::stop,
    sweep::sweep,
};
use crate::{
    id::{ActorId, Incarnation, Name},
    log::{MessageLog, Start, StreamName},
};

/// The group of the one consumer of an inbox.
pub(super) const INBOX_GROUP: &str = "node";
/// The group of a service's instances.
const SERVICE_GROUP: &str = "service";

/// What a bus is made of.
#[derive(Clone)]
pub struct BusOptions {
    /// The log.
    pub log: Arc<dyn MessageLog>,
    /// The cluster that its streams belong to.
    pub cluster: Name,
    /// This life of this process.
    pub incarnation: Incarnation,
    /// Bounds.
    pub limits: BusLimits,
    /// Who is told of events.
    pub observer: Option<Observer>,
    /// Who knows which processes are alive. Without it what a process leaves behind is taken over
    /// after a long silence only, and inboxes of the gone are not swept.
    pub membership: Option<Arc<dyn Membership>>,
    /// Who knows how services are defined. Without it nothing that was handled is kept.
    pub definitions: Option<Arc<dyn Definitions>>,
}

impl BusOptions {
    /// A bus with the default bounds.
    pub fn new(log: Arc<dyn MessageLog>, cluster: Name, incarnation: Incarnation) -> Self {
        let limits = BusLimits::default();
        let (observer, membership, definitions) = (None, None, None);
        Self { log, cluster, incarnation, limits, observer, membership, definitions }
    }
}

impl fmt::Debug for BusOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusOptions")
            .field("cluster", &self.cluster)
            .field("incarnation", &self.incarnation)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Who subscribes to a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subscriber {
    /// A service: one of its instances gets each event. What fails is tried again by way of the
    /// service's stream, which must be consumed too.
    Service(Name),
    /// This process by itself, under a name. What fails is tried again by way of the inbox, which
    /// must be open.
    Instance(Name),
    /// One actor of this process. What fails is tried again by way of the inbox, which must be open and
    /// lead to that actor.
    Actor(ActorId),
}

/// The messages of one process to and from others.
///
/// Cheap to clone. When the last clone is dropped the bus ends as by [`abort`](Self::abort).
#[derive(Debug, Clone)]
pub struct Bus {
    pub(super) core: Arc<Core>,
    owner: Arc<Owner>,
}

/// Ends the bus with its last handle; the tasks themselves hold the core.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) core: Arc<Core>,
    pub(super) inbox: Mutex<Option<StreamName>>,
    /// Groups of topics that nobody else reads for.
    pub(super) groups: Mutex<Vec<(StreamName, String)>>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.core.end();
    }
}

impl Bus {
    /// Starts a bus: makes the stream of replies and reads it. All tasks run on `runtime`.
    ///
    /// # Errors
    /// [`BusError::Log`] when the log can't be reached, after a few attempts.
    ///
    /// # Cancel safety
    /// A dropped start leaves at most an empty stream of replies, which ends by itself.
    pub async fn start(options: BusOptions, runtime: Handle) -> Result<Self, BusError> {
        let started = runtime.clone().spawn(start(options, runtime));
        let core = started.await.map_err(|_| BusError::Stopped)??;
        let replies = Destination::Replies(core.incarnation).stream(&core.cluster);
        core.spawn(read_replies(core.clone(), replies.clone()));
        core.spawn(keep_house(core.clone(), replies));
        if core.membership.is_some() {
            core.spawn(sweep(core.clone()));
        }
        if core.definitions.is_some() {
            core.spawn(trim_retained(core.clone()));
        }
        let owner = Owner { core: core.clone(), inbox: Mutex::default(), groups: Mutex::default() };
        Ok(Self { core, owner: Arc::new(owner) })
    }

    /// Which process this is.
    pub fn incarnation(&self) -> Incarnation {
        self.core.incarnation
    }

    /// What all parts of it share.
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// What has been counted so far.
    pub fn stats(&self) -> BusStats {
        self.core.counters.snapshot()
    }

    /// Reads a service's stream into an intake.
    ///
    /// # Errors
    /// [`BusError::Log`] when the group can't be made, [`BusError::Consumed`] when this process reads it
    /// already, or still holds something of it after [`Consumption::stop`].
    ///
    /// # Cancel safety
    /// Nothing is read when it is dropped.
    pub async fn consume_service(
        &self,
        service: &Name,
        intake: Arc<dyn Intake>,
    ) -> Result<Consumption, BusError> {
        let stream = keys::service(&self.core.cluster, service, 0);
        self.ensure_group(stream.clone(), SERVICE_GROUP.to_owned(), Start::Beginning).await?;
        let (group, reader) = (SERVICE_GROUP.to_owned(), self.core.incarnation);
        let reading = Reading {
            stream,
            group,
            reader,
            retries: None,
            retry_target: None,
            letters: None,
            is_shared: true,
            service: Some(service.clone()),
        };
        Ok(Consumption::by_credit(&self.core, reading, intake))
    }

    /// Makes this process's inbox and reads it into an intake. Once.
    ///
    /// # Errors
    /// [`BusError::Log`] when it can't be made, [`BusError::Consumed`] when it is open.
    ///
    /// # Cancel safety
    /// Nothing is read when it is dropped.
    pub async fn open_inbox(&self, intake: Arc<dyn Intake>) -> Result<Consumption, BusError> {
        let stream = keys::inbox(&self.core.cluster, self.core.incarnation);
        self.ensure_group(stream.clone(), INBOX_GROUP.to_owned(), Start::Beginning).await?;
        *self.owner.inbox.lock() = Some(stream.clone());
        let letters = Some(keys::dead_letters_of_nodes(&self.core.cluster));
        let (group, reader) = (INBOX_GROUP.to_owned(), self.core.incarnation);
        let (retries, is_shared, service) = (None, false, None);
        let retry_target = None;
        let reading =
            Reading { stream, group, reader, retries, retry_target, letters, is_shared, service };
        Ok(Consumption::of_inbox(&self.core, reading, intake))
    }

    /// Reads a topic into an intake. `start` counts when the group is new.
    ///
    /// # Errors
    /// [`BusError::Log`] when the group can't be made, [`BusError::Consumed`] when this process reads it
    /// already, or still holds something of it after [`Consumption::stop`].
    ///
    /// # Cancel safety
    /// Nothing is read when it is dropped.
    pub async fn subscribe(
        &self,
        topic: &Name,
        subscriber: Subscriber,
        start: Start,
        intake: Arc<dyn Intake>,
    ) -> Result<Consumption, BusError> {
        let cluster = &self.core.cluster;
        let stream = keys::topic(cluster, topic);
        let service = match &subscriber {
            Subscriber::Service(service) => Some(service.clone()),
            Subscriber::Instance(_) | Subscriber::Actor(_) => None,
        };
        let is_shared = service.is_some();
        let retry_target = match &subscriber {
            Subscriber::Actor(actor) => Some(*actor),
            Subscriber::Service(_) | Subscriber::Instance(_) => None,
        };
        let of_process = |name: &dyn fmt::Display| {
            let incarnation = self.core.incarnation;
            let group = format!("{incarnation}/{name}");
            self.owner.groups.lock().push((stream.clone(), group.clone()));
            (group, Destination::Inbox(incarnation), keys::dead_letters_of_nodes(cluster))
        };
        let (group, retries, letters) = match subscriber {
            Subscriber::Service(service) => {
                let to = Destination::Service(service.clone(), 0);
                let letters = to.stream(cluster);
                (service.to_string(), to, letters)
            }
            Subscriber::Instance(name) => of_process(&name),
            Subscriber::Actor(actor) => of_process(&actor),
        };
        self.ensure_group(stream.clone(), group.clone(), start).await?;
        let (retries, letters) = (Some(retries), Some(letters));
        let reader = self.core.incarnation;
        let reading =
            Reading { stream, group, reader, retries, retry_target, letters, is_shared, service };
        Ok(Consumption::by_credit(&self.core, reading, intake))
    }

    /// Sets how many messages of a service may wait before tells to it are refused.
    pub fn set_backlog_max(&self, service: &Name, max: Option<u64>) {
        self.core.outbox.set_backlog_max(service, max);
    }

    /// Stops in order, in at most `within`: ends the reading, waits for what is held, sends what is in
    /// the lanes, removes the own streams. What could not be finished stays in the log.
    ///
    /// # Cancel safety
    /// It goes on when it is dropped.
    pub async fn shutdown(&self, within: Duration) {
        let owner = self.owner.clone();
        let stopped = self.core.runtime.spawn(stop(owner, Instant::now() + within));
        if stopped.await.is_err() {
            self.core.end();
        }
    }

    /// Ends at once, as a crash would: nothing more is sent, settled or answered.
    pub fn abort(&self) {
        self.core.end();
    }

    async fn ensure_group(
        &self,
        stream: StreamName,
        group: String,
        start: Start,
    ) -> Result<(), BusError> {
        let core = self.core.clone();
        if core.is_ended() {
            return Err(BusError::Stopped);
        }
        if core.reads(&stream, &group) {
            return Err(BusError::Consumed { stream });
        }
        let made = self.core.runtime.spawn(async move {
            let ensure = || core.log.ensure_group(&stream, &group, start);
            let made = core.persist("make a group", ensure).await;
            made.map_err(|source| BusError::Log { what: "make a group of", stream, source })
        });
        made.await.map_err(|_| BusError::Stopped)?
    }
}
