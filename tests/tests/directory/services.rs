use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use callboard::{
    directory::DirectoryError,
    kv::{KeyValueStore, Op, Txn},
    testing::KvFaults,
};
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, event, name};

#[tokio::test(start_paused = true)]
async fn a_registered_instance_is_in_the_store_and_in_the_own_cache() {
    let cluster = Cluster::default();
    let node = cluster.node("n1").await;
    let record = node.register("orders", 1).await;
    assert_eq!(node.sees("orders"), ["n1/1"]);
    let keys = cluster.keys("svc/").await;
    assert_eq!(keys[0].key, format!("/callboard/c/svc/orders/{}", record.instance));
    let json = String::from_utf8(keys[0].value.to_vec()).unwrap();
    assert!(json.contains("\"service\":\"orders\""), "{json}");
    assert_eq!(node.directory.services(), [name("orders")]);
}

#[tokio::test(start_paused = true)]
async fn two_nodes_see_each_other() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    a.register("orders", 1).await;
    b.register("orders", 1).await;
    for node in [&a, &b] {
        node.will_see("orders", 2).await;
        let nodes = node.directory.nodes();
        assert_eq!(nodes.iter().map(|n| n.node.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_later_node_lists_what_was_there() {
    let cluster = Cluster::default();
    let a = cluster.node("a").await;
    for number in 0..250 {
        a.register(&format!("s{}", number % 7), number).await;
    }
    let mut options = cluster.options("b");
    options.page_keys = 10;
    let b = cluster.try_node(options).await.unwrap();
    assert_eq!(b.directory.services().len(), 7);
    assert_eq!((0..7).map(|n| b.sees(&format!("s{n}")).len()).sum::<usize>(), 250);
}

#[tokio::test(start_paused = true)]
async fn many_at_once_are_registered_in_few_transactions() {
    let cluster = Cluster::default();
    let node = cluster.node("a").await;
    let registering = (0..500).map(|number| node.directory.register(node.record("orders", number)));
    let before = cluster.kv.range(callboard::kv::RangeRequest::prefix("/")).await.unwrap().revision;
    for outcome in futures_util::future::join_all(registering).await {
        outcome.unwrap();
    }
    let after = cluster.kv.range(callboard::kv::RangeRequest::prefix("/")).await.unwrap().revision;
    assert_eq!(node.sees("orders").len(), 500);
    assert!(after.0 - before.0 <= 10, "{} transactions", after.0 - before.0);
}

#[tokio::test(start_paused = true)]
async fn the_events_tell_who_left_and_who_died() {
    let cluster = Cluster::default();
    let (a, b, watching) =
        (cluster.node("a").await, cluster.node("b").await, cluster.node("w").await);
    let mut events = watching.directory.watch(&name("orders"));
    let first = a.register("orders", 1).await;
    let mut second = b.register("orders", 2).await;
    a.register("orders", 3).await;
    second.weight = 7;
    b.directory.register(second).await.unwrap();
    a.directory.deregister(&[first.instance]).await.unwrap();
    assert_eq!(a.sees("orders").len(), 2);
    let told = [event(&mut events).await, event(&mut events).await, event(&mut events).await];
    assert_eq!(told, ["up 1", "up 2", "up 3"]);
    assert_eq!(event(&mut events).await, "changed 2");
    assert_eq!(event(&mut events).await, "left 1");
    let start = Instant::now();
    b.directory.abort();
    assert_eq!(event(&mut events).await, "died 2");
    let elapsed = start.elapsed();
    assert!(elapsed > Duration::from_secs(3) && elapsed <= Duration::from_secs(5), "{elapsed:?}");
    a.directory.shutdown().await.unwrap();
    assert_eq!(event(&mut events).await, "left 3");
    watching.directory.shutdown().await.unwrap();
    assert_eq!(event(&mut events).await, "the end");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_deleted_by_hand_is_back_within_five_seconds() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    a.register("orders", 1).await;
    b.will_see("orders", 1).await;
    for _ in 0..5 {
        cluster.delete(&cluster.keys("svc/").await[0].key).await;
        b.will_see("orders", 0).await;
        let elapsed = b.will_see("orders", 1).await;
        assert!(elapsed <= Duration::from_secs(5), "{elapsed:?}");
        sleep(Duration::from_millis(1300)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_overwritten_by_hand_is_right_again_within_five_seconds() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    a.register("orders", 1).await;
    let key = cluster.keys("svc/").await[0].key.clone();
    cluster.put(key.strip_prefix("/callboard/c/").unwrap(), "garbage").await;
    b.will_see("orders", 0).await;
    assert!(b.will_see("orders", 1).await <= Duration::from_secs(5));
    // Under the lease again, not under none.
    a.directory.abort();
    b.will_see("orders", 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_lost_its_lease_by_hand_gets_it_back() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    a.register("orders", 1).await;
    let kv = cluster.keys("svc/").await.remove(0);
    let put = Op::put(kv.key, kv.value, None);
    cluster.kv.txn(Txn::new([put])).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(cluster.keys("svc/").await[0].lease, kv.lease);
    a.directory.abort();
    b.will_see("orders", 0).await;
}

#[tokio::test(start_paused = true)]
async fn registering_waits_for_the_own_cache() {
    let cluster = Cluster::default();
    let node = cluster.node("a").await;
    node.line.set(KvFaults { watch_silence: 1.0, ..KvFaults::default() });
    sleep(Duration::from_millis(1_500)).await;
    node.line.heal();
    let record = node.register("orders", 1).await;
    assert_eq!(node.sees("orders").len(), 1);
    node.line.set(KvFaults { watch_silence: 1.0, ..KvFaults::default() });
    sleep(Duration::from_millis(1_500)).await;
    node.line.heal();
    node.directory.deregister(&[record.instance]).await.unwrap();
    assert!(node.sees("orders").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn handles_on_other_threads_follow_and_generations_only_rise() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    let mut handle = b.directory.handle(&name("orders"));
    let done = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&done);
    let reader = std::thread::spawn(move || {
        let (mut last, mut seen) = (0, 0);
        while !stop.load(Ordering::Relaxed) {
            let view = handle.current();
            assert!(view.generation >= last);
            seen += u64::from(view.generation > last);
            last = view.generation;
            assert!(view.instances.is_sorted_by_key(|record| record.instance));
            std::thread::yield_now();
        }
        (seen, handle.current().instances.len())
    });
    for number in 0..100 {
        a.register("orders", number).await;
    }
    while b.sees("orders").len() < 100 {
        sleep(Duration::from_millis(5)).await;
    }
    done.store(true, Ordering::Relaxed);
    let (seen, left) = reader.join().unwrap();
    assert!(seen > 1 && left == 100, "{seen} views, {left} instances");
}

#[tokio::test(start_paused = true)]
async fn foreign_values_are_left_out_and_counted() {
    let cluster = Cluster::default();
    let early = cluster.node("a").await;
    let instance = "00000000000000000000000000000001-1";
    for (key, value) in [
        ("node/x", "not json"),
        ("node/y", "{\"node\":\"z\"}"),
        ("def/orders", "[1,2]"),
        ("svc/orders/1", "{}"),
        (&format!("svc/orders/{instance}"), "{\"service\":\"orders\"}"),
        (&format!("svc/mail/{instance}"), "\u{0}\u{1b}[2J"),
    ] {
        cluster.put(key, value).await;
    }
    // Somebody else's keys are nobody's fault.
    cluster.put("part/orders/1", "x").await;
    cluster.put("", "x").await;
    let late = cluster.node("b").await;
    early.register("orders", 1).await;
    late.will_see("orders", 1).await;
    for node in [&early, &late] {
        assert_eq!(node.directory.malformed_values(), 6);
        assert_eq!(node.directory.services(), [name("orders")]);
        assert_eq!(node.directory.nodes().len(), 2);
        assert!(node.directory.definition(&name("orders")).is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_lags_is_told_to_read_anew() {
    let cluster = Cluster::default();
    let mut options = cluster.options("a");
    options.events_max = 4;
    let node = cluster.try_node(options).await.unwrap();
    let mut events = node.directory.watch(&name("orders"));
    for number in 0..20 {
        node.register("orders", number).await;
    }
    assert_eq!(event(&mut events).await, "Resync");
    assert_eq!(node.sees("orders").len(), 20);
    assert_eq!(event(&mut events).await, "up 16");
}

#[tokio::test(start_paused = true)]
async fn records_of_others_are_refused() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    let of_another_node = b.record("orders", 1);
    let mut of_another_life = a.record("orders", 1);
    of_another_life.instance = of_another_node.instance;
    let mut too_large = a.record("orders", 1);
    too_large.version = Some("x".repeat(2_000_000));
    for record in [of_another_node, of_another_life, too_large] {
        let error = a.directory.register(record).await.unwrap_err();
        assert!(matches!(error, DirectoryError::Record(_)), "{error}");
    }
    assert!(cluster.keys("svc/").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn clusters_in_one_store_do_not_see_each_other() {
    let cluster = Cluster::default();
    let a = cluster.node("a").await;
    let mut options = cluster.options("b");
    options.cluster = name("c2");
    let b = cluster.try_node(options).await.unwrap();
    a.register("orders", 1).await;
    b.register("orders", 2).await;
    assert_eq!(a.sees("orders"), ["a/1"]);
    assert_eq!(b.sees("orders"), ["b/2"]);
}
