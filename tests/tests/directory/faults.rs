use std::{sync::Arc, time::Duration};

use callboard::{
    Incarnation,
    directory::{Directory, DirectoryError},
    kv::{EmbeddedKv, KeyValueStore, Op, RangeRequest, Txn},
    testing::{FaultyKv, KvFaults},
};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};

use crate::cluster::{Cluster, event, name};

#[tokio::test(start_paused = true)]
async fn compaction_past_the_watch_makes_it_list_again() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    a.register("orders", 1).await;
    let mut events = b.directory.watch(&name("orders"));
    b.will_see("orders", 1).await;
    // Shorter than the lease, so that only the watch suffers.
    b.line.freeze();
    sleep(Duration::from_secs(1)).await;
    let gone = a.record("orders", 1).instance;
    a.directory.deregister(&[gone]).await.unwrap();
    a.register("orders", 2).await;
    let newest = cluster.kv.range(RangeRequest::prefix("/")).await.unwrap().revision;
    cluster.kv.compact(newest).await.unwrap();
    b.line.thaw();
    sleep(Duration::from_secs(3)).await;
    assert_eq!(b.sees("orders"), ["a/2"]);
    assert_eq!(event(&mut events).await, "left 1");
    assert_eq!(event(&mut events).await, "up 2");
}

