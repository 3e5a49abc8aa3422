//! Many registrations that vanish at once: the store's doing, or real deaths.

use std::{collections::BTreeSet, time::Duration};

use callboard::kv::KeyValueStore;
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, Node, event, name};

const TTL: Duration = Duration::from_secs(5);

/// So many nodes that each have one instance, and see all of them.
async fn nodes(cluster: &Cluster, count: u64) -> Vec<Node> {
    let mut nodes = Vec::new();
    for n in 0..count {
        nodes.push(cluster.node(&format!("n{n}")).await);
    }
    for (n, node) in nodes.iter().enumerate() {
        node.register("orders", n as u64).await;
    }
    for node in &nodes {
        node.will_see("orders", count as usize).await;
    }
    nodes
}

fn suspects(node: &Node) -> usize {
    node.directory.resolve(&name("orders")).suspects.len()
}

/// Looks at every node every 10 ms, for so long: no instance may be missing anywhere.
async fn nobody_is_dropped(nodes: &[Node], during: Duration) {
    let start = Instant::now();
    while start.elapsed() < during {
        for node in nodes {
            let seen = node.sees("orders");
            assert_eq!(seen.len(), nodes.len(), "{seen:?} after {:?}", start.elapsed());
            assert_eq!(node.directory.nodes().len(), nodes.len());
        }
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_store_that_was_stopped_for_ten_seconds_nobody_was_dropped() {
    for count in [2, 3, 7] {
        for phase in 0..10 {
            let cluster = Cluster::default();
            let nodes = nodes(&cluster, count).await;
            sleep(Duration::from_millis(phase * 333)).await;
            let mut events = nodes[0].directory.watch(&name("orders"));
            nodes.iter().for_each(|node| node.line.freeze());
            nobody_is_dropped(&nodes, Duration::from_secs(10)).await;
            assert!(cluster.keys("").await.is_empty(), "the store has forgotten everybody");
            nodes.iter().for_each(|node| node.line.thaw());
            nobody_is_dropped(&nodes, TTL).await;
            assert_eq!(cluster.keys("svc/").await.len(), count as usize, "all are back");
            assert!(nodes.iter().all(|node| suspects(node) == 0));
            nobody_is_dropped(&nodes, Duration::from_secs(20)).await;
            let mut told = BTreeSet::new();
            while told.is_empty() || !told.contains("Fresh") {
                told.insert(event(&mut events).await);
            }
            assert!(!told.iter().any(|told| told.starts_with("died")), "{told:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_the_length_of_an_outage_nobody_who_lives_is_dropped() {
    let cluster = Cluster::default();
    let nodes = nodes(&cluster, 3).await;
    for step in 0..60 {
        // From before the first lease ends to long after the last.
        nodes.iter().for_each(|node| node.line.freeze());
        nobody_is_dropped(&nodes, Duration::from_millis(2_000 + step * 113)).await;
        nodes.iter().for_each(|node| node.line.thaw());
        nobody_is_dropped(&nodes, Duration::from_millis(11_000 + step * 37)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn leases_that_are_all_revoked_make_suspects_and_no_deaths() {
    let cluster = Cluster::default();
    let nodes = nodes(&cluster, 4).await;
    let mut events = nodes[0].directory.watch(&name("orders"));
    for n in 0..4 {
        let lease = cluster.lease_of(&format!("n{n}")).await;
        cluster.kv.lease_revoke(lease).await.unwrap();
    }
    sleep(Duration::from_millis(100)).await;
    assert_eq!((nodes[0].sees("orders").len(), suspects(&nodes[0])), (4, 4));
    assert!(event(&mut events).await.starts_with("Suspect"));
    sleep(TTL).await;
    for node in &nodes {
        assert_eq!((node.sees("orders").len(), suspects(node)), (4, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_real_death_is_no_mass_in_a_cluster_of_any_size() {
    for count in [2, 3, 10] {
        let cluster = Cluster::default();
        let nodes = nodes(&cluster, count).await;
        sleep(Duration::from_secs(7)).await;
        nodes[0].directory.abort();
        for node in &nodes[1..] {
            let elapsed = node.will_see("orders", count as usize - 1).await;
            assert!(elapsed <= TTL + Duration::from_millis(1_500), "{elapsed:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_mass_death_is_held_for_one_more_lease_only() {
    let cluster = Cluster::default();
    let nodes = nodes(&cluster, 6).await;
    sleep(Duration::from_secs(7)).await;
    let start = Instant::now();
    nodes[..4].iter().for_each(|node| node.directory.abort());
    sleep(TTL).await;
    for node in &nodes[4..] {
        assert_eq!((node.sees("orders").len(), suspects(node)), (6, 4));
    }
    for node in &nodes[4..] {
        node.will_see("orders", 2).await;
    }
    let elapsed = start.elapsed();
    assert!(elapsed > TTL + Duration::from_secs(3), "it was held: {elapsed:?}");
    assert!(elapsed <= 2 * TTL + Duration::from_millis(1_500), "{elapsed:?}");
    assert_eq!(nodes[5].directory.nodes().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_died_during_an_outage_is_gone_one_lease_after_it() {
    let cluster = Cluster::default();
    let nodes = nodes(&cluster, 3).await;
    nodes.iter().for_each(|node| node.line.freeze());
    sleep(Duration::from_secs(1)).await;
    nodes[0].directory.abort();
    sleep(Duration::from_secs(11)).await;
    nodes.iter().for_each(|node| node.line.thaw());
    let start = Instant::now();
    for node in &nodes[1..] {
        node.will_see("orders", 2).await;
    }
    let elapsed = start.elapsed();
    // The watch is back within 2 s, and so is the lease.
    assert!(elapsed > TTL - Duration::from_secs(1), "{elapsed:?}");
    assert!(elapsed <= TTL + Duration::from_millis(3_500), "{elapsed:?}");
}
