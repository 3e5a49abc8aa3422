//! What etcd does that is easily overlooked, as the adapter meets it. Each line of the table of
//! hazards in the book names its test; those of several members and of users are in files beside
//! this one.

use std::time::Duration;

use callboard::kv::{
    EtcdKv, EtcdOptions, KeyValueStore, KvError, LeaseId, Op, RangeRequest, Revision, TXN_OPS_MAX,
    Txn, VALUE_BYTES_MAX, WatchRequest,
};
use callboard_tests::{
    servers::{EtcdServer, EtcdSetup, wait_until},
    tier,
};
use tokio::time::{Instant, sleep};

async fn connect(server: &EtcdServer) -> EtcdKv {
    EtcdKv::connect(EtcdOptions::new(server.endpoints())).await.expect("an etcd that just started")
}

fn put(key: &str, value: impl Into<bytes::Bytes>) -> Txn {
    Txn::new([Op::put(key, value, None)])
}

fn watch_from(prefix: &str, from: Revision) -> WatchRequest {
    WatchRequest { prefix: prefix.into(), from }
}

/// etcd closes a connection on which pings come more often than every five seconds, after the
/// third. A minute of idleness, as in the long tier, is when proxies and servers close others.
#[tokio::test]
async fn a_connection_that_is_idle_is_not_closed() {
    let idle = if tier::trials() >= 100 { 70 } else { 8 };
    let server = EtcdServer::start().await;
    let (quiet, watching) = (connect(&server).await, connect(&server).await);
    let mut watch = watching.watch(watch_from("a", Revision(1))).await.expect("it runs");
    sleep(Duration::from_secs(idle)).await;
    let written = quiet.txn(put("a", "1")).await.expect("its connection is there").revision;
    let batch = watch.next().await.expect("the watch is there");
    assert_eq!(batch.events[0].kv.mod_revision, written);
}

/// 3.4 grants no less than two seconds, and answers a keep-alive of an expired lease without an
/// error, with a time of zero.
#[tokio::test]
async fn a_short_lease_lives_for_two_seconds_and_an_expired_one_is_not_renewed() {
    let server = EtcdServer::start().await;
    let store = connect(&server).await;
    let lease = store.lease_grant(Duration::from_secs(1)).await.expect("it runs");
    assert_eq!(lease.ttl, Duration::from_secs(2));
    assert_eq!(store.lease_keep_alive(lease.id).await.expect("it lives"), lease.ttl);
    store.txn(Txn::new([Op::put("a", "1", Some(lease.id))])).await.expect("it lives");
    wait_until("the end of the lease", Duration::from_secs(30), async || {
        store.get("a").await.expect("it runs").is_none()
    })
    .await
    .unwrap();
    for lease in [lease.id, LeaseId(42)] {
        let error = store.lease_keep_alive(lease).await.expect_err("it is gone");
        assert!(matches!(error, KvError::LeaseNotFound(gone) if gone == lease), "{error}");
    }
}

/// The bounds of the port are within those of etcd: 128 operations, 1.5 MiB for a request. A
/// transaction whose parts are within them can be too large as a whole.
#[tokio::test]
async fn what_the_bounds_allow_is_taken_and_what_etcd_refuses_is_said() {
    let server = EtcdServer::start().await;
    let store = connect(&server).await;
    let many = (0..TXN_OPS_MAX).map(|n| Op::put(format!("many/{n}"), "v", None));
    store.txn(Txn::new(many)).await.expect("as many as may be");
    store.txn(put("large", vec![7; VALUE_BYTES_MAX])).await.expect("as large as may be");
    let over = |count| (0..count).map(|n| Op::put(format!("over/{n}"), "v", None));
    for (txn, why) in [
        (Txn::new(over(TXN_OPS_MAX + 1)), "list of operations"),
        (Txn::new([Op::put("over/a", "1", None), Op::put("over/a", "2", None)]), "twice"),
        (put("over/a", vec![7; VALUE_BYTES_MAX + 1]), "value"),
        (Txn::new(["over/a", "over/b"].map(|key| Op::put(key, vec![7; 1_000_000], None))), "large"),
    ] {
        let error = store.txn(txn).await.expect_err(why);
        assert!(matches!(&error, KvError::Refused(text) if text.contains(why)), "{why}: {error}");
    }
    let left = store.range(RangeRequest::prefix("over/")).await.expect("it runs").kvs;
    assert!(left.is_empty(), "nothing was changed: {left:?}");
}

/// Else it would ask for the same history for ever.
#[tokio::test]
async fn a_history_that_is_too_large_is_an_error_that_says_to_read_anew() {
    let server = EtcdServer::start().await;
    let writer = connect(&server).await;
    let mut options = EtcdOptions::new(server.endpoints());
    options.message_bytes_max = 4 << 20;
    let store = EtcdKv::connect(options).await.expect("it runs");
    for n in 0..6 {
        writer.txn(put(&format!("big/{n}"), vec![7; 1_000_000])).await.expect("it runs");
    }
    let mut watch = store.watch(watch_from("big/", Revision(1))).await.expect("it starts");
    let error = watch.next().await.expect_err("six megabytes at once");
    assert!(matches!(error, KvError::Compacted { .. }), "{error}");
    let error = store.range(RangeRequest::prefix("big/")).await.expect_err("six megabytes");
    assert!(matches!(&error, KvError::Refused(why) if why.contains("fewer keys")), "{error}");
    let pages = store.range(RangeRequest::prefix("big/").limit(3)).await.expect("three megabytes");
    assert!(pages.more && pages.kvs.len() == 3);
    let mut watch = store.watch(watch_from("big/", pages.revision)).await.expect("from there on");
    assert_eq!(watch.next().await.expect("one megabyte").events.len(), 1);
}

/// A full etcd takes no writes and grants no lease until somebody makes room; it goes on reading,
/// watching and renewing.
#[tokio::test]
async fn a_full_etcd_says_what_to_do_and_still_renews_and_reads() {
    let args = vec!["--quota-backend-bytes=3000000".to_owned()];
    let server = EtcdServer::with(EtcdSetup { members: 1, args }).await;
    let store = connect(&server).await;
    let lease = store.lease_grant(Duration::from_secs(60)).await.expect("there is room").id;
    let before = Instant::now();
    let error = loop {
        match store.txn(put("big", vec![7; 500_000])).await {
            Ok(_) => assert!(before.elapsed() < Duration::from_secs(60), "it never fills up"),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(&error, KvError::Refused(why) if why.contains("etcdctl alarm list")),
        "{error}"
    );
    store.lease_keep_alive(lease).await.expect("leases live on");
    let newest = store.get("big").await.expect("it reads").expect("some were taken").mod_revision;
    store.watch(watch_from("big", newest)).await.expect("it watches").next().await.expect("one");
    store.lease_grant(Duration::from_secs(60)).await.expect_err("a lease is a write");

    // As in the book.
    let status = server.ctl(&["endpoint", "status", "--write-out=json"]).await.unwrap();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let revision = &status[0]["Status"]["header"]["revision"];
    server.ctl(&["compact".to_owned(), revision.to_string()]).await.unwrap();
    server.ctl(&["defrag"]).await.unwrap();
    server.ctl(&["alarm", "disarm"]).await.unwrap();
    store.txn(put("a", "1")).await.expect("there is room again");
}
