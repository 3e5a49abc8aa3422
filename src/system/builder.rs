use std::{collections::BTreeMap, fmt, num::NonZero, sync::Arc, thread::available_parallelism};

use tokio::sync::broadcast;

use super::{
    Embedded, Inner, Runtime, System,
    events::{SystemEvent, WAITING_MAX},
    settings::{ARBITERS_MAX, EtcdUser, Settings},
    stores::{Backends, Stores},
};
use crate::{
    bus::{Bus, BusOptions},
    directory::{Directory, DirectoryOptions},
    error::{Error, Result},
    id::Incarnation,
    kv::KeyValueStore,
    log::MessageLog,
    service::{Defined, Node, NodeParts, Registered},
};

/// The settings of a system that is about to start. What is not given here comes from the
/// environment.
#[must_use = "nothing is started until `.start()` is awaited"]
#[derive(Default)]
pub struct SystemBuilder {
    settings: Settings,
    arbiters: Option<usize>,
    backends: Option<Backends>,
    labels: BTreeMap<String, String>,
    always_remote: bool,
    current_thread: bool,
    spin: Option<bool>,
}

impl SystemBuilder {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// The cluster to join: systems of one cluster find each other. `CALLBOARD_CLUSTER`, else
    /// `default`.
    pub fn cluster(mut self, name: impl Into<String>) -> Self {
        self.settings.cluster = Some(name.into());
        self
    }

    /// The name of this node, unique in the cluster. `CALLBOARD_NODE`, else host name and process id.
    pub fn node(mut self, name: impl Into<String>) -> Self {
        self.settings.node = Some(name.into());
        self
    }

