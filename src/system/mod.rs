//! The system: where everything is put together.
//!
//! Owns the threads, the settings and the order of start and shutdown. The only place that names
//! concrete stores.

mod actix_side;
mod builder;
mod ctx;
mod embedded;
pub(crate) mod entry;
mod events;
mod inspect;
mod letters;
mod pool;
mod runtime;
mod serve;
mod settings;
mod spawn;
mod stores;

use std::{
    any::Any,
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::de::DeserializeOwned;
use tokio::sync::{broadcast, watch};

pub use actix_side::ActixService;
pub use builder::SystemBuilder;
pub use embedded::Embedded;
pub use events::{SystemEvent, SystemEvents};
pub use pool::SpawnPool;
pub(crate) use runtime::Runtime;
pub use serve::{Serve, Service};
pub use spawn::Spawn;

use crate::{
    bus::Bus,
    directory::{Config, ConfigError, Configuration, Directory, Role},
    error::{Error, Failure, Result},
    id::{Incarnation, Name},
    message::Wire,
    service::{Node, ServiceRef},
};

/// How long a shutdown waits for actors, after their own drain.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// A running system: it hosts actors, finds services and carries messages. Cloning it is cheap.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
///
/// #[callboard::main]
/// async fn main() -> callboard::Result<()> {
///     let system = System::start().await?;
///     system.shutdown().await
/// }
/// ```
#[derive(Clone)]
pub struct System(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) runtime: Runtime,
    pub(crate) node: Arc<Node>,
    events: broadcast::Sender<SystemEvent>,
    /// What is served here, by name.
    pub(crate) services: Mutex<FxHashMap<Name, serve::Slot>>,
    last_instance: AtomicU64,
    /// Actor types whose settings without effect were reported.
    reported: Mutex<FxHashSet<&'static str>>,
    is_down: AtomicBool,
    /// Whether the shutdown has come to its end.
    has_ended: watch::Sender<bool>,
}

impl Inner {
    fn new(runtime: Runtime, node: Arc<Node>, events: broadcast::Sender<SystemEvent>) -> Self {
        Self {
            runtime,
            node,
            events,
            services: Mutex::default(),
            last_instance: AtomicU64::new(0),
            reported: Mutex::default(),
            is_down: AtomicBool::new(false),
            has_ended: watch::Sender::new(false),
        }
    }
}

impl System {
    /// Starts a system from the environment: embedded, unless `CALLBOARD_ETCD` and
    /// `CALLBOARD_REDIS` are set.
    ///
    /// # Errors
    /// [`Error::Setting`] names the variable that is missing or wrong.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// A system whose settings are given in code; what is not given comes from the environment.
    pub fn builder() -> SystemBuilder {
        SystemBuilder::new()
    }

    /// The cluster's name.
    pub fn cluster(&self) -> &Name {
        self.0.node.cluster()
    }

    /// This node's name.
    pub fn node(&self) -> &Name {
        self.0.node.name()
    }

    /// This life of this node.
    pub fn incarnation(&self) -> Incarnation {
        self.0.node.incarnation()
    }

    /// What is registered in the cluster.
    pub fn directory(&self) -> &Directory {
        self.0.node.directory()
    }

    /// A role that one node of the cluster has at a time; see [`Role::lead`](crate::directory::Role::lead).
    ///
    /// # Errors
    /// [`Error::Name`] when the name breaks the rules.
    pub fn role(&self, name: impl AsRef<str>) -> Result<Role> {
        Ok(self.directory().role(Name::new(name)?))
    }

    /// The configuration of the cluster, to be written and listed.
    pub fn configuration(&self) -> Configuration {
        self.directory().configuration()
    }

