//! Servers that stop, or are killed and come back, under load.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

use callboard::prelude::*;
use callboard_tests::{
    servers::Persistence,
    worker::{Echo, Put, Worker, WorkerProcess},
};
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    load::Load,
    support::{Cluster, PATIENCE, order, sees},
};

/// Longer than the lease's time.
const OUTAGE: Duration = Duration::from_secs(10);
/// For how long nodes may be missing from an etcd that is back.
const REGISTERED_MAX: Duration = Duration::from_secs(5);

struct Scene {
    cluster: Cluster,
    system: System,
    _workers: [WorkerProcess; 2],
    service: ServiceRef<Worker>,
}

const NODES: [&str; 2] = ["w1", "w2"];

impl Scene {
    async fn set(cluster: Cluster) -> Self {
        let system = cluster.system("test").await;
        let mut workers = [cluster.worker(NODES[0]).await, cluster.worker(NODES[1]).await];
        for worker in &mut workers {
            order(worker, "serve jobs 2").await;
        }
        sees(&system, "jobs", 4).await;
        let service = system.service("jobs");
        Self { cluster, system, _workers: workers, service }
    }

    /// Sees that no call failed, and that each message was handled once: nothing was claimed from a
    /// process that lives.
    async fn nothing_happened(self, load: Load) {
        let (told, failed) = load.end().await;
        assert!(failed.is_empty(), "{} calls failed: {:?}", failed.len(), failed.first());
        assert!(told > 500, "too little was told: {told}");
        let handled = self.cluster.all_handled(&NODES, told).await;
        let twice = handled.values().filter(|times| **times > 1).count();
        assert_eq!(twice, 0, "of {told} were handled twice");
        self.system.shutdown().await.expect("the servers run");
    }

    /// Looks into etcd itself (not somebody's cache) for twice the time in which all must be registered
    /// again: leases that ran out may show their keys for a moment, so the last lack counts.
    async fn all_registered(&self, since: Instant) {
        let prefix = format!("/callboard/{}/svc/jobs/", self.cluster.name);
        let mut complete_after = Duration::MAX;
        while since.elapsed() < REGISTERED_MAX * 2 {
            let keys = self.cluster.etcd.ctl(&["get", "--prefix", "--keys-only", &prefix]).await;
            let keys = keys.unwrap_or_default();
            if keys.lines().filter(|line| !line.is_empty()).count() < 4 {
                complete_after = Duration::MAX;
            } else {
                complete_after = complete_after.min(since.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        println!("all are registered after {complete_after:?}");
        assert!(complete_after < REGISTERED_MAX, "it took {complete_after:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_that_was_stopped_for_longer_than_the_leases_fails_no_call() {
    let scene = Scene::set(Cluster::start().await).await;
    scene.cluster.grace_over().await;
    let load = Load::of(&scene.service);
    tokio::time::sleep(Duration::from_secs(1)).await;
    scene.cluster.etcd.stop();
    tokio::time::sleep(OUTAGE).await;
    scene.cluster.etcd.cont();
    scene.all_registered(Instant::now()).await;
    sees(&scene.system, "jobs", 4).await;
    scene.nothing_happened(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_that_was_killed_and_came_back_fails_no_call() {
    let mut scene = Scene::set(Cluster::start().await).await;
    scene.cluster.grace_over().await;
    let load = Load::of(&scene.service);
    tokio::time::sleep(Duration::from_secs(1)).await;
    scene.cluster.etcd.kill();
    tokio::time::sleep(OUTAGE).await;
    scene.cluster.etcd.restart().await;
    scene.all_registered(Instant::now()).await;
    sees(&scene.system, "jobs", 4).await;
    scene.nothing_happened(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_was_killed_amid_appends_loses_and_doubles_nothing() {
    let mut scene = Scene::set(Cluster::with(Persistence::Always).await).await;
    let ids = Arc::new(AtomicU64::new(0));
    let ends = Arc::new(AtomicBool::new(false));
    let tellers: Vec<JoinHandle<u64>> = (0..32)
        .map(|_| {
            let (service, ids, ends) = (scene.service.clone(), ids.clone(), ends.clone());
            tokio::spawn(async move {
                let mut acknowledged = 0;
                while !ends.load(SeqCst) {
                    let id = ids.fetch_add(1, SeqCst);
                    service.tell(Put { id, micros: 0 }).await.expect("no tell fails");
                    acknowledged += 1;
                }
                acknowledged
            })
        })
        .collect();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(500..1500))).await;
        scene.cluster.redis.restart().await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    ends.store(true, SeqCst);
    let mut acknowledged = 0;
    for teller in tellers {
        acknowledged += teller.await.expect("no tell failed");
    }
    let told = ids.load(SeqCst);
    assert_eq!(acknowledged, told, "senders recover by themselves");
    let handled = scene.cluster.all_handled(&NODES, usize::try_from(told).expect("few")).await;
    let twice = handled.values().filter(|times| **times > 1).count();
    println!("{told} told over 3 kills, {twice} handled twice");
    let stream = format!("cb:{}:{{s:jobs:0}}", scene.cluster.name);
    let counters = ["HGET".to_owned(), format!("{stream}:hw"), "appended".to_owned()];
    let appended = scene.cluster.redis.cli(&counters).await.expect("it runs");
    assert_eq!(appended, told.to_string(), "resending doubles nothing");
    assert_eq!(twice, 0, "the workers live and settle again what they had settled");
    scene.system.shutdown().await.expect("the servers run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_stopped_asks_end_at_their_deadlines_and_tells_wait() {
    let scene = Scene::set(Cluster::start().await).await;
    let Scene { cluster, service, .. } = &scene;
    let ask = || service.ask(Echo { n: 1, micros: 0 });
    ask().await.expect("it runs");
    cluster.redis.stop();
    let stopped = Instant::now();
    let telling = async {
        for id in 0..50 {
            service.tell(Put { id, micros: 0 }).await.expect("a tell waits");
        }
        stopped.elapsed()
    };
    let asking = async {
        let limit = Duration::from_secs(2);
        for _ in 0..3 {
            let begun = Instant::now();
            let error = ask().timeout(limit).await.expect_err("Redis is stopped");
            let took = begun.elapsed();
            assert_ne!(error.delivery(), Delivery::Handled, "{error}");
            assert!(took >= limit && took < limit * 2, "at its deadline, not after {took:?}");
        }
        tokio::time::sleep(OUTAGE.saturating_sub(stopped.elapsed())).await;
        cluster.redis.cont();
    };
    let (waited, ()) = tokio::join!(telling, asking);
    assert!(waited >= OUTAGE, "they waited for Redis: {waited:?}");
    let handled = cluster.all_handled(&NODES, 50).await;
    assert!(handled.values().all(|times| *times == 1), "{handled:?}");
    let until = Instant::now() + PATIENCE;
    while let Err(error) = ask().timeout(Duration::from_secs(2)).await {
        assert!(Instant::now() < until, "asks do not work again: {error}");
    }
    scene.system.shutdown().await.expect("the servers run");
}
