//! What instances say of themselves, and how it reaches the caches.

use std::time::Duration;

use callboard::{
    directory::{DirectoryEvent, HEALTH_REASON_BYTES_MAX, HealthRecord, HealthState, InstanceName},
    kv::{KeyValueStore, RangeRequest},
};
use tokio::time::{sleep, timeout};

use crate::cluster::{Cluster, Node, event, name};

fn health(state: HealthState) -> HealthRecord {
    HealthRecord::new(state, 7, "db: refused")
}

fn state(node: &Node, instance: InstanceName) -> HealthState {
    node.directory.resolve(&name("orders")).health_of(instance)
}

/// The numbers of those that are called, with their weights.
fn called(node: &Node) -> Vec<(u64, u64)> {
    let view = node.directory.resolve(&name("orders"));
    view.routing.iter().map(|(at, weight)| (view.instances[at].instance.number(), weight)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_state_is_seen_everywhere_and_written_only_while_it_is_not_passing() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    let one = a.register("orders", 1).await.instance;
    a.register("orders", 2).await;
    b.will_see("orders", 2).await;
    let mut events = b.directory.watch(&name("orders"));
    assert!(cluster.keys("health/").await.is_empty());
    for (said, weights) in [
        (HealthState::Degraded, vec![(1, 1), (2, 4)]),
        (HealthState::Critical, vec![(2, 4)]),
        (HealthState::Passing, vec![(1, 4), (2, 4)]),
    ] {
        a.directory.set_health(one, health(said)).await.unwrap();
        assert_eq!(event(&mut events).await, format!("{said} 1"));
        assert_eq!((state(&b, one), called(&b)), (said, weights));
        let keys = cluster.keys("health/").await;
        assert_eq!(keys.len(), usize::from(said != HealthState::Passing));
    }
    a.directory.set_health(one, health(HealthState::Critical)).await.unwrap();
    let key = cluster.keys("health/").await.remove(0);
    assert_eq!(key.key, format!("/callboard/c/health/orders/{one}"));
    assert_eq!(key.value, r#"{"state":"critical","since_ms":7,"reason":"db: refused"}"#);
    assert_eq!(key.lease, cluster.keys("svc/").await[0].lease);
    let view = b.directory.resolve(&name("orders"));
    assert_eq!(view.health[0].1.reason, "db: refused");
    // A reason that was made longer afterwards is cut all the same.
    let mut long = health(HealthState::Critical);
    long.reason = "x".repeat(10_000);
    a.directory.set_health(one, long).await.unwrap();
    sleep(Duration::from_millis(10)).await;
    let view = b.directory.resolve(&name("orders"));
    assert_eq!(view.health[0].1.reason.len(), HEALTH_REASON_BYTES_MAX);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_does_not_pass_yet_is_never_seen_as_one_that_does() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    let mut events = b.directory.watch(&name("orders"));
    for number in 0..20 {
        let record = a.record("orders", number);
        let said = health(HealthState::Starting);
        a.directory.register_with_health(record, said).await.unwrap();
        assert_eq!(event(&mut events).await, format!("up {number}"));
        assert_eq!(event(&mut events).await, format!("starting {number}"));
        assert!(called(&b).is_empty());
    }
    // Whoever saw every revision by itself saw the state before its instance.
    let created = async |kind| {
        let keys = cluster.keys(kind).await;
        keys.iter().map(|kv| kv.create_revision).collect::<Vec<_>>()
    };
    let (states, instances) = (created("health/").await, created("svc/").await);
    assert!(states.iter().zip(&instances).all(|(state, instance)| state < instance));
    // Nor by who lists.
    let late = cluster.node("late").await;
    assert!(called(&late).is_empty() && late.sees("orders").len() == 20);
}

#[tokio::test(start_paused = true)]
async fn a_state_goes_with_its_instance_and_leaves_nothing_behind() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    let record = a.register("orders", 1).await;
    a.directory.set_health(record.instance, health(HealthState::Critical)).await.unwrap();
    a.directory.deregister(&[record.instance]).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    assert!(cluster.keys("health/").await.is_empty());
    // Nobody says anything of an instance that is not registered.
    a.directory.set_health(record.instance, health(HealthState::Critical)).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert!(cluster.keys("health/").await.is_empty());
    // The same name, later: as new.
    a.directory.register(record.clone()).await.unwrap();
    b.will_see("orders", 1).await;
    assert_eq!(state(&b, record.instance), HealthState::Passing);
    // A crash takes it along.
    a.directory.set_health(record.instance, health(HealthState::Degraded)).await.unwrap();
    a.directory.abort();
    b.will_see("orders", 0).await;
    assert!(cluster.keys("health/").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_state_that_was_deleted_or_written_by_hand_is_right_again_within_five_seconds() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    let one = a.register("orders", 1).await.instance;
    a.directory.set_health(one, health(HealthState::Critical)).await.unwrap();
    let key = cluster.keys("health/").await[0].key.clone();
    for by_hand in [None, Some("{\"state\":\"splendid\"}"), Some("{\"state\":\"passing\"}")] {
        match by_hand {
            None => cluster.delete(&key).await,
            Some(value) => cluster.put(key.strip_prefix("/callboard/c/").unwrap(), value).await,
        }
        sleep(Duration::from_millis(10)).await;
        assert_eq!(state(&b, one), HealthState::Passing, "{by_hand:?}");
        sleep(Duration::from_secs(5)).await;
        assert_eq!(state(&b, one), HealthState::Critical, "{by_hand:?}");
    }
    assert_eq!(b.directory.malformed_values(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_suspect_keeps_its_state_and_a_lost_lease_brings_it_back() {
    suspects_keep_their_states(false).await;
}

#[tokio::test(start_paused = true)]
async fn a_suspect_keeps_its_state_through_a_list() {
    suspects_keep_their_states(true).await;
}

async fn suspects_keep_their_states(listed: bool) {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    let one = a.register("orders", 1).await.instance;
    a.register("orders", 2).await;
    a.directory.set_health(one, health(HealthState::Critical)).await.unwrap();
    b.will_see("orders", 2).await;
    let mut events = b.directory.watch(&name("orders"));
    // Every lease ends while every node lives.
    a.line.freeze();
    b.line.freeze();
    sleep(Duration::from_secs(8)).await;
    assert!(cluster.keys("health/").await.is_empty());
    if listed {
        let newest = cluster.kv.range(RangeRequest::prefix("/")).await.unwrap().revision;
        cluster.kv.compact(newest).await.unwrap();
    }
    b.line.thaw();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(b.directory.resolve(&name("orders")).suspects.len(), 2);
    assert_eq!((state(&b, one), called(&b)), (HealthState::Critical, vec![(2, 4)]));
    a.line.thaw();
    sleep(Duration::from_secs(5)).await;
    assert!(b.directory.resolve(&name("orders")).suspects.is_empty());
    assert_eq!((state(&b, one), called(&b)), (HealthState::Critical, vec![(2, 4)]));
    let mut told = Vec::new();
    while let Ok(next) = timeout(Duration::ZERO, events.next()).await {
        told.push(next.expect("it goes on"));
    }
    let passing = |event: &DirectoryEvent| match event {
        DirectoryEvent::Health { health, .. } => health.state == HealthState::Passing,
        _ => false,
    };
    assert!(!told.iter().any(passing), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn when_fewer_than_half_pass_all_are_called_and_it_is_told() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    let mut instances = Vec::new();
    for number in 0..4 {
        instances.push(a.register("orders", number).await.instance);
    }
    b.will_see("orders", 4).await;
    let mut events = b.directory.watch(&name("orders"));
    for instance in &instances[..2] {
        a.directory.set_health(*instance, health(HealthState::Critical)).await.unwrap();
    }
    sleep(Duration::from_millis(10)).await;
    assert_eq!(called(&b), [(2, 4), (3, 4)], "half of them is enough");
    a.directory.set_health(instances[2], health(HealthState::Critical)).await.unwrap();
    for expected in ["critical 0", "critical 1", "critical 2", "Panic(true)"] {
        assert_eq!(event(&mut events).await, expected);
    }
    assert!(b.directory.resolve(&name("orders")).is_panicking());
    assert_eq!(called(&b).len(), 4);
    // Who was taken out on purpose is not called even then.
    a.directory.set_health(instances[0], health(HealthState::Maintenance)).await.unwrap();
    a.directory.set_health(instances[1], health(HealthState::Passing)).await.unwrap();
    for expected in ["maintenance 0", "passing 1", "Panic(false)"] {
        assert_eq!(event(&mut events).await, expected);
    }
    assert_eq!(called(&b), [(1, 4), (3, 4)]);
}

/// Found by random churn: the record took the state along that went with it, and nobody was told.
#[tokio::test(start_paused = true)]
async fn a_state_that_goes_in_one_step_with_a_change_of_its_instance_is_told() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    for is_changed in [true, false] {
        let mut record = a.register("orders", 1).await;
        a.directory.set_health(record.instance, health(HealthState::Critical)).await.unwrap();
        sleep(Duration::from_millis(100)).await;
        let mut events = b.directory.watch(&name("orders"));
        b.line.freeze();
        a.directory.set_health(record.instance, health(HealthState::Passing)).await.unwrap();
        let key = format!("svc/orders/{}", record.instance);
        if is_changed {
            record.weight = 7;
            a.directory.register(record.clone()).await.unwrap();
        } else {
            let there = cluster.keys(&key).await.remove(0).value;
            cluster.put(&key, std::str::from_utf8(&there).unwrap()).await;
        }
        b.line.thaw();
        sleep(Duration::from_millis(100)).await;
        assert_eq!((state(&b, record.instance), called(&b).len()), (HealthState::Passing, 1));
        if is_changed {
            assert_eq!(event(&mut events).await, "changed 1");
        }
        assert_eq!(event(&mut events).await, "passing 1");
    }
}