#[tokio::test(start_paused = true)]
async fn an_outage_longer_than_the_lease_heals_within_five_seconds() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    a.register("orders", 1).await;
    b.register("orders", 2).await;
    a.will_see("orders", 2).await;
    let mut events = a.directory.watch(&name("orders"));
    a.line.freeze();
    b.line.freeze();
    sleep(Duration::from_secs(20)).await;
    assert_eq!(a.sees("orders").len(), 2, "it serves from what it knew");
    assert_eq!(event(&mut events).await, "Stale");
    assert!(a.directory.stale_since().unwrap().elapsed() > Duration::from_secs(12));
    assert!(a.directory.lease_deadline().unwrap() < Instant::now());
    assert!(cluster.keys("svc/").await.is_empty());
    a.line.thaw();
    b.line.thaw();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(a.sees("orders").len(), 2);
    assert_eq!(cluster.keys("svc/").await.len(), 2);
    assert_eq!(a.directory.stale_since(), None);
    let mut told = Vec::new();
    while told.last().is_none_or(|last| last != "Fresh") {
        told.push(event(&mut events).await);
    }
    // A longer outage is no second alarm.
    assert_eq!(told.iter().filter(|event| *event == "Stale").count(), 0, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn whenever_an_outage_ends_everything_is_registered_within_five_seconds() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    for number in 0..120 {
        a.register("orders", number).await;
    }
    b.will_see("orders", 120).await;
    for phase in 0..40 {
        // Refused at once or without an answer, with every phase of the waits between attempts.
        let errors = KvFaults { error: 1.0, ..KvFaults::default() };
        if phase % 2 == 0 {
            a.line.set(errors)
        } else {
            a.line.freeze()
        }
        sleep(Duration::from_millis(12_000 + phase * 137)).await;
        assert!(b.sees("orders").is_empty());
        a.line.heal();
        let elapsed = b.will_see("orders", 120).await;
        assert!(elapsed <= Duration::from_secs(5), "phase {phase}: {elapsed:?}");
        sleep(Duration::from_secs(3)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_falls_silent_is_replaced() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    b.line.set(KvFaults { watch_silence: 1.0, ..KvFaults::default() });
    sleep(Duration::from_secs(2)).await;
    b.line.heal();
    a.register("orders", 1).await;
    let elapsed = b.will_see("orders", 1).await;
    assert!(elapsed <= Duration::from_secs(5), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_watch_lost_is_found_by_the_audit() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    b.line.set(KvFaults { watch_loss: 1.0, ..KvFaults::default() });
    a.register("orders", 1).await;
    sleep(Duration::from_secs(1)).await;
    b.line.heal();
    sleep(Duration::from_secs(60)).await;
    assert!(b.sees("orders").is_empty(), "the watch does not know that it lost something");
    sleep(Duration::from_secs(550)).await;
    assert_eq!(b.sees("orders"), ["a/1"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_lost_its_data_is_filled_again() {
    let cluster = Cluster::default();
    let node = cluster.node("a").await;
    for number in 0..20 {
        node.register("orders", number).await;
    }
    let empty = EmbeddedKv::new();
    node.line.replace(Arc::new(empty.clone()));
    sleep(Duration::from_secs(8)).await;
    let keys = empty.range(RangeRequest::prefix("/callboard/c/svc/")).await.unwrap().kvs;
    assert_eq!(keys.len(), 20);
    assert_eq!(node.sees("orders").len(), 20);
    node.register("orders", 20).await;
    assert_eq!(node.sees("orders").len(), 21);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_arrives_after_its_undoing_is_cleared_away() {
    let cluster = Cluster::default();
    let node = cluster.node("a").await;
    let record = node.register("orders", 1).await;
    let value = cluster.keys("svc/").await[0].value.clone();
    node.directory.deregister(&[record.instance]).await.unwrap();
    let key = format!("/callboard/c/svc/orders/{}", record.instance);
    let lease = cluster.lease_of("a").await;
    cluster.kv.txn(Txn::new([Op::put(key, value, Some(lease))])).await.unwrap();
    node.will_see("orders", 1).await;
    assert!(node.will_see("orders", 0).await <= Duration::from_secs(5));
}

/// Found by random churn: the write was a repair, long after the wish.
#[tokio::test(start_paused = true)]
async fn so_is_one_of_an_instance_that_was_wanted_long_before() {
    let cluster = Cluster::default();
    let node = cluster.node("a").await;
    let record = node.register("orders", 1).await;
    let value = cluster.keys("svc/").await[0].value.clone();
    sleep(Duration::from_secs(120)).await;
    node.directory.deregister(&[record.instance]).await.unwrap();
    // Whatever the node finds out meanwhile.
    sleep(Duration::from_secs(7)).await;
    let key = format!("/callboard/c/svc/orders/{}", record.instance);
    let lease = cluster.lease_of("a").await;
    cluster.kv.txn(Txn::new([Op::put(key, value, Some(lease))])).await.unwrap();
    node.will_see("orders", 1).await;
    assert!(node.will_see("orders", 0).await <= Duration::from_secs(5));
}

/// Found by random churn: the answers to the audits passed for signs of life of the watch.
#[tokio::test(start_paused = true)]
async fn a_silent_watch_is_replaced_though_the_cache_is_audited_all_the_time() {
    let cluster = Cluster::default();
    let a = cluster.node("a").await;
    let mut options = cluster.options("b");
    options.audit_every = Duration::from_millis(400);
    let b = cluster.try_node(options).await.unwrap();
    b.line.set(KvFaults { watch_silence: 1.0, ..KvFaults::default() });
    sleep(Duration::from_secs(2)).await;
    b.line.heal();
    sleep(Duration::from_secs(8)).await;
    for number in 0..10 {
        a.register("orders", number).await;
        let elapsed = b.will_see("orders", number as usize + 1).await;
        assert!(elapsed < Duration::from_millis(100), "told by an audit: {elapsed:?}");
        sleep(Duration::from_millis(70)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_without_a_store_says_so_in_time() {
    let cluster = Cluster::default();
    let line = FaultyKv::new(Arc::new(cluster.kv.clone()), 1);
    line.freeze();
    let start = Instant::now();
    let options = cluster.options("a");
    let error = Directory::start(Arc::new(line), options, Handle::current()).await.unwrap_err();
    let DirectoryError::StartTimeout { after, source: Some(source) } = &error else {
        panic!("{error:?}");
    };
    assert_eq!((start.elapsed().as_secs(), after.as_secs()), (30, 30));
    assert!(source.to_string().contains("lease"), "{source}");
    sleep(Duration::from_secs(10)).await;
    assert!(cluster.keys("").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_without_a_store_ends_in_time_and_leaves_the_rest_to_the_lease() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    a.register("orders", 1).await;
    a.line.freeze();
    let error = a.directory.shutdown().await.unwrap_err();
    assert!(matches!(error, DirectoryError::Unreachable { .. }), "{error}");
    b.will_see("orders", 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_registration_waits_for_the_store_and_then_succeeds() {
    let cluster = Cluster::default();
    let node = cluster.node("a").await;
    node.line.set(KvFaults { error: 1.0, ..KvFaults::default() });
    let directory = node.directory.clone();
    let record = node.record("orders", 1);
    let registering = tokio::spawn(async move { directory.register(record).await });
    sleep(Duration::from_secs(30)).await;
    assert!(!registering.is_finished());
    node.line.heal();
    let start = Instant::now();
    registering.await.unwrap().unwrap();
    assert!(start.elapsed() <= Duration::from_secs(5));
    assert!(Incarnation::fresh() > node.directory.incarnation());
}

/// A store that lost its data and was then written to beyond the revision that is known here looks
/// as if it had gone on.
#[tokio::test(start_paused = true)]
async fn a_store_that_lost_its_data_and_has_overtaken_is_listed_again() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    a.register("orders", 1).await;
    b.register("orders", 2).await;
    b.will_see("orders", 2).await;
    // What node `a` is to be found by is at a revision that a watch from here on does not show.
    let wiped = Cluster::default();
    let late = wiped.node("c").await;
    late.register("orders", 3).await;
    for n in 0..100 {
        wiped.put(&format!("filler/{n}"), "x").await;
    }
    drop(a);
    b.line.replace(Arc::new(wiped.kv.clone()));
    // Far below the time of an audit.
    sleep(Duration::from_secs(30)).await;
    let mut sees = b.sees("orders");
    sees.sort();
    assert_eq!(sees, ["b/2", "c/3"]);
}
