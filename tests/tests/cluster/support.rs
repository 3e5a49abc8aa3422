use std::{collections::BTreeMap, time::Duration};

use callboard::{Name, System};
use callboard_tests::{
    servers::{EtcdServer, Persistence, RedisServer, RedisSetup, wait_until},
    tier,
    worker::{Handled, Record, Worker, WorkerProcess, WorkerSetup},
};
use tempfile::TempDir;
use tokio::time::Instant;

/// How long to wait for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// An etcd, a Redis and a folder for what workers write.
pub struct Cluster {
    pub etcd: EtcdServer,
    pub redis: RedisServer,
    pub name: String,
    folder: TempDir,
    redis_up_since: Instant,
    /// For how long after Redis's start workers claim nothing, where that is not the usual time.
    pub claim_grace: Option<Duration>,
    /// How workers reach Redis, where they do not do so directly.
    pub redis_url: Option<String>,
}

impl Cluster {
    pub async fn start() -> Self {
        Self::with(Persistence::None).await
    }

    pub async fn with(persistence: Persistence) -> Self {
        Self::of(persistence, 1).await
    }

    /// With so many members of etcd.
    pub async fn with_members(members: usize) -> Self {
        Self::of(Persistence::None, members).await
    }

    async fn of(persistence: Persistence, members: usize) -> Self {
        let setup = RedisSetup { persistence, ..RedisSetup::default() };
        let redis = RedisServer::with(setup).await;
        let redis_up_since = Instant::now();
        let etcd = EtcdServer::cluster(members).await;
        let folder = tempfile::tempdir().expect("a folder");
        let name = "shop".to_owned();
        let (claim_grace, redis_url) = (None, None);
        Self { etcd, redis, name, folder, redis_up_since, claim_grace, redis_url }
    }

    /// Another cluster on the same servers.
    pub fn rename(&mut self, name: impl Into<String>) {
        self.name = name.into();
    }

    /// Waits until Redis has been up for so long that entries are claimed.
    pub async fn grace_over(&self) {
        tokio::time::sleep_until(self.redis_up_since + callboard::log::CLAIM_GRACE).await;
        // Redis counts whole seconds.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// The test's own system.
    pub async fn system(&self, node: &str) -> System {
        let builder = System::builder().cluster(&self.name).node(node).arbiters(1);
        let redis = self.redis_url.clone().unwrap_or_else(|| self.redis.url());
        let builder = builder.etcd(self.etcd.endpoints()).redis(redis);
        builder.start().await.expect("the servers run")
    }

    pub async fn worker(&self, node: &str) -> WorkerProcess {
        let started = WorkerProcess::start(self.setup(node)).await;
        started.unwrap_or_else(|trouble| panic!("{trouble}"))
    }

    pub fn setup(&self, node: &str) -> WorkerSetup {
        WorkerSetup {
            program: env!("CARGO_BIN_EXE_worker"),
            node: node.to_owned(),
            cluster: self.name.clone(),
            etcd: self.etcd.endpoints().join(","),
            redis: self.redis_url.clone().unwrap_or_else(|| self.redis.url()),
            folder: self.folder.path().to_owned(),
            claim_grace: self.claim_grace,
        }
    }

    /// A record for the test's own workers.
    pub fn record(&self, node: &str) -> Record {
        Record::open(&self.setup(node).record()).expect("a file in our folder")
    }

    /// What all these nodes have handled.
    pub fn handled(&self, nodes: &[&str]) -> BTreeMap<u64, u32> {
        let mut all = BTreeMap::new();
        for node in nodes {
            for (id, times) in Handled::read(&self.setup(node).record()).times {
                *all.entry(id).or_default() += times;
            }
        }
        all
    }

    /// Waits until these nodes have handled so many different messages.
    pub async fn all_handled(&self, nodes: &[&str], count: usize) -> BTreeMap<u64, u32> {
        let what = format!("{count} messages handled");
        let waited = wait_until(&what, PATIENCE * 2, async || {
            tokio::time::sleep(Duration::from_millis(50)).await;
            self.handled(nodes).len() == count
        });
        let waited = waited.await;
        let handled = self.handled(nodes);
        waited.unwrap_or_else(|trouble| panic!("{trouble}: {} were", handled.len()));
        handled
    }
}

/// Whether limits are tested as they are promised: in the long tier, which has the machine to itself.
/// Else they are tested with a margin.
pub fn is_long() -> bool {
    tier::trials() >= 100
}

/// Times as a row of a table: count, median, 99th percentile, longest.
pub fn row(what: &str, times: &mut [Duration]) -> String {
    times.sort();
    let at = |share: f64| {
        let place = (times.len() as f64 * share).ceil() as usize;
        times[place.clamp(1, times.len()) - 1]
    };
    let (p50, p99, max) = (at(0.5), at(0.99), at(1.0));
    format!("| {what} | {} | {p50:.1?} | {p99:.1?} | {max:.1?} |", times.len())
}

/// The heading of such a table.
pub const ROWS: &str = "| what | times | p50 | p99 | longest |\n|---|---|---|---|---|";

/// The nodes whose instances of a service a system sees.
pub fn nodes_of(system: &System, service: &str) -> Vec<String> {
    let view = system.directory().resolve(&Name::new(service).expect("a name"));
    view.instances.iter().map(|one| one.node.to_string()).collect()
}

/// Waits until neither the system nor the worker, which is asked again and again, sees an instance of
/// a service on that node. Gives the time of the later one.
pub async fn gone_from_all(
    (system, other): (&System, &mut WorkerProcess),
    (service, node): (&str, &str),
    since: Instant,
) -> Duration {
    let question = format!("instances {service}");
    loop {
        let here = nodes_of(system, service).iter().any(|one| one == node);
        if !here && !order(other, &question).await.split(' ').any(|one| one == node) {
            return since.elapsed();
        }
        assert!(since.elapsed() < PATIENCE, "{node} does not go");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// Waits until the system sees so many instances of a service.
pub async fn sees(system: &System, service: &str, instances: usize) {
    let name = Name::new(service).expect("a name");
    let count = || system.directory().resolve(&name).instances.len();
    wait_until(&format!("{instances} instances of {service}"), PATIENCE, async || {
        count() == instances
    })
    .await
    .unwrap_or_else(|trouble| panic!("{trouble}: {} are seen", count()));
}

/// Waits until a worker sees so many instances of a service.
pub async fn worker_sees(worker: &mut WorkerProcess, service: &str, instances: usize) {
    let question = format!("instances {service}");
    wait_until(&question, PATIENCE, async || {
        order(worker, &question).await.split_whitespace().count() >= instances
    })
    .await
    .unwrap_or_else(|trouble| panic!("{trouble}"));
}

/// Serves the workers' service here, too.
pub async fn serve(
    cluster: &Cluster,
    system: &System,
    service: &str,
) -> callboard::Service<Worker> {
    let node = system.node().as_str();
    let factory = Worker::factory(node, &cluster.record(node));
    system.serve(service, factory).await.expect("the servers run")
}

pub async fn order(worker: &mut WorkerProcess, order: &str) -> String {
    worker.order(order).await.unwrap_or_else(|trouble| panic!("{trouble}"))
}
