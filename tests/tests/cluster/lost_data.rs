//! What people and failovers take away from a Redis that runs: a group, everything, its clock.

use std::collections::BTreeMap;

use callboard::{bus::keys, prelude::*};
use callboard_tests::{
    servers::wait_until,
    worker::{Echo, Put, Worker, WorkerProcess},
};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    campaign::Stream,
    support::{Cluster, PATIENCE, is_long, order, sees},
};

const NODES: [&str; 2] = ["w1", "w2"];
const ASK_MAX: Duration = Duration::from_secs(2);

struct Scene {
    cluster: Cluster,
    system: System,
    workers: [WorkerProcess; 2],
    jobs: ServiceRef<Worker>,
    stream: Stream,
    told: u64,
}

impl Scene {
    async fn set() -> Self {
        let cluster = Cluster::start().await;
        let system = cluster.system("test").await;
        let mut workers = [cluster.worker(NODES[0]).await, cluster.worker(NODES[1]).await];
        for worker in &mut workers {
            order(worker, "serve jobs 1").await;
        }
        sees(&system, "jobs", 2).await;
        let (jobs, stream) = (system.service("jobs"), Stream::of(&cluster, "jobs").await);
        Self { cluster, system, workers, jobs, stream, told: 0 }
    }

    async fn redis(&self, command: &[&str]) -> String {
        self.cluster.redis.cli(command).await.unwrap_or_else(|trouble| panic!("{trouble}"))
    }

    async fn tell(&mut self, count: u64, micros: u64) {
        for _ in 0..count {
            let told = timeout(PATIENCE, self.jobs.tell(Put { id: self.told, micros })).await;
            told.expect("a tell ends").expect("the stream takes it");
            self.told += 1;
        }
    }

    /// Waits until all that was told was handled, and gives how often each was.
    async fn handled(&self) -> BTreeMap<u64, u32> {
        self.cluster.all_handled(&NODES, usize::try_from(self.told).expect("few")).await
    }

    /// Asks in both directions until they are answered again; gives how long that took.
    async fn asks_work(&mut self) -> Duration {
        let begun = Instant::now();
        while let Err(error) = self.jobs.ask(Echo { n: 1, micros: 0 }).timeout(ASK_MAX).await {
            assert!(begun.elapsed() < PATIENCE, "asks do not work again: {error}");
        }
        for worker in &mut self.workers {
            while let Err(trouble) = worker.order("ask jobs 7").await {
                assert!(begun.elapsed() < PATIENCE * 2, "asks do not work again: {trouble}");
            }
        }
        begun.elapsed()
    }

    fn lost(&self) -> u64 {
        self.system.bus().stats().messages_lost
    }

    async fn end(self) {
        self.stream.all_add_up().await;
        self.system.shutdown().await.expect("the servers run");
    }
}

/// It is made again at the first entry, so that what was in hand may be given out twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_was_deleted_by_hand_is_made_again_and_nothing_is_lost() {
    let mut scene = Scene::set().await;
    let live = format!("cb:{}:{{s:jobs:0}}:in", scene.cluster.name);
    scene.tell(50, 0).await;
    scene.handled().await;
    scene.tell(20, 20_000).await;
    assert_eq!(scene.redis(&["XGROUP", "DESTROY", &live, "service"]).await, "1");
    scene.tell(20, 0).await;
    let handled = scene.handled().await;
    let early = handled.iter().filter(|(id, times)| **id < 50 && **times > 1).count();
    assert_eq!(early, 0, "what was settled does not come again");
    assert!(handled.values().all(|times| *times <= 2), "{handled:?}");
    wait_until("all is settled", PATIENCE, async || scene.stream.is_done().await)
        .await
        .unwrap_or_else(|trouble| panic!("{trouble}"));
    assert_eq!(scene.lost(), 0);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_was_emptied_is_told_as_loss_and_all_goes_on() {
    let mut scene = Scene::set().await;
    scene.asks_work().await;
    scene.tell(100, 0).await;
    scene.handled().await;
    assert_eq!(scene.lost(), 0);
    assert_eq!(scene.redis(&["FLUSHALL"]).await, "OK");
    scene.tell(50, 0).await;
    scene.handled().await;
    // How much of it had been handled nobody knows any more.
    assert_eq!(scene.lost(), 100);
    if is_long() {
        // The stream of replies is looked after every ten seconds.
        let took = scene.asks_work().await;
        println!("asks work again after {took:?}");
    }
    scene.tell(50, 0).await;
    scene.handled().await;
    // And the asks before, in lanes of their own.
    assert!((100..=102).contains(&scene.lost()), "told once: {}", scene.lost());
    scene.end().await;
}

/// After a failover to a server with a slower clock ids may begin below those that were seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_are_read_after_the_logs_clock_went_back() {
    let mut scene = Scene::set().await;
    scene.asks_work().await;
    let replies = keys::replies(scene.system.cluster(), scene.system.incarnation()).to_string();
    // Its reader removes what it has seen of so many at once.
    let script =
        "for n = 1, 300 do redis.call('XADD', KEYS[1], '9999999999999-' .. n, 'b', 'x') end";
    scene.redis(&["EVAL", script, "1", &replies]).await;
    wait_until("they are read", PATIENCE, async || {
        scene.redis(&["XLEN", &replies]).await.parse::<u32>().is_ok_and(|left| left < 100)
    })
    .await
    .unwrap_or_else(|trouble| panic!("{trouble}"));
    scene.redis(&["DEL", &replies]).await;
    scene.redis(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    sleep(Duration::from_millis(200)).await;
    scene.asks_work().await;
    scene.end().await;
}
