//! A cluster in which nobody calls anybody for a while.

use callboard::prelude::*;
use callboard_tests::{
    tier,
    worker::{Echo, Put, Worker},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep},
};

use crate::support::{Cluster, is_long, order, sees};

/// What etcd counts of one kind of call.
async fn calls_of_etcd(cluster: &Cluster, method: &str) -> u64 {
    let url = cluster.etcd.url();
    let address = url.strip_prefix("http://").expect("it is served so");
    let mut stream = TcpStream::connect(address).await.expect("it runs");
    let request = format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it runs");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("metrics are text");
    let name = format!("grpc_method=\"{method}\"");
    let counters = text.lines().filter(|line| line.starts_with("grpc_server_started_total"));
    let counter = counters.filter(|line| line.contains(&name));
    let counted = counter.map(|line| line.rsplit_once(' ').expect("a value").1);
    counted.map(|count| count.parse::<f64>().expect("a number") as u64).sum()
}

async fn connections_of_redis(cluster: &Cluster) -> u64 {
    let info = cluster.redis.cli(&["INFO", "stats"]).await.expect("it runs");
    let counter = info.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
    counter.expect("Redis counts them").trim().parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_idle_time_everything_works_at_once_and_nobody_has_connected_anew() {
    let idle = Duration::from_secs(if is_long() { 75 } else { 6 });
    let cluster = Cluster::start().await;
    let system = cluster.system("test").await;
    let mut workers = [cluster.worker("w1").await, cluster.worker("w2").await];
    for worker in &mut workers {
        order(worker, "serve jobs 1").await;
    }
    sees(&system, "jobs", 2).await;
    let jobs: ServiceRef<Worker> = system.service("jobs");
    for worker in &mut workers {
        order(worker, "ask jobs 1").await;
    }
    jobs.ask(Echo { n: 1, micros: 0 }).await.expect("it runs");
    sleep(Duration::from_secs(2)).await;

    let before = (calls_of_etcd(&cluster, "Watch").await, connections_of_redis(&cluster).await);
    assert!(before.0 >= 3, "each watches: {before:?}");
    sleep(idle).await;
    assert_eq!(system.directory().stale_since(), None);
    for worker in &mut workers {
        assert_eq!(order(worker, "stale").await, "0");
        assert_eq!(order(worker, "instances jobs").await.split(' ').count(), 2);
    }
    let after = (calls_of_etcd(&cluster, "Watch").await, connections_of_redis(&cluster).await);
    println!("watches of etcd and connections of Redis: {before:?}, {after:?} after {idle:?}");
    assert_eq!(after.0, before.0, "no watch was begun again");
    // One is of who asks for the count.
    assert!(after.1 - before.1 <= 3, "a storm: {before:?}, {after:?}");

    let begun = Instant::now();
    jobs.ask(Echo { n: 2, micros: 0 }).await.expect("it works at once");
    jobs.tell(Put { id: 0, micros: 0 }).await.expect("it works at once");
    for worker in &mut workers {
        order(worker, "ask jobs 3").await;
        order(worker, "serve more 1").await;
    }
    sees(&system, "more", 2).await;
    cluster.all_handled(&["w1", "w2"], 1).await;
    let worked = begun.elapsed();
    assert!(worked < Duration::from_secs(5), "{worked:?}");
    tier::record_figure(
        "An idle time",
        &format!(
            "After {idle:?} without a call: the first calls of three processes, two new services and \
             their resolving took {worked:.1?}; {} watches were begun and {} connections to Redis \
             opened meanwhile (one of them to count them).",
            after.0 - before.0,
            after.1 - before.1,
        ),
    );
    system.shutdown().await.expect("the servers run");
}
