//! Leaders that are stopped past their lease and wake up.

use std::collections::BTreeMap;

use callboard::{
    directory::Leadership,
    kv::{EtcdKv, EtcdOptions, KeyValueStore, Revision, WatchRequest},
    prelude::*,
};
use callboard_tests::{
    leading::{guarded_key, noted},
    servers::wait_until,
    tier,
};
use tokio::time::{sleep, timeout};

use crate::support::{Cluster, PATIENCE, is_long, order};

const ROLE: &str = "billing";
const NODES: [&str; 2] = ["w1", "w2"];

async fn store(cluster: &Cluster) -> EtcdKv {
    let options = EtcdOptions::new(cluster.etcd.endpoints());
    EtcdKv::connect(options).await.expect("it runs")
}

/// The token that was written last.
async fn last_token(kv: &EtcdKv) -> Option<String> {
    let there = kv.get(&guarded_key(ROLE)).await.expect("it runs");
    there.map(|kv| String::from_utf8(kv.value.to_vec()).expect("a token"))
}

/// Every write of the guarded key that etcd ever took: the token, by its revision.
async fn history(kv: &EtcdKv) -> BTreeMap<i64, String> {
    let newest = kv.get(&guarded_key(ROLE)).await.expect("it runs").expect("it was written");
    let request = WatchRequest { prefix: guarded_key(ROLE), from: Revision(1) };
    let mut watcher = kv.watch(request).await.expect("it runs");
    let mut history = BTreeMap::new();
    while history.keys().next_back() < Some(&newest.mod_revision.0) {
        let batch = timeout(PATIENCE, watcher.next()).await.expect("there is more");
        for event in batch.expect("it runs").events {
            let token = String::from_utf8(event.kv.value.to_vec()).expect("a token");
            history.insert(event.kv.mod_revision.0, token);
        }
    }
    history
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_stopped_past_its_lease_writes_nothing_after_the_next_one() {
    fastrand::seed(tier::seed());
    let cluster = Cluster::start().await;
    let system = cluster.system("test").await;
    let mut workers = [cluster.worker(NODES[0]).await, cluster.worker(NODES[1]).await];
    for worker in &mut workers {
        order(worker, &format!("lead {ROLE}")).await;
    }
    let (kv, role) = (store(&cluster).await, system.role(ROLE).expect("a name"));
    let trials = if is_long() { tier::trials() } else { 3 };
    let mut before = None;
    for _ in 0..trials {
        // Whoever leads has written, and the other waits behind.
        wait_until("a new leader and a candidate", PATIENCE, async || {
            let candidates = role.candidates().await.map_or(0, |candidates| candidates.len());
            candidates == NODES.len() && last_token(&kv).await > before
        })
        .await
        .unwrap_or_else(|trouble| panic!("{trouble}"));
        let old = last_token(&kv).await;
        let leader = role.leader().await.expect("it runs").expect("there is one").node;
        let leading = NODES.iter().position(|node| *node == leader.as_str()).expect("one of ours");
        sleep(Duration::from_micros(fastrand::u64(..50_000))).await;
        workers[leading].stop();
        wait_until("the next leader", PATIENCE, async || last_token(&kv).await > old)
            .await
            .unwrap_or_else(|trouble| panic!("{trouble}"));
        sleep(Duration::from_millis(fastrand::u64(..500))).await;
        workers[leading].cont();
        before = old;
    }
    // The last one to wake up had its time, too.
    sleep(Duration::from_secs(2)).await;
    workers.iter().for_each(|worker| worker.stop());

    let history = history(&kv).await;
    let in_order: Vec<_> = history.values().cloned().collect();
    let back = in_order.windows(2).find(|two| two[0] > two[1]);
    assert_eq!(back, None, "a token went back among {} writes", in_order.len());
    let mut leaders = in_order.clone();
    leaders.dedup();
    assert!(leaders.len() > trials as usize, "{} leaders", leaders.len());
    let (mut accepted, mut fenced) = (0, 0);
    for node in NODES {
        for (is_accepted, token, revision) in noted(&cluster.setup(node).writes()).expect("a file")
        {
            if is_accepted {
                assert_eq!(history.get(&revision), Some(&token), "at revision {revision}");
                accepted += 1;
            } else {
                fenced += 1;
            }
        }
    }
    let figures = format!(
        "{trials} leaders were stopped past their lease; {} guarded writes were accepted ({accepted} \
         answers arrived), {fenced} of leaders of the past were refused by etcd, none was accepted.",
        history.len(),
    );
    println!("{figures}");
    tier::record_figure("Leaders that were stopped", &figures);
    assert!(fenced > 0, "those who woke up have tried");
    workers.iter().for_each(|worker| worker.cont());
    system.shutdown().await.expect("the servers run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_rise_over_an_etcd_that_lost_its_data() {
    let mut cluster = Cluster::start().await;
    let system = cluster.system("test").await;
    let role = system.role(ROLE).expect("a name");
    let mut tokens = Vec::new();
    for _ in 0..3 {
        let led = role.lead(async |leadership: Leadership| leadership.token());
        let token = timeout(PATIENCE, led).await.expect("nobody is in the way").expect("it leads");
        println!("token {token}");
        tokens.push(token);
        cluster.etcd.wipe().await;
    }
    // One that never knew the old data.
    let late = cluster.system("late").await;
    let role = late.role(ROLE).expect("a name");
    let led = role.lead(async |leadership: Leadership| leadership.token());
    tokens.push(timeout(PATIENCE, led).await.expect("nobody is in the way").expect("it leads"));
    assert!(tokens.is_sorted_by(|one, next| one.generation() < next.generation()), "{tokens:?}");
    late.shutdown().await.expect("the servers run");
    system.shutdown().await.expect("the servers run");
}
