//! What others put where our keys are, and servers that are not what they should be.

use callboard::{Error, System, prelude::*};
use callboard_tests::{
    servers::{RedisServer, RedisSetup, wait_until},
    worker::{Echo, Put, Worker, WorkerProcess},
};
use tokio::{net::TcpListener, time::Instant};

use crate::support::{Cluster, PATIENCE, order, sees, serve};

/// Starts a system that can't start, and says why.
async fn refused(etcd: &str, redis: &str) -> String {
    let begun = Instant::now();
    let error = System::builder().etcd([etcd]).redis(redis).arbiters(1).start().await;
    let error = error.map(|system| format!("{system:?}")).expect_err("it can't start");
    assert!(matches!(error, Error::Directory(_) | Error::Log(_)), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
    error.to_string()
}

#[tokio::test]
async fn a_start_fails_in_seconds_and_names_the_address_and_the_setting() {
    let cluster = Cluster::start().await;
    let (etcd, redis) = (cluster.etcd.url(), cluster.redis.url());
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let nobody = free.local_addr().expect("bound").to_string();
    drop(free);
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mute = silent.local_addr().expect("bound").to_string();
    let accepting = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            held.push(stream);
        }
    });
    let redis_address = redis.trim_start_matches("redis://").to_owned();
    let etcd_address = etcd.trim_start_matches("http://").to_owned();
    for address in [&nobody, &mute, &redis_address] {
        let text = refused(address, &redis).await;
        assert!(text.contains("CALLBOARD_ETCD") && text.contains(address.as_str()), "{text}");
    }
    for address in [&nobody, &mute, &etcd_address] {
        let text = refused(&etcd, &format!("redis://{address}")).await;
        assert!(text.contains("CALLBOARD_REDIS") && text.contains(address.as_str()), "{text}");
    }
    accepting.abort();
    let setup = RedisSetup { password: Some("open sesame".into()), ..RedisSetup::default() };
    let locked = RedisServer::with(setup).await;
    let wrong = format!("redis://:guess@127.0.0.1:{}", locked.port());
    let text = refused(&etcd, &wrong).await;
    assert!(text.contains("password") && text.contains("CALLBOARD_REDIS"), "{text}");
    assert!(!text.contains("guess"), "a secret is shown: {text}");
    // A worker says the same to whoever started it.
    let setup = callboard_tests::worker::WorkerSetup { redis: wrong, ..cluster.setup("w1") };
    let trouble = WorkerProcess::start(setup).await.map(drop).expect_err("it can't start");
    assert!(trouble.0.contains("CALLBOARD_REDIS"), "{trouble}");
}

async fn redis(cluster: &Cluster, command: &[&str]) -> String {
    let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
    cluster.redis.cli(&command).await.expect("it runs")
}

async fn length(cluster: &Cluster, key: &str) -> usize {
    redis(cluster, &["XLEN", key]).await.parse().expect("a number")
}

#[tokio::test]
async fn garbage_in_streams_ends_as_dead_letters_and_their_readers_live() {
    let cluster = Cluster::start().await;
    let system = cluster.system("test").await;
    let mut worker = cluster.worker("w1").await;
    order(&mut worker, "serve jobs 1").await;
    sees(&system, "jobs", 1).await;
    let service: ServiceRef<Worker> = system.service("jobs");
    service.tell(Put { id: 0, micros: 0 }).await.expect("it runs");
    service.ask(Echo { n: 0, micros: 0 }).await.expect("it runs");

    let nodes = system.directory().nodes();
    let incarnation = |node: &str| {
        nodes.iter().find(|known| known.node.as_str() == node).expect("it is up").incarnation
    };
    let stream = "cb:shop:{s:jobs:0}:in";
    let inbox = format!("cb:shop:{{n:{}}}:in", incarnation("w1"));
    let replies = format!("cb:shop:{{r:{}}}:rep", incarnation("test"));
    for key in [stream, &inbox, &replies] {
        for entry in [&["greeting", "hello"][..], &["b", "hello"], &["n", "many", "b", "\u{1}"]] {
            redis(&cluster, &[&["XADD", key, "*"], entry].concat()).await;
        }
    }
    service.tell(Put { id: 1, micros: 0 }).await.expect("it runs");
    let answer = service.ask(Echo { n: 1, micros: 0 }).timeout(Duration::from_secs(5)).await;
    assert_eq!(answer.expect("the readers live").0, 1);
    cluster.all_handled(&["w1"], 2).await;

    let dead = ["cb:shop:{s:jobs:0}:dlq", "cb:shop:{dlq}:nodes:dlq"];
    for key in dead {
        wait_until("three letters", PATIENCE, async || length(&cluster, key).await == 3)
            .await
            .unwrap_or_else(|trouble| panic!("{key}: {trouble}"));
    }
    wait_until("empty streams", PATIENCE, async || {
        length(&cluster, stream).await + length(&cluster, &inbox).await == 0
    })
    .await
    .expect("what was buried is settled");
    let letters = redis(&cluster, &["XRANGE", dead[0], "-", "+"]).await;
    assert!(letters.contains("hello"), "a letter shows what was there: {letters}");
    system.shutdown().await.expect("the servers run");
}

