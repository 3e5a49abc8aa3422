//! Random churn over lines that fail: in the end every cache equals the store, and the store what
//! each node wants.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use callboard::{
    directory::{Config, ConfigRecord, InstanceName, InstanceRecord},
    kv::{KeyValueStore, RangeRequest},
    testing::KvFaults,
};
use tokio::time::{sleep, timeout};

use crate::cluster::{Cluster, Node, name};

const NODES: usize = 3;
const SERVICES: usize = 4;
const STEPS: usize = 120;

struct Churn {
    cluster: Cluster,
    random: fastrand::Rng,
    nodes: Vec<(Node, BTreeSet<InstanceName>)>,
    /// What each node uses of the configuration, by the names of the services.
    configs: Vec<Vec<Config<u64>>>,
    next: u64,
}

impl Churn {
    async fn new(seed: u64) -> Self {
        let cluster = Cluster::default();
        let mut nodes = Vec::new();
        for n in 0..NODES {
            nodes.push((cluster.node(&format!("n{n}")).await, BTreeSet::new()));
        }
        let configs = nodes.iter().map(|(node, _)| configs(node)).collect();
        Self { cluster, random: fastrand::Rng::with_seed(seed), nodes, configs, next: 0 }
    }

    fn faults(&mut self) -> KvFaults {
        let mut chance = |max: f64| if self.random.bool() { 0.0 } else { self.random.f64() * max };
        KvFaults {
            error: chance(0.4),
            hang: chance(0.1),
            ambiguous: chance(0.3),
            late: chance(0.2),
            late_max: Duration::from_secs(8),
            delay_max: Duration::from_millis(300),
            watch_end: chance(0.2),
            watch_silence: chance(0.05),
            watch_loss: 0.0,
        }
    }

    async fn step(&mut self) {
        let at = self.random.usize(..NODES);
        match self.random.u32(..16) {
            0..=4 => self.register(at).await,
            5..=7 => self.deregister(at).await,
            8 => self.restart(at).await,
            9 => self.delete_a_key().await,
            10 => self.spoil_a_key().await,
            11 => {
                let newest = self.newest().await;
                self.cluster.kv.compact(newest).await.unwrap();
            }
            12 => {
                let faults = self.faults();
                self.nodes[at].0.line.set(faults);
            }
            13 | 14 => self.configure(at).await,
            _ => self.freeze_for_a_while(at).await,
        }
        sleep(Duration::from_millis(self.random.u64(..1500))).await;
    }

    async fn newest(&self) -> callboard::kv::Revision {
        self.cluster.kv.range(RangeRequest::prefix("/").limit(1)).await.unwrap().revision
    }

    async fn register(&mut self, at: usize) {
        let (node, wanted) = &mut self.nodes[at];
        self.next += 1;
        let service = format!("s{}", self.random.usize(..SERVICES));
        let record = node.record(&service, self.next);
        wanted.insert(record.instance);
        // It goes on being wanted when nobody waits any more.
        drop(timeout(Duration::from_millis(200), node.directory.register(record)).await);
    }

    async fn deregister(&mut self, at: usize) {
        let (node, wanted) = &mut self.nodes[at];
        let leaving: Vec<InstanceName> =
            wanted.iter().copied().filter(|_| self.random.u32(..3) == 0).collect();
        leaving.iter().for_each(|name| assert!(wanted.remove(name)));
        drop(timeout(Duration::from_millis(200), node.directory.deregister(&leaving)).await);
    }

    async fn configure(&mut self, at: usize) {
        self.next += 1;
        let name = format!("s{}", self.random.usize(..SERVICES));
        let configuration = self.nodes[at].0.directory.configuration();
        let set = configuration.set(&name, &self.next);
        // It may be written or not.
        drop(timeout(Duration::from_secs(5), set).await);
    }

    /// A crash, and a new life under the same name.
    async fn restart(&mut self, at: usize) {
        let old = &self.nodes[at].0;
        old.directory.abort();
        let node = self.cluster.node(old.directory.node().as_str()).await;
        self.configs[at] = configs(&node);
        self.nodes[at] = (node, BTreeSet::new());
    }

    async fn delete_a_key(&mut self) {
        let keys = self.cluster.keys("").await;
        if !keys.is_empty() {
            self.cluster.delete(&keys[self.random.usize(..keys.len())].key).await;
        }
    }

