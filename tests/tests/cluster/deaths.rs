//! How soon everybody knows that a process was killed.

use callboard::prelude::*;
use callboard_tests::{
    servers::EtcdServer,
    tier,
    worker::{Echo, Worker, WorkerProcess},
};
use tokio::time::Instant;

use crate::support::{Cluster, ROWS, gone_from_all, is_long, nodes_of, order, row, sees};

/// A killed process is gone from every resolver within this, at a lease of 5 s.
const GONE_WITHIN: Duration = Duration::from_millis(6_500);
/// And if etcd's leader is killed with it.
const GONE_WITHIN_ACROSS_LEADERS: Duration = Duration::from_secs(15);
/// On a machine that is busy with other tests.
const MARGIN: Duration = Duration::from_secs(4);

/// The test's own system, a worker that serves `echo` and looks on, and one after the other that dies.
struct Scene {
    cluster: Cluster,
    system: System,
    other: WorkerProcess,
}

impl Scene {
    async fn set(cluster: Cluster) -> Self {
        let system = cluster.system("test").await;
        let mut other = cluster.worker("other").await;
        order(&mut other, "serve echo 1").await;
        sees(&system, "echo", 1).await;
        Self { cluster, system, other }
    }

    /// A worker that serves `jobs`, known to both.
    async fn victim(&mut self, node: &str) -> WorkerProcess {
        let mut victim = self.cluster.worker(node).await;
        order(&mut victim, "serve jobs 1").await;
        sees(&self.system, "jobs", 1).await;
        while order(&mut self.other, "instances jobs").await != node {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Anywhere between two renewals of its lease.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(..2_000))).await;
        victim
    }

    async fn end(self) {
        assert_eq!(nodes_of(&self.system, "echo"), ["other"], "who lives stays");
        self.system.shutdown().await.expect("the servers run");
    }
}

/// Calls to the dead end at their deadlines, calls to the living are answered.
async fn calls_do_not_hang(system: &System) -> usize {
    let (echo, jobs): (ServiceRef<Worker>, ServiceRef<Worker>) =
        (system.service("echo"), system.service("jobs"));
    let limit = Duration::from_secs(1);
    let mut asked = 0;
    loop {
        let ask = Echo { n: 1, micros: 0 };
        echo.ask(ask).timeout(Duration::from_secs(5)).await.expect("it lives");
        let begun = Instant::now();
        let dead = jobs.ask(ask).timeout(limit).await;
        assert!(dead.is_err(), "nobody answers");
        assert!(begun.elapsed() < limit + MARGIN, "{:?}", begun.elapsed());
        asked += 1;
        if nodes_of(system, "jobs").is_empty() {
            return asked;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_is_gone_from_every_resolver_soon_after_its_lease() {
    fastrand::seed(tier::seed());
    let mut scene = Scene::set(Cluster::start().await).await;
    let mut times = Vec::new();
    for kill in 0..tier::trials().div_ceil(4).max(2) {
        let node = format!("victim-{kill}");
        let mut victim = scene.victim(&node).await;
        victim.kill();
        let since = Instant::now();
        let gone = gone_from_all((&scene.system, &mut scene.other), ("jobs", &node), since);
        let (gone, asked) = tokio::join!(gone, calls_do_not_hang(&scene.system));
        println!("{node} is gone after {gone:?}; {asked} asked meanwhile");
        assert!(asked > 1);
        times.push(gone);
    }
    let figures = row("SIGKILL to gone from the last resolver, lease 5 s", &mut times);
    println!("{figures}");
    tier::record_figure("Killed processes in the directory", &format!("{ROWS}\n{figures}"));
    let limit = GONE_WITHIN + if is_long() { Duration::ZERO } else { MARGIN };
    assert!(times.iter().all(|gone| *gone <= limit), "{times:?}");
    scene.end().await;
}

/// Which member leads.
async fn leader(etcd: &EtcdServer) -> usize {
    let limit = Instant::now() + Duration::from_secs(20);
    loop {
        let status = etcd.ctl(&["endpoint", "status"]).await.unwrap_or_default();
        let led = status.lines().find(|line| line.split(", ").nth(4) == Some("true"));
        if let Some(url) = led.and_then(|line| line.split(", ").next()) {
            let member = etcd.endpoints().iter().position(|endpoint| endpoint == url);
            return member.expect("it is one of ours");
        }
        assert!(Instant::now() < limit, "nobody leads: {status}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_with_etcds_leader_is_gone_soon_after_two_leases() {
    fastrand::seed(tier::seed());
    let mut scene = Scene::set(Cluster::with_members(3).await).await;
    let mut times = Vec::new();
    for kill in 0..tier::trials().div_ceil(10) {
        let node = format!("victim-{kill}");
        let mut victim = scene.victim(&node).await;
        let leader = leader(&scene.cluster.etcd).await;
        scene.cluster.etcd.member(leader).kill();
        victim.kill();
        let since = Instant::now();
        let gone = gone_from_all((&scene.system, &mut scene.other), ("jobs", &node), since).await;
        println!("{node} is gone after {gone:?}");
        times.push(gone);
        assert_eq!(nodes_of(&scene.system, "echo"), ["other"], "who lives stays");
        scene.cluster.etcd.member(leader).restart().await.expect("it starts again");
    }
    let figures = row("SIGKILL together with the leader of a 3-member etcd", &mut times);
    println!("{figures}");
    tier::record_figure("Killed processes and leaders of etcd", &format!("{ROWS}\n{figures}"));
    let limit = GONE_WITHIN_ACROSS_LEADERS + if is_long() { Duration::ZERO } else { MARGIN };
    assert!(times.iter().all(|gone| *gone <= limit), "{times:?}");
    scene.end().await;
}