/// Keys of another type: whoever needs them says so; the rest goes on.
#[tokio::test]
async fn a_stream_that_is_none_stops_its_service_alone_and_until_it_is_removed() {
    let cluster = Cluster::start().await;
    let system = cluster.system("test").await;
    let key = "cb:shop:{s:broken:0}:in";
    redis(&cluster, &["SET", key, "garbage"]).await;
    let factory = Worker::factory("test", &cluster.record("test"));
    let served =
        tokio::time::timeout(PATIENCE, system.serve("broken", factory).into_future()).await;
    let error = served.expect("no call hangs").map(drop).expect_err("there is no stream");
    let causes = format!("{error:?}");
    assert!(causes.contains("another type") && causes.contains(key), "{causes}");

    // The same, of a service that is served already.
    redis(&cluster, &["DEL", key]).await;
    let here = serve(&cluster, &system, "broken").await;
    let other = serve(&cluster, &system, "whole").await;
    redis(&cluster, &["DEL", key]).await;
    redis(&cluster, &["SET", key, "garbage"]).await;
    let service: ServiceRef<Worker> = system.service("broken");
    let tell = tokio::time::timeout(PATIENCE, service.tell(Put { id: 1, micros: 0 })).await;
    let error = tell.expect("no call hangs").expect_err("there is no stream");
    assert_eq!(error.delivery(), Delivery::NotDelivered, "{error}");
    let failure = Failure::from(error);
    let cause = std::error::Error::source(&failure).expect("it has a cause");
    let causes = format!("{failure}: {cause}");
    assert!(causes.contains("another type") && causes.contains(key), "{causes}");
    let whole: ServiceRef<Worker> = system.service("whole");
    whole.tell(Put { id: 2, micros: 0 }).await.expect("it is not touched");
    cluster.all_handled(&["test"], 1).await;

    redis(&cluster, &["DEL", key]).await;
    service.tell(Put { id: 1, micros: 0 }).await.expect("there is nothing in the way any more");
    cluster.all_handled(&["test"], 2).await;
    here.stop().await.expect("the servers run");
    other.stop().await.expect("the servers run");
    system.shutdown().await.expect("the servers run");
}

#[tokio::test]
async fn garbage_in_etcd_is_counted_and_passed_over() {
    let cluster = Cluster::start().await;
    let system = cluster.system("test").await;
    let here = serve(&cluster, &system, "jobs").await;
    let put = async |key: &str, value: &str| {
        let key = format!("/callboard/shop/{key}");
        cluster.etcd.ctl(&["put", &key, value]).await.expect("it runs");
    };
    put("svc/jobs/nobody", "no json").await;
    put("svc/jobs/0/0/0", "{}").await;
    put("node/strange", "[1, 2").await;
    put("nonsense", "").await;
    put("def/other", "{\"mode\": \"sideways\"}").await;
    wait_until("malformed values", PATIENCE, async || system.directory().malformed_values() >= 3)
        .await
        .expect("they are counted");
    sees(&system, "jobs", 1).await;
    let service: ServiceRef<Worker> = system.service("jobs");
    assert_eq!(service.ask(Echo { n: 1, micros: 0 }).await.expect("it runs").0, 1);

    // A definition that nobody can read is none: the next that is given takes its place.
    let served = tokio::time::timeout(PATIENCE, serve(&cluster, &system, "other")).await;
    let other = served.expect("no call hangs");
    let key = "/callboard/shop/def/other";
    let stands = cluster.etcd.ctl(&["get", "--print-value-only", key]).await.expect("it runs");
    assert!(stands.contains("\"competing\""), "{stands}");
    other.stop().await.expect("the servers run");
    here.stop().await.expect("the servers run");
    system.shutdown().await.expect("the servers run");
}