    /// A configuration as a type of one's own, which follows the store: its current value is read
    /// from memory, and changes can be waited for.
    ///
    /// # Errors
    /// [`ConfigError::Name`] when the name breaks the rules.
    pub fn config<T>(&self, name: impl AsRef<str>) -> Result<Config<T>, ConfigError>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        self.directory().config(name)
    }

    /// The bus, for its counters.
    pub fn bus(&self) -> &Bus {
        self.0.node.bus()
    }

    /// A reference to a service by name. It is cheap, looks nothing up yet and never fails: what is
    /// wrong with the name or the service, the first send says.
    ///
    /// `P` is the actor's type, or a protocol made by [`protocol!`](crate::protocol).
    pub fn service<P: ?Sized>(&self, name: impl AsRef<str>) -> ServiceRef<P> {
        ServiceRef::new(&self.0.node, name.as_ref())
    }

    /// Publishes an event on a topic: every subscribing service gets a copy. Resolves when the event
    /// is stored.
    ///
    /// # Errors
    /// [`Failure`] when the name breaks the rules, the event can't be encoded or the log can't be
    /// reached.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the event may be published or not.
    pub async fn publish<M: Wire>(&self, topic: impl AsRef<str>, event: &M) -> Result<(), Failure> {
        self.0.node.publish(topic.as_ref(), event).await
    }

    /// Shuts down in order: services leave the directory and stop reading, actors work off what they
    /// had accepted, what is handled is settled, the lease is released. A second call waits for
    /// the first.
    ///
    /// A handler that awaits it holds up its own actor, which then ends as one that does not stop in
    /// time: tell another task to shut down.
    ///
    /// # Errors
    /// The first thing that could not be done in order; the rest is done all the same.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the shutdown goes on.
    pub async fn shutdown(&self) -> Result<()> {
        if self.0.is_down.swap(true, Ordering::AcqRel) {
            let mut has_ended = self.0.has_ended.subscribe();
            // An error means that the system is gone, which is an end too.
            drop(has_ended.wait_for(|has_ended| *has_ended).await);
            return Ok(());
        }
        // A task of its own: the caller may be dropped half-way (an actor that stops with the others,
        // a time limit), or run where there are no timers.
        let system = self.clone();
        let winding_down = self.0.runtime.io().spawn(async move {
            let outcome = system.wind_down().await;
            let ending = system.0.runtime.begin_stop();
            system.0.has_ended.send_replace(true);
            (outcome, ending)
        });
        match winding_down.await {
            Ok((outcome, ending)) => {
                ending.ended().await;
                outcome
            }
            Err(error) => {
                self.0.runtime.begin_stop().ended().await;
                self.0.has_ended.send_replace(true);
                match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => Ok(()),
                }
            }
        }
    }

    async fn wind_down(&self) -> Result<()> {
        let services = std::mem::take(&mut *self.0.services.lock());
        let drains = services.into_values().filter_map(|slot| match slot {
            serve::Slot::Served(served) => Some(async move {
                let left = served.leave().await;
                served.depart().await;
                left
            }),
            serve::Slot::Starting(_) => None,
        });
        let mut outcome = join_all(drains).await.into_iter().fold(Ok(()), Result::and);
        let drained = tokio::time::timeout(self.drain_time(), self.stop_actors()).await;
        if drained.is_err() {
            tracing::warn!("actors did not stop in time and are dropped");
        }
        outcome = outcome.and(self.0.node.shutdown().await);
        outcome
    }

    fn drain_time(&self) -> Duration {
        crate::actor::DRAIN_DEFAULT + STOP_GRACE
    }

    async fn stop_actors(&self) {
        for host in self.0.runtime.hosts() {
            host.ask_all_to_leave();
        }
        for host in self.0.runtime.hosts() {
            host.emptied().await;
        }
    }

    /// Ends the system as a crash would: nothing is drained, settled, deregistered or released. What
    /// it held comes back to others when its lease is over. For tests of one's own failure handling.
    pub async fn abort(&self) {
        if !self.0.is_down.swap(true, Ordering::AcqRel) {
            self.0.node.abort();
            self.0.runtime.begin_stop().ended().await;
            self.0.has_ended.send_replace(true);
        }
    }

    pub(crate) fn check_is_up(&self) -> Result<()> {
        if self.0.is_down.load(Ordering::Acquire) { Err(Error::ShutDown) } else { Ok(()) }
    }

    /// The system as its hosts carry it.
    fn extension(&self) -> Weak<dyn Any + Send + Sync> {
        let inner: Arc<dyn Any + Send + Sync> = self.0.clone();
        Arc::downgrade(&inner)
    }
}

impl fmt::Debug for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("System")
            .field("cluster", self.cluster())
            .field("node", self.node())
            .field("incarnation", &self.incarnation())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests;
