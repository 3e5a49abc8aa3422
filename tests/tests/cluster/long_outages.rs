//! Outages of etcd of any length, and none of them ends a process or a call.

use std::collections::BTreeSet;

use callboard::{
    Incarnation, Name,
    kv::{EtcdKv, EtcdOptions, KeyValueStore, RangeRequest},
    prelude::*,
};
use callboard_tests::{servers::wait_until, tier, worker::WorkerProcess};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{
    load::Load,
    support::{Cluster, PATIENCE, ROWS, is_long, nodes_of, order, row, sees},
};

/// All are registered again so soon after etcd answers.
const REGISTERED_WITHIN: Duration = Duration::from_secs(5);
/// On a machine that is busy with other tests.
const MARGIN: Duration = Duration::from_secs(3);

const NODES: [&str; 3] = ["w0", "w1", "w2"];
const INSTANCES: usize = 6;

struct Scene {
    cluster: Cluster,
    system: System,
    workers: Vec<WorkerProcess>,
    kv: EtcdKv,
    lives: BTreeSet<Incarnation>,
}

impl Scene {
    async fn set() -> Self {
        let cluster = Cluster::start().await;
        let system = cluster.system("test").await;
        let mut workers = Vec::new();
        for node in NODES {
            let mut worker = cluster.worker(node).await;
            order(&mut worker, "serve jobs 2").await;
            workers.push(worker);
        }
        sees(&system, "jobs", INSTANCES).await;
        let options = EtcdOptions::new(cluster.etcd.endpoints());
        let kv = EtcdKv::connect(options).await.expect("it runs");
        let lives = lives(&system);
        assert_eq!(lives.len(), NODES.len() + 1);
        Self { cluster, system, workers, kv, lives }
    }

    /// How many instances stand in etcd itself; none while it does not answer.
    async fn registered(&self) -> Option<usize> {
        let prefix = format!("/callboard/{}/svc/jobs/", self.cluster.name);
        self.kv.range(RangeRequest::prefix(prefix)).await.ok().map(|range| range.kvs.len())
    }

    /// How long after it answered, at the earliest, etcd had all for good. Leases that ran out may
    /// show their keys for a moment, so the last lack counts.
    async fn all_registered(&self) -> Duration {
        wait_until("an answer", PATIENCE, async || self.registered().await.is_some())
            .await
            .unwrap_or_else(|trouble| panic!("{trouble}"));
        let since = Instant::now();
        let mut lacked = Duration::ZERO;
        while since.elapsed() < lacked.max(REGISTERED_WITHIN) + Duration::from_secs(2) {
            if self.registered().await != Some(INSTANCES) {
                lacked = since.elapsed();
            }
            assert!(lacked < PATIENCE, "{:?}", self.registered().await);
            sleep(Duration::from_millis(20)).await;
        }
        lacked
    }

    async fn end(mut self) {
        for worker in &mut self.workers {
            assert!(order(worker, "ask jobs 7").await.starts_with("7 "));
            assert_eq!(order(worker, "stale").await, "0");
        }
        assert_eq!(self.system.directory().stale_since(), None);
        assert_eq!(lives(&self.system), self.lives, "no process was started again");
        self.system.shutdown().await.expect("the servers run");
    }
}

fn lives(system: &System) -> BTreeSet<Incarnation> {
    system.directory().nodes().iter().map(|node| node.incarnation).collect()
}

/// Looks all the time whether a resolve is served.
struct Resolves {
    task: JoinHandle<()>,
}

impl Resolves {
    /// Of everything: each instance is known all the time.
    fn of(system: &System) -> Self {
        let directory = system.directory().clone();
        let jobs = Name::new("jobs").expect("a name");
        let task = tokio::spawn(async move {
            loop {
                let seen = directory.resolve(&jobs).instances.len();
                assert_eq!(seen, INSTANCES, "a resolve without all who live");
                sleep(Duration::from_millis(5)).await;
            }
        });
        Self { task }
    }

