//! Nodes and services that operators take out.

use std::time::Duration;

use callboard::{
    directory::{DirectoryError, HealthRecord, HealthState, MaintenanceScope},
    kv::KeyValueStore,
};
use tokio::time::sleep;

use crate::cluster::{Cluster, Node, event, name};

fn states(node: &Node, service: &str) -> Vec<HealthState> {
    let view = node.directory.resolve(&name(service));
    view.instances.iter().map(|record| view.health_of(record.instance)).collect()
}

use HealthState::{Critical, Draining, Maintenance, Passing};

#[tokio::test(start_paused = true)]
async fn a_node_or_one_service_of_it_is_taken_out_from_anywhere() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    a.register("orders", 1).await;
    a.register("mail", 2).await;
    b.register("orders", 3).await;
    a.will_see("orders", 2).await;
    let mut events = a.directory.watch(&name("mail"));
    let node = MaintenanceScope::node(name("a"));
    let service = MaintenanceScope::service(name("a"), name("mail"));
    b.directory.begin_maintenance(&service, "new disks").await.unwrap();
    assert_eq!(event(&mut events).await, "maintenance 2");
    for looking in [&a, &b] {
        assert_eq!(states(looking, "mail"), [Maintenance]);
        assert_eq!(states(looking, "orders"), [Passing, Passing]);
        let standing = looking.directory.maintenance();
        assert_eq!((&standing[0].scope, &*standing[0].reason), (&service, "new disks"));
        assert_eq!(standing[0].by, "b");
    }
    b.directory.begin_maintenance(&node, "").await.unwrap();
    assert_eq!(states(&b, "orders"), [Maintenance, Passing]);
    // Whichever is wider covers the other, and what comes later.
    assert!(b.directory.end_maintenance(&service).await.unwrap());
    a.register("late", 4).await;
    assert_eq!((states(&a, "mail"), states(&a, "late")), (vec![Maintenance], vec![Maintenance]));
    assert!(a.directory.end_maintenance(&node).await.unwrap());
    assert!(!a.directory.end_maintenance(&node).await.unwrap());
    assert_eq!((states(&a, "mail"), states(&a, "orders")), (vec![Passing], vec![Passing, Passing]));
    assert!(a.directory.maintenance().is_empty() && cluster.keys("policy/").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn it_outlives_the_node_and_is_known_to_whoever_lists() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    let scope = MaintenanceScope::node(name("a"));
    b.directory.begin_maintenance(&scope, "moving").await.unwrap();
    a.directory.abort();
    let again = cluster.node("a").await;
    again.register("orders", 1).await;
    let late = cluster.node("late").await;
    for looking in [&again, &b, &late] {
        looking.will_see("orders", 1).await;
        assert_eq!(states(looking, "orders"), [Maintenance]);
    }
}

#[tokio::test(start_paused = true)]
async fn it_hides_what_the_checks_say_but_not_that_an_instance_is_being_stopped() {
    let cluster = Cluster::default();
    let a = cluster.node("a").await;
    let one = a.register("orders", 1).await.instance;
    let say = async |state| {
        a.directory.set_health(one, HealthRecord::new(state, 0, "")).await.unwrap();
        sleep(Duration::from_millis(10)).await;
    };
    let scope = MaintenanceScope::node(name("a"));
    a.directory.begin_maintenance(&scope, "").await.unwrap();
    let mut events = a.directory.watch(&name("orders"));
    say(Critical).await;
    assert_eq!(states(&a, "orders"), [Maintenance]);
    say(Draining).await;
    assert_eq!(states(&a, "orders"), [Draining]);
    say(Critical).await;
    a.directory.end_maintenance(&scope).await.unwrap();
    assert_eq!(states(&a, "orders"), [Critical]);
    for expected in ["draining 1", "maintenance 1", "critical 1", "Panic(true)"] {
        assert_eq!(event(&mut events).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn entries_that_cannot_be_read_take_nobody_out() {
    let cluster = Cluster::default();
    let a = cluster.node("a").await;
    a.register("orders", 1).await;
    for (key, value) in [
        ("policy/maintenance/a", "yes"),
        ("policy/maintenance/A", "{}"),
        ("policy/maintenance/a/b/c", "{}"),
    ] {
        cluster.put(key, value).await;
    }
    sleep(Duration::from_millis(10)).await;
    assert_eq!((states(&a, "orders"), a.directory.malformed_values()), (vec![Passing], 3));
    // As short as somebody would write it by hand.
    cluster.put("policy/maintenance/a/orders", "{}").await;
    sleep(Duration::from_millis(10)).await;
    assert_eq!(states(&a, "orders"), [Maintenance]);
    // Another policy is nobody's here.
    cluster.put("policy/quota/a", "x").await;
    sleep(Duration::from_millis(10)).await;
    assert_eq!(a.directory.malformed_values(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_reason_is_cut_to_its_bound_and_an_outage_is_an_error() {
    let cluster = Cluster::default();
    let a = cluster.node("a").await;
    let scope = MaintenanceScope::node(name("a"));
    a.directory.begin_maintenance(&scope, "x\n".repeat(5_000)).await.unwrap();
    let reason = a.directory.maintenance().remove(0).reason;
    assert_eq!(reason.len(), callboard::directory::HEALTH_REASON_BYTES_MAX);
    assert!(!reason.contains('\n'));
    a.line.freeze();
    let error = a.directory.end_maintenance(&scope).await.unwrap_err();
    assert!(matches!(error, DirectoryError::Store(_)), "{error}");
    a.line.thaw();
    assert!(a.directory.end_maintenance(&scope).await.unwrap());
}

/// Found by random churn: whoever had heard of the death was not told of the maintenance.
#[tokio::test(start_paused = true)]
async fn who_comes_back_as_a_suspect_is_still_out() {
    let cluster = Cluster::default();
    let mut nodes = Vec::new();
    for n in 0..4 {
        nodes.push(cluster.node(&format!("n{n}")).await);
        nodes[n].register("orders", n as u64).await;
    }
    nodes[3].will_see("orders", 4).await;
    nodes[3].directory.begin_maintenance(&MaintenanceScope::node(name("n0")), "").await.unwrap();
    let mut events = nodes[3].directory.watch(&name("orders"));
    for node in ["n0", "n1", "n2"] {
        let lease = cluster.lease_of(node).await;
        cluster.kv.lease_revoke(lease).await.unwrap();
        sleep(Duration::from_millis(100)).await;
    }
    let mut told = Vec::new();
    for _ in 0..5 {
        told.push(event(&mut events).await);
    }
    // One after the other: the third makes it clear that none of them died.
    assert!(told.contains(&"died 0".to_owned()), "{told:?}");
    assert!(told.contains(&"maintenance 0".to_owned()), "{told:?}");
}
