//! The directory on a real etcd, where that differs from the embedded store.

use std::{sync::Arc, time::Duration};

use callboard::{
    ActorId, Incarnation,
    directory::{Directory, DirectoryOptions, InstanceName, InstanceRecord, MessageEntry},
    kv::{EtcdKv, EtcdOptions, KeyValueStore, RangeRequest},
};
use callboard_tests::servers::{EtcdServer, EtcdSetup, wait_until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Handle,
};

use crate::cluster::name;

const PATIENCE: Duration = Duration::from_secs(60);

async fn store(server: &EtcdServer) -> EtcdKv {
    EtcdKv::connect(EtcdOptions::new(server.endpoints())).await.unwrap()
}

async fn node(server: &EtcdServer, node: &str) -> Directory {
    let options = DirectoryOptions::new(name("c"), name(node), Incarnation::fresh());
    Directory::start(Arc::new(store(server).await), options, Handle::current()).await.unwrap()
}

fn record(node: &Directory, number: u64) -> InstanceRecord {
    let instance = InstanceName::new(node.incarnation(), number);
    InstanceRecord::new(name("s"), instance, node.node().clone(), ActorId::from_u64(number))
}

fn sees(node: &Directory) -> usize {
    node.resolve(&name("s")).instances.len()
}

async fn will_see(node: &Directory, count: usize) {
    let seen = wait_until("the instances", PATIENCE, async || sees(node) == count).await;
    seen.unwrap_or_else(|trouble| panic!("{} instances, not {count}: {trouble}", sees(node)));
}

/// How often etcd served a call of its key-value service.
async fn served(server: &EtcdServer, method: &str) -> u64 {
    let url = server.url();
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.contains("grpc_server_started_total"), "{text}");
    let method = format!("grpc_method=\"{method}\"");
    text.lines()
        .filter(|line| line.starts_with("grpc_server_started_total"))
        .filter(|line| line.contains("\"etcdserverpb.KV\"") && line.contains(&method))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64)
        .sum()
}

/// A plain put under a lease takes etcd as long as the lease has keys, one in a transaction does
/// not; and lists go in pages of thousands, since small ones make it read the rest each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_written_in_transactions_and_listed_in_large_pages() {
    const INSTANCES: u64 = 6_000;
    let server = EtcdServer::start().await;
    let a = node(&server, "a").await;
    let writes = futures_util::future::join_all((0..INSTANCES).map(|n| a.register(record(&a, n))));
    for written in writes.await {
        written.unwrap();
    }
    let ranges = served(&server, "Range").await;
    let b = node(&server, "b").await;
    assert_eq!(sees(&b), usize::try_from(INSTANCES).unwrap());
    // Two pages and four other kinds of keys; the rest is what both nodes do beside.
    let ranges = served(&server, "Range").await - ranges;
    assert!((6..=20).contains(&ranges), "{ranges} reads to list {INSTANCES} instances");
    let gone: Vec<_> = (0..50).map(|n| record(&a, n).instance).collect();
    a.deregister(&gone).await.unwrap();
    let (puts, txns) = (served(&server, "Put").await, served(&server, "Txn").await);
    assert_eq!(puts, 0, "a plain put is slow under a lease with many keys");
    assert!(txns >= INSTANCES / 100, "{txns} transactions for {INSTANCES} instances");
    assert_eq!(served(&server, "DeleteRange").await, 0);
}

/// Together larger than what etcd takes in one request.
#[tokio::test]
async fn instances_with_large_records_are_registered() {
    let server = EtcdServer::start().await;
    let (a, b) = (node(&server, "a").await, node(&server, "b").await);
    let records = (0..60).map(|n| {
        let mut record = record(&a, n);
        // An actor with many messages: some 40 kB.
        record.messages = (0..300)
            .map(|n| MessageEntry { name: format!("{}{n}", "x".repeat(100)), version: 1 })
            .collect();
        record
    });
    let writes = futures_util::future::join_all(records.map(|record| a.register(record)));
    let writes = tokio::time::timeout(PATIENCE, writes).await.expect("etcd takes them");
    assert!(writes.iter().all(Result::is_ok), "{writes:?}");
    will_see(&b, 60).await;
    let gone: Vec<_> = (0..60).map(|n| record(&a, n).instance).collect();
    tokio::time::timeout(PATIENCE, a.deregister(&gone)).await.expect("etcd takes that").unwrap();
    will_see(&b, 0).await;
}

/// Nobody is lost, everybody serves, and what could not be registered is when there is room again.
#[tokio::test]
async fn a_full_etcd_loses_nobody_and_what_waits_is_registered_when_there_is_room() {
    let args = vec!["--quota-backend-bytes=3000000".to_owned()];
    let server = EtcdServer::with(EtcdSetup { members: 1, args }).await;
    let (a, b) = (node(&server, "a").await, node(&server, "b").await);
    a.register(record(&a, 1)).await.unwrap();
    will_see(&b, 1).await;
    let filler = "x".repeat(120_000);
    let mut puts = 0;
    while server.ctl(&["put", "filler", &filler]).await.is_ok() {
        puts += 1;
        assert!(puts < 200, "it never fills up");
    }
    let waiting = {
        let (a, record) = (a.clone(), record(&a, 2));
        tokio::spawn(async move { a.register(record).await })
    };
    // Longer than the lease: it is renewed.
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!((sees(&a), sees(&b)), (1, 1));
    assert_eq!(b.nodes().len(), 2, "{:?}", b.nodes());
    assert!(!waiting.is_finished(), "it can't be registered");
    assert!(b.stale_since().is_none(), "reads and watches go on");

    let newest = store(&server).await.range(RangeRequest::prefix("/").limit(1)).await.unwrap();
    server.ctl(&["compact", &newest.revision.to_string()]).await.unwrap();
    server.ctl(&["defrag"]).await.unwrap();
    server.ctl(&["alarm", "disarm"]).await.unwrap();
    will_see(&b, 2).await;
    waiting.await.unwrap().unwrap();
}

/// A member without a quorum must not be believed; the node serves from what it knew, says so, and
/// finds back.
#[tokio::test]
async fn a_node_whose_etcd_lost_its_quorum_serves_from_its_cache_and_comes_back() {
    let mut server = EtcdServer::cluster(3).await;
    let (a, b) = (node(&server, "a").await, node(&server, "b").await);
    a.register(record(&a, 1)).await.unwrap();
    will_see(&b, 1).await;
    server.member(0).kill();
    server.member(1).stop();
    wait_until("the nodes to notice", PATIENCE, async || {
        a.stale_since().is_some() && b.stale_since().is_some()
    })
    .await
    .unwrap();
    assert_eq!(sees(&b), 1);
    server.member(0).restart().await.unwrap();
    server.member(1).cont();
    a.register(record(&a, 2)).await.unwrap();
    will_see(&b, 2).await;
    wait_until("the nodes to be fresh", PATIENCE, async || {
        a.stale_since().is_none() && b.stale_since().is_none()
    })
    .await
    .unwrap();
}
