//! A Redis that has no memory left, and one that takes no writes.

use std::collections::BTreeSet;

use callboard::prelude::*;
use callboard_tests::{
    jobs::{End, Job},
    servers::{Persistence, wait_until},
    worker::{Echo, Worker, WorkerProcess},
};
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    campaign::Stream,
    load::Load,
    support::{Cluster, PATIENCE, order, sees},
};

const NODES: [&str; 2] = ["w1", "w2"];

struct Scene {
    cluster: Cluster,
    system: System,
    _workers: [WorkerProcess; 2],
    jobs: ServiceRef<Worker>,
    stream: Stream,
}

impl Scene {
    async fn set() -> Self {
        let cluster = Cluster::with(Persistence::Always).await;
        let system = cluster.system("test").await;
        let mut workers = [cluster.worker(NODES[0]).await, cluster.worker(NODES[1]).await];
        for worker in &mut workers {
            order(worker, "serve jobs 2").await;
        }
        sees(&system, "jobs", 4).await;
        let (jobs, stream) = (system.service("jobs"), Stream::of(&cluster, "jobs").await);
        Self { cluster, system, _workers: workers, jobs, stream }
    }

    async fn redis(&self, command: &[&str]) -> String {
        self.cluster.redis.cli(command).await.unwrap_or_else(|trouble| panic!("{trouble}"))
    }

    async fn all_done(&self) {
        wait_until("all is done", PATIENCE, async || {
            sleep(Duration::from_millis(50)).await;
            self.stream.is_done().await
        })
        .await
        .unwrap_or_else(|trouble| panic!("{trouble}"));
    }

    /// How many commands Redis has had, refused ones included.
    async fn commands(&self) -> u64 {
        let stats = self.redis(&["INFO", "stats"]).await;
        let count = |name: &str| -> u64 {
            let line = stats.lines().find_map(|line| line.strip_prefix(name));
            line.expect("it is there").trim().parse().expect("a number")
        };
        count("total_commands_processed:") + count("total_error_replies:")
    }

    async fn asks_work(&self) {
        let until = Instant::now() + PATIENCE;
        while let Err(error) = self.jobs.ask(Echo { n: 1, micros: 0 }).timeout(ASK_MAX).await {
            assert!(Instant::now() < until, "asks do not work again: {error}");
        }
    }
}

const ASK_MAX: Duration = Duration::from_secs(2);

fn job(id: u64, end: End) -> Job {
    // Long enough that progress is recorded of what is in hand.
    Job { id, micros: if id.is_multiple_of(50) { 1_300_000 } else { 1000 }, end }
}

/// With the smallest limit no append has room, until it is lifted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_redis_out_of_memory_senders_get_their_message_back_and_consumers_drain() {
    let scene = Scene::set().await;
    let (good, bad) = (0..200, 200..206);
    let all = good.clone().map(|id| job(id, End::Good)).chain(bad.map(|id| job(id, End::Bad)));
    let told = stream::iter(all).map(|job| scene.jobs.tell(job).into_future()).buffered(64);
    told.for_each(async |told| told.expect("there is memory")).await;
    assert_eq!(scene.redis(&["CONFIG", "SET", "maxmemory", "1"]).await, "OK");

    let refused = job(1000, End::Good);
    for _ in 0..5 {
        let begun = Instant::now();
        let told = timeout(PATIENCE, scene.jobs.tell(refused)).await;
        let error = told.expect("a tell ends").expect_err("there is no memory");
        assert!(begun.elapsed() < ASK_MAX, "at once");
        assert_eq!(error.delivery(), Delivery::NotDelivered, "{error}");
        assert!(matches!(error.failure().kind(), FailureKind::Unavailable { .. }), "{error}");
        assert_eq!(error.into_message(), refused);
    }
    let asked = scene.jobs.ask(Echo { n: 1, micros: 0 }).timeout(ASK_MAX).await;
    assert_eq!(asked.expect_err("nor for an ask").delivery(), Delivery::NotDelivered);
    // Settling, recording, postponing, releasing and burying all run meanwhile.
    scene.all_done().await;
    let letters: BTreeSet<u64> = scene.stream.letters().await.into_keys().collect();
    assert_eq!(letters, (200..206).collect());
    scene.stream.all_add_up().await;

    assert_eq!(scene.redis(&["CONFIG", "SET", "maxmemory", "0"]).await, "OK");
    scene.jobs.tell(refused).await.expect("there is memory again");

    // Writes are refused for a while for another reason: a tell waits.
    assert_eq!(scene.redis(&["CONFIG", "SET", "min-replicas-to-write", "1"]).await, "OK");
    let mut waiting = scene.jobs.tell(job(1001, End::Good));
    let told = timeout(Duration::from_secs(1), &mut waiting).await;
    assert!(told.is_err(), "there is no replica: {told:?}");
    assert_eq!(scene.redis(&["CONFIG", "SET", "min-replicas-to-write", "0"]).await, "OK");
    timeout(PATIENCE, waiting).await.expect("a tell ends").expect("it is wanted no more");
    scene.asks_work().await;
    scene.all_done().await;
    let handled = scene.cluster.handled(&NODES);
    assert_eq!(handled.len(), 202);
    assert!(handled.values().all(|times| *times == 1), "{handled:?}");
    scene.stream.all_add_up().await;
    scene.system.shutdown().await.expect("the servers run");
}

/// A master that was demoted answers on the same address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_replica_in_place_of_the_master_loses_nothing_and_is_not_hammered() {
    let scene = Scene::set().await;
    let load = Load::of(&scene.jobs);
    sleep(Duration::from_millis(500)).await;
    scene.redis(&["REPLICAOF", "127.0.0.1", "1"]).await;
    // What was under way ends.
    sleep(Duration::from_millis(500)).await;
    let (before, span) = (scene.commands().await, Duration::from_secs(3));
    let begun = Instant::now();
    while begun.elapsed() < span {
        let asked = Instant::now();
        let ask = scene.jobs.ask(Echo { n: 1, micros: 0 }).timeout(Duration::from_secs(1)).await;
        assert_ne!(ask.expect_err("no writes").delivery(), Delivery::Handled);
        assert!(asked.elapsed() < ASK_MAX, "an ask ends at its deadline");
    }
    let commands = scene.commands().await - before;
    let per_second = commands as f64 / begun.elapsed().as_secs_f64();
    println!("{per_second:.0} commands a second");
    // Three processes with some twenty connections that try again after up to two seconds.
    assert!(per_second < 500.0, "{per_second:.0} commands a second");
    scene.redis(&["REPLICAOF", "NO", "ONE"]).await;
    scene.asks_work().await;
    let (told, failed) = load.end().await;
    // Tells wait; asks of the load end at their deadlines.
    let handled = scene.cluster.all_handled(&NODES, told).await;
    assert!(handled.values().all(|times| *times == 1), "nothing is handled twice");
    let is_ask = |failure: &Failure| {
        matches!(
            failure.kind(),
            FailureKind::DeadlinePassed { .. } | FailureKind::Unavailable { .. }
        )
    };
    assert!(failed.iter().all(is_ask), "{failed:?}");
    scene.all_done().await;
    let appended = scene.stream.info().await.expect("it exists").accounting.appended;
    assert_eq!(appended, told as u64, "each tell is stored once");
    scene.stream.all_add_up().await;
    scene.system.shutdown().await.expect("the servers run");
}
