use std::time::Duration;

use callboard::{
    Incarnation,
    directory::DirectoryError,
    kv::{KeyValueStore, Op, Txn},
    testing::KvFaults,
};
use tokio::time::{Instant, sleep, sleep_until};

use crate::cluster::{Cluster, name};

#[tokio::test(start_paused = true)]
async fn a_crashed_node_is_gone_after_its_lease() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    a.register("orders", 1).await;
    b.will_see("orders", 1).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(b.sees("orders").len(), 1, "alive for long");
    a.directory.abort();
    let elapsed = b.will_see("orders", 0).await;
    assert!(elapsed <= Duration::from_millis(6_500), "{elapsed:?}");
    assert_eq!(b.directory.nodes().len(), 1);
    let refused = a.directory.register(a.record("orders", 2)).await.unwrap_err();
    assert!(matches!(refused, DirectoryError::Closed), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_shuts_down_is_gone_at_once_and_leaves_nothing() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    for number in 0..120 {
        a.register("orders", number).await;
    }
    b.will_see("orders", 120).await;
    a.directory.shutdown().await.unwrap();
    assert!(b.will_see("orders", 0).await < Duration::from_millis(100));
    sleep(Duration::from_millis(100)).await;
    assert_eq!(b.directory.nodes().len(), 1);
    assert_eq!(a.directory.lease_deadline(), None);
    a.directory.shutdown().await.unwrap();
    assert_eq!(cluster.keys("bye/").await.len(), 120);
    sleep(Duration::from_secs(61)).await;
    assert!(cluster.keys("bye/").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_is_replaced_and_everything_is_registered_again() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    for number in 0..150 {
        a.register("orders", number).await;
    }
    b.will_see("orders", 150).await;
    let lost = cluster.lease_of("a").await;
    cluster.kv.lease_revoke(lost).await.unwrap();
    b.will_see("orders", 0).await;
    let elapsed = b.will_see("orders", 150).await;
    assert!(elapsed <= Duration::from_secs(5), "{elapsed:?}");
    assert_ne!(cluster.lease_of("a").await, lost);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(b.sees("orders").len(), 150);
}

#[tokio::test(start_paused = true)]
async fn the_key_of_a_node_is_back_when_it_was_deleted_by_hand() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    cluster.delete("/callboard/c/node/a").await;
    // What is registered meanwhile waits for it.
    let start = Instant::now();
    a.register("orders", 1).await;
    b.will_see("orders", 1).await;
    assert!(start.elapsed() <= Duration::from_secs(5));
    assert_eq!(b.directory.nodes().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_later_life_takes_over_and_the_earlier_one_never_comes_back() {
    let cluster = Cluster::default();
    let watching = cluster.node("w").await;
    let old = cluster.node("a").await;
    old.register("orders", 1).await;
    let new = cluster.node("a").await;
    new.register("orders", 2).await;
    watching.will_see("orders", 1).await;
    assert_eq!(watching.sees("orders"), ["a/2"]);
    let refused = old.directory.register(old.record("orders", 3)).await.unwrap_err();
    assert!(
        matches!(refused, DirectoryError::Superseded { by } if by == new.directory.incarnation())
    );
    assert_eq!(old.directory.superseded_by(), Some(new.directory.incarnation()));
    assert_eq!(old.directory.lease_deadline(), None);
    old.directory.shutdown().await.unwrap();
    // Nor can it start.
    let mut options = cluster.options("a");
    options.incarnation = old.directory.incarnation();
    let refused = cluster.try_node(options).await.unwrap_err();
    assert!(matches!(refused, DirectoryError::Superseded { .. }), "{refused}");
    sleep(Duration::from_secs(30)).await;
    assert_eq!(watching.sees("orders"), ["a/2"]);
}

#[tokio::test(start_paused = true)]
async fn a_paused_process_that_was_replaced_changes_nothing_when_it_wakes() {
    let cluster = Cluster::default();
    let old = cluster.node("a").await;
    old.register("orders", 1).await;
    old.line.freeze();
    sleep(Duration::from_secs(10)).await;
    let new = cluster.node("a").await;
    new.register("orders", 2).await;
    old.line.thaw();
    sleep(Duration::from_secs(30)).await;
    assert_eq!(new.sees("orders"), ["a/2"]);
    assert_eq!(cluster.keys("svc/").await.len(), 1);
    assert_eq!(old.directory.superseded_by(), Some(new.directory.incarnation()));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_counts_from_before_the_request() {
    let cluster = Cluster::default();
    let node = cluster.node("a").await;
    for _ in 0..50 {
        let left = node.directory.lease_deadline().unwrap() - Instant::now();
        assert!(left <= Duration::from_millis(4_500), "{left:?}");
        assert!(left >= Duration::from_millis(2_500), "{left:?}");
        sleep(Duration::from_millis(333)).await;
    }
    node.line.freeze();
    sleep(Duration::from_secs(6)).await;
    assert!(node.directory.lease_deadline().unwrap() < Instant::now());
}

#[tokio::test(start_paused = true)]
async fn until_the_deadline_the_node_stands_in_the_store() {
    let cluster = Cluster::default();
    for trial in 0..30 {
        let node = cluster.node("a").await;
        // Answers that come late must not make the deadline later.
        let delay_max = Duration::from_millis(950);
        node.line.set(KvFaults { delay_max, ..KvFaults::default() });
        sleep(Duration::from_millis(5_000 + trial * 97)).await;
        node.directory.abort();
        let deadline = node.directory.lease_deadline().unwrap();
        sleep_until(deadline).await;
        assert_eq!(cluster.keys("node/").await.len(), 1, "trial {trial}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_last_clone_ends_the_tasks() {
    let cluster = Cluster::default();
    let node = cluster.node("a").await;
    let second = node.directory.clone();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(cluster.kv.watchers(), 1);
    drop(node);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(second.nodes().len(), 1);
    drop(second);
    sleep(Duration::from_millis(10)).await;
    assert_eq!(cluster.kv.watchers(), 0);
}

#[tokio::test(start_paused = true)]
async fn options_out_of_bounds_are_refused() {
    let cluster = Cluster::default();
    let mut short = cluster.options("a");
    short.lease_ttl = Duration::from_secs(4);
    let mut hasty = cluster.options("a");
    hasty.silence_max = Duration::from_millis(500);
    let mut empty = cluster.options("a");
    empty.page_keys = 0;
    for (options, expected) in [(short, "lease_ttl"), (hasty, "silence_max"), (empty, "page_keys")]
    {
        let error = cluster.try_node(options).await.unwrap_err();
        assert!(matches!(error, DirectoryError::Option { option, .. } if option == expected));
    }
    assert!(cluster.keys("").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_node_key_that_nobody_can_read_is_taken() {
    let cluster = Cluster::default();
    cluster.put("node/a", "garbage").await;
    let node = cluster.node("a").await;
    assert_eq!(node.directory.nodes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_another_cluster_member_holds_later_is_not_taken_from_it() {
    let cluster = Cluster::default();
    let later = Incarnation::from_u128(u128::MAX);
    let json = format!("{{\"node\":\"a\",\"incarnation\":\"{later}\",\"callboard\":\"9\"}}");
    let put = Op::put("/callboard/c/node/a", json.clone(), None);
    cluster.kv.txn(Txn::new([put])).await.unwrap();
    let refused = cluster.try_node(cluster.options("a")).await.unwrap_err();
    assert!(matches!(refused, DirectoryError::Superseded { by } if by == later), "{refused}");
    assert_eq!(cluster.keys("node/").await[0].value, json);
    assert_eq!(name("a").as_str(), "a");
}