    async fn end(self) {
        self.task.abort();
        let ended = self.task.await.expect_err("it does not end by itself");
        assert!(ended.is_cancelled(), "{ended}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_outages_of_any_length_all_are_registered_again_within_seconds() {
    fastrand::seed(tier::seed());
    let mut scene = Scene::set().await;
    let resolves = Resolves::of(&scene.system);
    let (outages, longest) =
        if is_long() { (tier::trials().div_ceil(5), 30_000) } else { (2, 8_000) };
    let mut times = Vec::new();
    for outage in 0..outages {
        let during = Duration::from_millis(fastrand::u64(1_000..=longest));
        // Both kinds, also in a short run.
        let is_killed = outage % 2 == 1;
        if is_killed {
            scene.cluster.etcd.kill();
            sleep(during).await;
            scene.cluster.etcd.restart().await;
        } else {
            scene.cluster.etcd.stop();
            sleep(during).await;
            scene.cluster.etcd.cont();
        }
        let registered = scene.all_registered().await;
        println!("killed {is_killed}, for {during:?}: all are registered after {registered:?}");
        times.push(registered);
    }
    resolves.end().await;
    let figures = row("etcd answers until all are registered for good", &mut times);
    println!("{figures}");
    tier::record_figure("Outages of etcd of 1 to 30 s", &format!("{ROWS}\n{figures}"));
    let limit = REGISTERED_WITHIN + if is_long() { Duration::ZERO } else { MARGIN };
    assert!(times.iter().all(|time| *time <= limit), "{times:?}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_etcd_for_long_every_resolve_is_served_and_every_call_answered() {
    let outage = Duration::from_secs(if is_long() { 180 } else { 20 });
    let mut scene = Scene::set().await;
    if is_long() {
        // From then on what is pending for somebody may be claimed by others.
        scene.cluster.grace_over().await;
    }
    let resolves = Resolves::of(&scene.system);
    let load = Load::of(&scene.system.service("jobs"));
    order(&mut scene.workers[0], "asks jobs").await;
    scene.cluster.etcd.kill();
    let begun = Instant::now();
    while begun.elapsed() < outage {
        for worker in &mut scene.workers {
            let seen = order(worker, "instances jobs").await;
            assert_eq!(seen.split(' ').count(), INSTANCES, "{seen}");
        }
        assert_eq!(nodes_of(&scene.system, "jobs").len(), INSTANCES);
        // Its age is known: at the latest when a silent watch is given up and a call has failed.
        if let Some(known) = begun.elapsed().checked_sub(Duration::from_secs(10)) {
            let stale = scene.system.directory().stale_since().expect("the store is away");
            assert!(stale.elapsed() >= known, "{:?} of {:?}", stale.elapsed(), begun.elapsed());
            for worker in &mut scene.workers {
                let stale: u128 = order(worker, "stale").await.parse().expect("a number");
                assert!(stale >= known.as_millis(), "{stale} ms of {:?}", begun.elapsed());
            }
        }
        sleep(Duration::from_millis(200)).await;
    }
    scene.cluster.etcd.restart().await;
    let registered = scene.all_registered().await;
    resolves.end().await;
    let asked: u64 = order(&mut scene.workers[0], "asks end").await.parse().expect("a number");
    let (told, failed) = load.end().await;
    println!(
        "{outage:?} without etcd: {told} told, {asked} asked, registered after {registered:?}"
    );
    assert!(failed.is_empty(), "{} calls failed: {:?}", failed.len(), failed.first());
    assert!(asked > 1000 && told > 500, "too little load: {asked} and {told}");
    let handled = scene.cluster.all_handled(&NODES, told).await;
    assert!(handled.values().all(|times| *times == 1), "nothing was handled twice");
    tier::record_figure(
        "A long outage of etcd",
        &format!(
            "{outage:?} without etcd: every resolve was served, {told} tells and {asked} asks \
             between processes, none failed; all were registered {registered:.1?} after it answered."
        ),
    );
    let limit = REGISTERED_WITHIN + if is_long() { Duration::ZERO } else { MARGIN };
    assert!(registered <= limit, "{registered:?}");
    scene.end().await;
}