    async fn spoil_a_key(&mut self) {
        let keys = self.cluster.keys("svc/").await;
        if !keys.is_empty() {
            let key = &keys[self.random.usize(..keys.len())].key;
            self.cluster.put(key.strip_prefix("/callboard/c/").unwrap(), "spoilt").await;
        }
    }

    async fn freeze_for_a_while(&mut self, at: usize) {
        let line = self.nodes[at].0.line.clone();
        let during = Duration::from_millis(self.random.u64(..9000));
        line.freeze();
        tokio::spawn(async move {
            sleep(during).await;
            line.thaw();
        });
    }

    /// What stands in the store, by an independent reading of it.
    async fn stored(&self) -> BTreeMap<String, BTreeSet<InstanceName>> {
        let mut stored: BTreeMap<String, BTreeSet<InstanceName>> = BTreeMap::new();
        for kv in self.cluster.keys("svc/").await {
            if let Ok(record) = serde_json::from_slice::<InstanceRecord>(&kv.value) {
                assert!(kv.key.ends_with(&format!("/{}/{}", record.service, record.instance)));
                stored.entry(record.service.to_string()).or_default().insert(record.instance);
            }
        }
        stored
    }

    async fn check(&self, seed: u64) {
        let stored = self.stored().await;
        self.check_configs(seed).await;
        for (node, wanted) in &self.nodes {
            let own: BTreeSet<InstanceName> = stored
                .values()
                .flatten()
                .copied()
                .filter(|name| name.incarnation() == node.directory.incarnation())
                .collect();
            assert_eq!(own, *wanted, "seed {seed}: the store against the wish of {node:?}");
            for service in (0..SERVICES).map(|n| format!("s{n}")) {
                let view = node.directory.resolve(&name(&service));
                let seen: BTreeSet<InstanceName> =
                    view.instances.iter().map(|r| r.instance).collect();
                let there = stored.get(&service).cloned().unwrap_or_default();
                assert_eq!(seen, there, "seed {seed}: the cache of {node:?} against the store");
            }
            assert_eq!(node.directory.nodes().len(), NODES, "seed {seed}");
            assert_eq!(node.directory.stale_since(), None, "seed {seed}");
        }
    }
}

impl Churn {
    /// Every node uses what stands, and says so; what was removed by hand nobody has lost.
    async fn check_configs(&self, seed: u64) {
        for ((node, _), configs) in self.nodes.iter().zip(&self.configs) {
            for config in configs {
                let prefix = format!("config/current/{}", config.name());
                let used = config.current().map(|value| value.version());
                let configuration = node.directory.configuration();
                let stands: Option<ConfigRecord> = configuration.get(config.name()).await.unwrap();
                match stands {
                    Some(record) => {
                        assert_eq!(used, Some(record.version), "seed {seed}: {prefix} at {node:?}");
                    }
                    None => assert!(self.cluster.keys(&prefix).await.is_empty(), "seed {seed}"),
                }
                let applied = configuration.applied(config.name()).await.unwrap();
                let own = applied.iter().find(|one| one.node == *node.directory.node());
                assert_eq!(own.map(|one| one.version), Some(used), "seed {seed}: {applied:?}");
            }
        }
    }
}

fn configs(node: &Node) -> Vec<Config<u64>> {
    (0..SERVICES).map(|n| node.directory.config(format!("s{n}")).unwrap()).collect()
}

async fn churn(seed: u64) {
    let mut churn = Churn::new(seed).await;
    for _ in 0..STEPS {
        churn.step().await;
    }
    for (node, _) in &churn.nodes {
        node.line.heal();
    }
    // Late writes, leases of crashed lives and silent watches are over by then.
    sleep(Duration::from_secs(30)).await;
    churn.check(seed).await;
}

#[tokio::test(start_paused = true)]
async fn caches_equal_the_store_after_churn_over_failing_lines() {
    let chosen = std::env::var("CALLBOARD_SEED").ok().map(|seed| seed.parse().unwrap());
    let trials = std::env::var("CALLBOARD_TRIALS").map_or(5, |trials| trials.parse().unwrap());
    for _ in 0..if chosen.is_some() { 1 } else { trials } {
        let seed = chosen.unwrap_or_else(|| fastrand::u64(..));
        println!("seed {seed} (CALLBOARD_SEED={seed} runs it again)");
        churn(seed).await;
    }
}
