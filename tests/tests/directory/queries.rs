//! Finding instances by what is known of them.

use callboard::directory::{HealthRecord, HealthState, InstanceRecord, MessageEntry, Query};

use crate::cluster::{Cluster, Node, name};

/// The numbers that a query finds.
fn found(node: &Node, query: Query) -> Vec<u64> {
    node.directory.find(&query).iter().map(|found| found.record.instance.number()).collect()
}

#[tokio::test(start_paused = true)]
async fn instances_are_found_by_name_capability_version_label_health_and_message() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    let entry = MessageEntry { name: "print".into(), version: 2 };
    let old = InstanceRecord { version: Some("1.9.0".into()), ..a.record("printing", 1) };
    let new = InstanceRecord {
        version: Some("1.10.0".into()),
        capabilities: vec!["pdf".into()],
        labels: [("zone".into(), "eu".into())].into(),
        messages: vec![entry],
        ..b.record("printing", 2)
    };
    let bare = b.record("mail", 3);
    a.directory.register(old).await.unwrap();
    b.directory.register(new).await.unwrap();
    let said = HealthRecord::new(HealthState::Degraded, 0, "slow");
    b.directory.register_with_health(bare, said).await.unwrap();
    a.will_see("printing", 2).await;
    a.will_see("mail", 1).await;
    let q = Query::new;
    assert_eq!(found(&a, q()), [3, 1, 2], "by service, then by name");
    assert_eq!(found(&a, q().service(name("printing"))), [1, 2]);
    assert_eq!(found(&a, q().node(name("b"))), [3, 2]);
    assert_eq!(found(&a, q().capability("pdf")), [2]);
    // As versions, not as texts.
    assert_eq!(found(&a, q().version(">=1.10".parse().unwrap())), [2]);
    assert_eq!(found(&a, q().version("^1.2".parse().unwrap())), [1, 2]);
    assert_eq!(found(&a, q().label("zone", "eu")), [2]);
    assert_eq!(found(&a, q().health(HealthState::Degraded)), [3]);
    assert!(found(&a, q().health(HealthState::Passing).service(name("mail"))).is_empty());
    assert_eq!(found(&a, q().handles("print", None)), [2]);
    assert!(found(&a, q().service(name("nobody"))).is_empty());
    let degraded = a.directory.find(&q().health(HealthState::Degraded)).remove(0);
    assert_eq!((degraded.health, degraded.is_suspect), (HealthState::Degraded, false));
}

#[tokio::test(start_paused = true)]
async fn metadata_out_of_bounds_is_refused_before_anything_is_written() {
    let cluster = Cluster::default();
    let a = cluster.node("a").await;
    let large = (0..50).map(|n| (format!("label-{n}"), "x".repeat(200))).collect();
    for (record, expected) in [
        (InstanceRecord { labels: large, ..a.record("orders", 1) }, "over 8192"),
        (InstanceRecord { version: Some("new".into()), ..a.record("orders", 1) }, "1.4.0"),
        (InstanceRecord { weight: 10_001, ..a.record("orders", 1) }, "10000"),
        (InstanceRecord { capabilities: vec!["a b".into()], ..a.record("orders", 1) }, "a b"),
    ] {
        let error = a.directory.register(record).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(cluster.keys("svc/").await.is_empty());
    let mut options = cluster.options("b");
    options.labels = [("a b".to_owned(), String::new())].into();
    let error = cluster.try_node(options).await.unwrap_err().to_string();
    assert!(error.contains("labels") && error.contains("a b"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_others_wrote_over_the_bounds_is_read_and_serves() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    let mut record = a.record("orders", 1);
    record.version = Some("tuesday".into());
    record.labels = (0..200).map(|n| (format!("l {n}"), "x".repeat(500))).collect();
    let json = serde_json::to_string(&record).unwrap();
    cluster.put(&format!("svc/orders/{}", record.instance), &json).await;
    b.will_see("orders", 1).await;
    assert_eq!(b.directory.malformed_values(), 0);
    assert_eq!(found(&b, Query::new().label("l 7", "x".repeat(500))), [1]);
    assert!(found(&b, Query::new().version("*".parse().unwrap())).is_empty());
}