    /// What is to be known of this node: zone, machine type. At most 64, each with a key of letters,
    /// digits, `.`, `_`, `-` and `/` and a value of at most 256 bytes.
    pub fn labels<K, V>(mut self, labels: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<String>,
    {
        self.labels.extend(labels.into_iter().map(|(key, value)| (key.into(), value.into())));
        self
    }

    /// The etcd endpoints: one is asked as long as it answers, then the next. `CALLBOARD_ETCD`, with
    /// commas between.
    pub fn etcd<E: Into<String>>(mut self, endpoints: impl IntoIterator<Item = E>) -> Self {
        self.settings.etcd = Some(endpoints.into_iter().map(Into::into).collect());
        self
    }

    /// The user that etcd asks for, and its password, which is not shown anywhere.
    /// `CALLBOARD_ETCD_USER` and `CALLBOARD_ETCD_PASSWORD`, which count only for endpoints that come
    /// from the environment, too.
    pub fn etcd_user(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        let (name, password) = (Some(user.into()), Some(password.into()));
        self.settings.etcd_user = EtcdUser { name, password };
        self
    }

    /// The Redis server, 7.0 or newer: `redis://[user:password@]host:port`. `CALLBOARD_REDIS`.
    pub fn redis(mut self, url: impl Into<String>) -> Self {
        self.settings.redis = Some(url.into());
        self
    }

    /// A store in this process, shared with every other system that is given the same one.
    pub fn embedded(self, store: &Embedded) -> Self {
        self.backends(Arc::new(store.kv()), Arc::new(store.log()))
    }

    /// Stores of one's own; see [`KeyValueStore`] and [`MessageLog`] for what they must do, and
    /// `callboard::testing` for the suites that show it.
    pub fn backends(mut self, kv: Arc<dyn KeyValueStore>, log: Arc<dyn MessageLog>) -> Self {
        self.backends = Some(Backends { kv, log });
        self
    }

    /// How many threads host actors: 1 to 1024. One per core unless it is given.
    pub fn arbiters(mut self, threads: usize) -> Self {
        self.arbiters = Some(threads);
        self
    }

    /// Whether a thread for actors looks for messages of other threads for some microseconds before
    /// it sleeps, where that has paid off. Answers from another core come sooner; it uses CPU time
    /// that is idle. On unless there is one core only.
    pub fn spin(mut self, spin: bool) -> Self {
        self.spin = Some(spin);
        self
    }

    /// Sends asks through the bus even to instances in this process, so that a test of one process
    /// sees what two would.
    pub fn always_remote(mut self) -> Self {
        self.always_remote = true;
        self
    }

    /// Runs everything on the calling thread, within its `LocalSet`: for tests with a paused clock.
    #[cfg(feature = "testing")]
    pub fn current_thread(mut self) -> Self {
        self.current_thread = true;
        self
    }

    /// Starts the system: threads, registration of the node, inbox.
    ///
    /// # Errors
    /// [`Error::Setting`] names what is missing or wrong; [`Error::Directory`] and [`Error::Log`] say
    /// which server could not be reached, within a few seconds.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, nothing of the system is left but what its lease keeps.
    pub async fn start(self) -> Result<System> {
        let settings = self.settings.or(Settings::from_env());
        let (cluster, name) = (settings.cluster()?, settings.node()?);
        let stores = match self.backends {
            Some(backends) => Stores::At(backends),
            None => Stores::of(&settings, &cluster)?,
        };
        let runtime = start_runtime(self.arbiters, self.spin, self.current_thread)?;
        let incarnation = Incarnation::fresh();
        let io = runtime.io().clone();
        let (always_remote, labels) = (self.always_remote, self.labels);
        let (events, _) = broadcast::channel(WAITING_MAX);
        let told = events.clone();
        // On the runtime that has timers, whatever the caller runs on.
        let started = runtime.io().spawn(async move {
            let backends = stores.connect().await?;
            let mut options = DirectoryOptions::new(cluster.clone(), name.clone(), incarnation);
            options.labels = labels;
            let directory = Directory::start(backends.kv, options, io.clone())
                .await
                .map_err(|error| Error::Directory(error.into()))?;
            let mut options = BusOptions::new(backends.log, cluster.clone(), incarnation);
            options.membership = Some(Registered::new(directory.clone()));
            options.observer = Some(Arc::new(move |event| {
                // An error means that nobody listens.
                drop(told.send(SystemEvent::Bus(event)));
            }));
            options.definitions = Some(Defined::new(directory.clone()));
            let bus =
                Bus::start(options, io.clone()).await.map_err(|error| Error::Log(error.into()))?;
            Node::open(NodeParts {
                cluster,
                name,
                incarnation,
                directory,
                bus,
                runtime: io,
                always_remote,
            })
            .await
        });
        let started = started.await.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::ShutDown),
        });
        match started {
            Ok(node) => Ok(System::assemble(runtime, node, events)),
            Err(error) => {
                runtime.begin_stop().ended().await;
                Err(error)
            }
        }
    }
}

impl System {
    fn assemble(runtime: Runtime, node: Arc<Node>, events: broadcast::Sender<SystemEvent>) -> Self {
        let system = Self(Arc::new(Inner::new(runtime, node, events)));
        for host in system.0.runtime.hosts() {
            host.set_extension(system.extension());
        }
        tracing::info!(
            cluster = %system.cluster(), node = %system.node(),
            incarnation = %system.incarnation(), "the system is up"
        );
        system
    }
}

fn start_runtime(
    arbiters: Option<usize>,
    spin: Option<bool>,
    current_thread: bool,
) -> Result<Runtime> {
    #[cfg(feature = "testing")]
    if current_thread {
        return Ok(Runtime::on_current_thread());
    }
    debug_assert!(!current_thread, "only tests run on one thread");
    let cores = available_parallelism().map_or(1, NonZero::get);
    let arbiters = arbiters.unwrap_or(cores);
    if !(1..=ARBITERS_MAX).contains(&arbiters) {
        return Err(Error::Setting {
            setting: "arbiters".to_owned(),
            reason: format!("{arbiters} threads are not possible: give 1 to {ARBITERS_MAX}"),
        });
    }
    Ok(Runtime::start(arbiters, spin.unwrap_or(cores > 1))?)
}

impl fmt::Debug for SystemBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemBuilder")
            .field("cluster", &self.settings.cluster)
            .field("node", &self.settings.node)
            .field("arbiters", &self.arbiters)
            .finish_non_exhaustive()
    }
}
