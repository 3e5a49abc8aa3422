//! The suite on a real etcd, and what is true of that adapter alone.

use std::{sync::Arc, time::Duration};

use callboard::{
    kv::{
        EtcdKv, EtcdOptions, KeyValueStore, KvError, Op, RangeRequest, Revision, Txn, WatchRequest,
    },
    testing::kv_suite::{Subject, run_all},
};
use callboard_tests::servers::EtcdServer;
use tokio::{net::TcpListener, time::Instant};

async fn connect(server: &EtcdServer) -> EtcdKv {
    EtcdKv::connect(EtcdOptions::new(server.endpoints())).await.expect("an etcd that just started")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_passes_the_suite() {
    let server = EtcdServer::start().await;
    let store = connect(&server).await;
    let failed = run_all(|| async { Subject::new(Arc::new(store.clone())) }).await;
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Calls fail in a bounded time, with a text, and go on by themselves once the server does.
#[tokio::test]
async fn a_stopped_etcd_holds_no_call_and_no_watch() {
    let server = EtcdServer::start().await;
    let store = connect(&server).await;
    store.txn(Txn::new([Op::put("a", "1", None)])).await.expect("it runs");
    let request = WatchRequest { prefix: "a".into(), from: Revision(1) };
    let mut watch = store.watch(request).await.expect("it runs");
    watch.next().await.expect("the put");
    server.stop();
    let before = Instant::now();
    let error = store.get("a").await.expect_err("it is stopped");
    assert!(matches!(error, KvError::Unavailable { .. }), "{error}");
    watch.request_progress().await.expect("the stream takes it");
    let error = watch.next().await.expect_err("it is stopped");
    assert!(matches!(error, KvError::Unavailable { .. }), "{error}");
    assert!(before.elapsed() < Duration::from_secs(20), "{:?}", before.elapsed());
    server.cont();
    recovers(&store).await;
}

async fn recovers(store: &EtcdKv) {
    let until = Instant::now() + Duration::from_secs(30);
    while let Err(error) = store.txn(Txn::new([Op::put("b", "1", None)])).await {
        assert!(matches!(error, KvError::Unavailable { .. }), "{error}");
        assert!(Instant::now() < until, "it does not recover: {error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_killed_etcd_ends_watches_and_is_found_again() {
    let mut server = EtcdServer::start().await;
    let store = connect(&server).await;
    store.txn(Txn::new([Op::put("a", "1", None)])).await.expect("it runs");
    let request = WatchRequest { prefix: "a".into(), from: Revision(1) };
    let mut watch = store.watch(request.clone()).await.expect("it runs");
    watch.next().await.expect("the put");
    server.kill();
    watch.next().await.expect_err("it is gone");
    store.get("a").await.expect_err("it is gone");
    server.restart().await;
    recovers(&store).await;
    let mut again = store.watch(request).await.expect("it is back");
    let batch = again.next().await.expect("its data are there");
    assert_eq!(batch.events[0].kv.key, "a");
}

#[tokio::test]
async fn a_list_of_more_than_four_mebibytes_comes_through() {
    let server = EtcdServer::start().await;
    let store = connect(&server).await;
    let value = vec![7_u8; 100_000];
    for n in 0..100 {
        let put = Op::put(format!("big/{n:03}"), value.clone(), None);
        store.txn(Txn::new([put])).await.expect("it runs");
    }
    let all = store.range(RangeRequest::prefix("big/")).await.expect("ten megabytes");
    assert_eq!((all.kvs.len(), all.more), (100, false));
    let request = WatchRequest { prefix: "big/".into(), from: Revision(1) };
    let mut watch = store.watch(request).await.expect("it runs");
    let mut seen = 0;
    while seen < 100 {
        seen += watch.next().await.expect("ten megabytes of history").events.len();
    }
}

async fn refused(endpoint: &str) -> String {
    let before = Instant::now();
    let error = EtcdKv::connect(EtcdOptions::new([endpoint])).await.expect_err("no etcd");
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
    let text = error.to_string();
    assert!(text.contains("CALLBOARD_ETCD"), "{text}");
    text
}

#[tokio::test]
async fn a_wrong_address_fails_in_seconds_with_the_address_and_the_settings_name() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = nobody.local_addr().expect("bound").to_string();
    drop(nobody);
    assert!(refused(&address).await.contains(&address));
    assert!(refused("no address at all").await.contains("http://host:port"));
}

#[tokio::test]
async fn a_server_that_never_answers_or_is_no_etcd_fails_in_seconds() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("bound").to_string();
    let accepting = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            held.push(stream);
        }
    });
    assert!(refused(&address).await.contains(&address));
    accepting.abort();

    let other = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = other.local_addr().expect("bound").to_string();
    let answering = tokio::spawn(async move {
        while let Ok((stream, _)) = other.accept().await {
            stream.try_write(b"220 a mail server\r\n").ok();
        }
    });
    assert!(refused(&address).await.contains(&address));
    answering.abort();
}
