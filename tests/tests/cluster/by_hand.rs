//! Harsher meddling with the servers' own clients than a stray entry: broken frames in every inbox, a
//! foreign value in the place of a stream's account, registrations that are overwritten or deleted.

use std::collections::BTreeMap;

use callboard::{Name, bus::keys, prelude::*};
use callboard_tests::{
    servers::{free_port, wait_until},
    worker::{Echo, Put, Worker, WorkerProcess},
};
use tokio::time::{Instant, timeout};

use crate::support::{Cluster, PATIENCE, order, sees};

/// Keys that were deleted or overwritten are back within this.
const BACK_WITHIN: Duration = Duration::from_secs(5);

const NODES: [&str; 2] = ["w1", "w2"];

/// Two workers that serve `jobs`, and who calls them.
struct Scene {
    cluster: Cluster,
    system: System,
    workers: [WorkerProcess; 2],
    jobs: ServiceRef<Worker>,
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
        let jobs = system.service("jobs");
        let mut scene = Self { cluster, system, workers, jobs, told: 0 };
        scene.all_is_well().await;
        scene
    }

    async fn redis(&self, command: &[&str]) -> String {
        self.cluster.redis.cli(command).await.unwrap_or_else(|trouble| panic!("{trouble}"))
    }

    async fn etcd(&self, command: &[&str]) -> String {
        self.cluster.etcd.ctl(command).await.unwrap_or_else(|trouble| panic!("{trouble}"))
    }

    /// The keys of nodes and instances that stand in etcd.
    async fn registered(&self) -> Vec<String> {
        let mut all = Vec::new();
        for kind in ["node", "svc"] {
            let prefix = format!("/callboard/{}/{kind}/", self.cluster.name);
            let listed = self.etcd(&["get", "--prefix", "--keys-only", &prefix]).await;
            all.extend(listed.lines().filter(|line| !line.is_empty()).map(str::to_owned));
        }
        all
    }

    /// Asks work both ways, tells are stored, and every tell so far was handled once.
    async fn all_is_well(&mut self) {
        for _ in 0..50 {
            let put = Put { id: self.told, micros: 0 };
            let told = timeout(PATIENCE, self.jobs.tell(put)).await;
            told.expect("a tell ends").expect("the stream takes it");
            self.told += 1;
        }
        for n in 0..10 {
            let asked = self.jobs.ask(Echo { n, micros: 0 }).timeout(Duration::from_secs(5)).await;
            assert_eq!(asked.expect("an instance answers").0, n);
        }
        for worker in &mut self.workers {
            assert!(order(worker, "ask jobs 7").await.starts_with("7 "));
        }
        let told = usize::try_from(self.told).expect("few");
        let handled = self.cluster.all_handled(&NODES, told).await;
        assert!(handled.values().all(|times| *times == 1), "{handled:?}");
    }

    async fn end(self) {
        self.system.shutdown().await.expect("the servers run");
    }
}

/// Frames that begin well, and one over all limits. `redis-cli` takes no zero bytes: a script makes them.
async fn add_broken_frames(scene: &Scene, key: &str) -> usize {
    let frames = [
        "string.rep(string.char(1, 0, 0, 0), 20)",
        "string.char(1) .. string.rep(string.char(0), 3) .. string.rep(string.char(255), 60)",
        "string.rep('x', 2000000)",
        "''",
    ];
    for frame in frames {
        let script = format!("return redis.call('XADD', KEYS[1], '*', 'b', {frame})");
        scene.redis(&["EVAL", &script, "1", key]).await;
    }
    frames.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_frames_in_every_stream_at_once_kill_no_reader() {
    let mut scene = Scene::set().await;
    let cluster = scene.system.cluster().clone();
    let incarnations: Vec<_> =
        scene.system.directory().nodes().iter().map(|node| node.incarnation).collect();
    assert_eq!(incarnations.len(), 3);
    let mut in_inboxes = 0;
    for incarnation in &incarnations {
        let inbox = keys::inbox(&cluster, *incarnation).to_string();
        in_inboxes += add_broken_frames(&scene, &inbox).await;
        add_broken_frames(&scene, &keys::replies(&cluster, *incarnation).to_string()).await;
    }
    let stream = keys::service(&cluster, &Name::new("jobs").expect("a name"), 0);
    let in_stream = add_broken_frames(&scene, &stream.to_string()).await;
    scene.all_is_well().await;

    let nodes = keys::dead_letters_of_nodes(&cluster);
    for (unit, count) in [(stream.unit(), in_stream), (nodes.unit(), in_inboxes)] {
        let dead = format!("{unit}:dlq");
        let mut letters = String::new();
        let waited = wait_until("the dead letters", PATIENCE, async || {
            letters = scene.redis(&["XLEN", &dead]).await;
            letters == count.to_string()
        });
        waited.await.unwrap_or_else(|trouble| panic!("{trouble}: {dead}: {letters} of {count}"));
    }
    scene.all_is_well().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_value_in_the_place_of_an_account_is_a_clear_error_until_it_is_removed() {
    let scene = Scene::set().await;
    let stream = keys::service(scene.system.cluster(), &Name::new("jobs").expect("a name"), 0);
    for (id, part) in (1000..).zip(["hw", "prog", "gone"]) {
        let key = format!("{}:{part}", stream.unit());
        scene.redis(&["SET", &key, "mine"]).await;
        let put = Put { id, micros: 0 };
        let told = timeout(PATIENCE, scene.jobs.tell(put)).await;
        match told.unwrap_or_else(|_| panic!("a tell ends: {key}")) {
            // It was not needed for this append.
            Ok(()) => assert_ne!(part, "hw"),
            Err(error) => {
                assert_eq!(error.failure().delivery(), Delivery::NotDelivered, "{key}: {error}");
                assert_eq!(error.into_message(), put);
            }
        }
        let asked = scene.jobs.ask(Echo { n: 1, micros: 0 }).await;
        asked.expect("asks take another way");
        scene.redis(&["DEL", &key]).await;
        let again = timeout(PATIENCE, scene.jobs.tell(put)).await;
        again.expect("a tell ends").expect("nothing is in the way");
        wait_until("it is handled", PATIENCE, async || {
            scene.cluster.handled(&NODES).contains_key(&id)
        })
        .await
        .unwrap_or_else(|trouble| panic!("{trouble}: {key}"));
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registrations_that_were_overwritten_or_deleted_by_hand_are_back_within_seconds() {
    let mut scene = Scene::set().await;
    let before = scene.registered().await;
    assert_eq!(before.len(), 5, "{before:?}");
    let is_a_record = |value: &str| {
        let record = serde_json::from_str::<serde_json::Value>(value);
        record.is_ok_and(|record| record["node"].is_string())
    };
    for key in &before {
        for command in [&["put", key, "mine"][..], &["del", key]] {
            scene.etcd(command).await;
            let since = Instant::now();
            let back = wait_until("the key", PATIENCE, async || {
                is_a_record(&scene.etcd(&["get", "--print-value-only", key]).await)
            });
            back.await.unwrap_or_else(|trouble| panic!("{trouble}: {command:?}"));
            assert!(since.elapsed() < BACK_WITHIN, "{command:?}: {:?}", since.elapsed());
        }
    }
    scene.all_is_well().await;
    scene.end().await;
}

/// As by a hasty `etcdctl del --prefix`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_when_the_whole_directory_is_deleted_by_hand() {
    let mut scene = Scene::set().await;
    let before = scene.registered().await;
    scene.etcd(&["del", "--prefix", &format!("/callboard/{}/", scene.cluster.name)]).await;
    let since = Instant::now();
    while since.elapsed() < BACK_WITHIN {
        let asked = scene.jobs.ask(Echo { n: 1, micros: 0 }).timeout(Duration::from_secs(5)).await;
        asked.unwrap_or_else(|error| panic!("after {:?}: {error}", since.elapsed()));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(scene.registered().await, before);
    scene.all_is_well().await;
    scene.end().await;
}

/// What `redis-cli` lists in pairs.
fn pairs(listed: &str) -> BTreeMap<String, String> {
    let lines: Vec<_> = listed.lines().collect();
    lines.chunks(2).map(|pair| (pair[0].to_owned(), pair[1..].concat())).collect()
}

#[tokio::test]
async fn redis_cli_shows_who_has_how_much_in_hand() {
    let cluster = Cluster::start().await;
    let system = cluster.system("test").await;
    let mut worker = cluster.worker("w1").await;
    order(&mut worker, "serve jobs 1").await;
    sees(&system, "jobs", 1).await;
    let nodes = system.directory().nodes();
    let known = nodes.iter().find(|node| node.node.as_str() == "w1").expect("it is up");
    let jobs: ServiceRef<Worker> = system.service("jobs");
    let live = format!("cb:{}:{{s:jobs:0}}:in", cluster.name);
    let hw = live.replace(":in", ":hw");
    let redis = async |command: &[&str]| {
        let said = cluster.redis.cli(command).await;
        pairs(&said.unwrap_or_else(|trouble| panic!("{trouble}")))
    };
    for id in 0..4 {
        jobs.tell(Put { id, micros: 1_000_000 }).await.expect("it is stored");
    }
    let consumer = redis(&["XINFO", "CONSUMERS", &live, "service"]).await;
    assert_eq!(consumer["name"], known.incarnation.to_string(), "{consumer:?}");
    assert_ne!(consumer["pending"], "0", "{consumer:?}");
    cluster.all_handled(&["w1"], 4).await;
    wait_until("all is settled", PATIENCE, async || {
        redis(&["XINFO", "STREAM", &live]).await["length"] == "0"
    })
    .await
    .unwrap_or_else(|trouble| panic!("{trouble}"));
    let consumer = redis(&["XINFO", "CONSUMERS", &live, "service"]).await;
    assert_eq!(consumer["pending"], "0", "{consumer:?}");
    let counts = redis(&["HGETALL", &hw]).await;
    assert_eq!((&*counts["appended"], &*counts["handled"]), ("4", "4"), "{counts:?}");
    system.shutdown().await.expect("the servers run");
}

/// From the environment, in another process.
#[tokio::test]
async fn a_process_with_half_a_cluster_in_its_environment_does_not_start() {
    let cluster = Cluster::start().await;
    for (etcd, redis) in [(cluster.etcd.url(), String::new()), (String::new(), cluster.redis.url())]
    {
        let setup = callboard_tests::worker::WorkerSetup { etcd, redis, ..cluster.setup("w1") };
        let trouble = WorkerProcess::start(setup).await.map(drop).expect_err("half a cluster");
        assert!(trouble.0.contains("set both CALLBOARD_ETCD and CALLBOARD_REDIS"), "{trouble}");
    }
    let nobody = format!("redis://127.0.0.1:{}", free_port());
    let setup = callboard_tests::worker::WorkerSetup { redis: nobody, ..cluster.setup("w1") };
    let trouble = WorkerProcess::start(setup).await.map(drop).expect_err("nobody listens there");
    assert!(trouble.0.contains("CALLBOARD_REDIS"), "{trouble}");
}
