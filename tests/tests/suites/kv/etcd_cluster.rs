//! etcd of several members, of which some are dead, killed, stopped or alone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use callboard::kv::{
    Compare, EtcdKv, EtcdOptions, KeyValueStore, KvError, Op, RangeRequest, Revision, Txn,
    WatchRequest, Watcher,
};
use callboard_tests::servers::{EtcdServer, free_port, wait_until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};

/// A call ends after 2 s. The rest is for machines that do many things at once.
const CALL_MAX: Duration = Duration::from_secs(5);
/// A new leader is found in 1 to 2 s.
const RECOVERY_MAX: Duration = Duration::from_secs(30);

async fn connect(endpoints: Vec<String>) -> EtcdKv {
    EtcdKv::connect(EtcdOptions::new(endpoints)).await.expect("one of them answers")
}

/// A store that asks this member first.
async fn connect_at(server: &EtcdServer, member: usize) -> EtcdKv {
    leader(server).await;
    let store = connect_first(server.endpoints(), member).await;
    writes(&store, "a").await;
    store
}

/// A store that asks this endpoint first.
async fn connect_first(endpoints: Vec<String>, wanted: usize) -> EtcdKv {
    // The order is drawn from the generator of this thread.
    let first = |seed| {
        fastrand::seed(seed);
        let mut order: Vec<usize> = (0..endpoints.len()).collect();
        fastrand::shuffle(&mut order);
        order[0]
    };
    let seed = (0..).find(|seed| first(*seed) == wanted).expect("some order begins with it");
    fastrand::seed(seed);
    connect(endpoints).await
}

fn put(key: &str, value: &str) -> Txn {
    Txn::new([Op::put(key, value.to_owned(), None)])
}

/// Which member leads, once all serve.
async fn leader(server: &EtcdServer) -> usize {
    let mut leads = None;
    wait_until("a leader", RECOVERY_MAX, async || {
        // Reads through each of them.
        if server.ctl(&["endpoint", "health"]).await.is_err() {
            return false;
        }
        // Fields: endpoint, id, version, size, whether it leads, ..
        let status = server.ctl(&["endpoint", "status"]).await.unwrap_or_default();
        let line = status.lines().find(|line| line.split(", ").nth(4) == Some("true"));
        let url = line.and_then(|line| line.split(", ").next()).map(str::to_owned);
        leads = url.and_then(|url| server.endpoints().iter().position(|known| *known == url));
        leads.is_some()
    })
    .await
    .unwrap();
    leads.unwrap()
}

/// The call ends in time, whatever its outcome.
async fn ends<T>(call: impl Future<Output = Result<T, KvError>>) -> Result<T, KvError> {
    let before = Instant::now();
    let outcome = timeout(CALL_MAX * 2, call).await.expect("no call is held for ever");
    assert!(before.elapsed() < CALL_MAX, "{:?}", before.elapsed());
    if let Err(error) = &outcome {
        assert!(matches!(error, KvError::Unavailable { .. }), "{error}");
    }
    outcome
}

/// Tries a write until it succeeds; gives how many attempts failed.
async fn writes(store: &EtcdKv, key: &str) -> u32 {
    let until = Instant::now() + RECOVERY_MAX;
    let mut failed = 0;
    while let Err(error) = ends(store.txn(put(key, "1"))).await {
        assert!(Instant::now() < until, "it does not recover: {error}");
        failed += 1;
        sleep(Duration::from_millis(20)).await;
    }
    failed
}

async fn watch(store: &EtcdKv, from: Revision) -> Result<Box<dyn Watcher>, KvError> {
    ends(store.watch(WatchRequest { prefix: "a".into(), from })).await
}

/// Asks the watch for signs of life until it ends; gives how long that took.
async fn end_of(watch: &mut dyn Watcher) -> Duration {
    let before = Instant::now();
    loop {
        let sign = async {
            watch.request_progress().await?;
            watch.next().await
        };
        if ends(sign).await.is_err() {
            return before.elapsed();
        }
        assert!(before.elapsed() < RECOVERY_MAX, "it stays silent and open");
        sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn endpoints_that_are_dead_from_the_start_fail_no_call() {
    let server = EtcdServer::start().await;
    let dead = || format!("http://127.0.0.1:{}", free_port());
    // The order in which endpoints are asked is drawn anew for each.
    for round in 1..=8 {
        let store = connect(vec![dead(), server.url(), dead()]).await;
        for _ in 0..10 {
            ends(store.txn(put("a", "1"))).await.expect("one answers");
            ends(store.get("a")).await.expect("one answers");
        }
        let lease = ends(store.lease_grant(Duration::from_secs(60))).await.expect("one answers");
        ends(store.lease_keep_alive(lease.id)).await.expect("one answers");
        watch(&store, Revision(1)).await.expect("one answers").next().await.expect("the puts");
        let written = store.get("a").await.unwrap().unwrap().version;
        assert_eq!(written, round * 10, "each write once");
    }
}

/// Adds one to a number by compare and set, as long as it is told to. Gives how many additions were
/// acknowledged, and of how many nobody knows.
async fn count(store: EtcdKv, stop: Arc<AtomicBool>) -> (i64, i64) {
    let (mut acknowledged, mut unknown) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        let Ok(Some(now)) = ends(store.get("a")).await else { continue };
        let next = std::str::from_utf8(&now.value).unwrap().parse::<i64>().unwrap() + 1;
        let add = put("a", &next.to_string());
        match ends(store.txn(add.when(Compare::unchanged_since("a", now.mod_revision)))).await {
            Ok(response) => acknowledged += i64::from(response.succeeded),
            Err(_) => unknown += 1,
        }
    }
    (acknowledged, unknown)
}

/// Followers and the leader in turn, killed and stopped, under writers that would notice a write
/// that is done twice or lost, or a read that is old.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_are_killed_or_stopped_one_at_a_time_lose_and_double_nothing() {
    let mut server = EtcdServer::cluster(3).await;
    let first = connect(server.endpoints()).await;
    writes(&first, "a").await;
    first.txn(put("a", "0")).await.expect("it runs");
    let stop = Arc::new(AtomicBool::new(false));
    let mut counters = Vec::new();
    for _ in 0..3 {
        let store = connect(server.endpoints()).await;
        counters.push(tokio::spawn(count(store, Arc::clone(&stop))));
    }
    for round in 0..4 {
        let leads = leader(&server).await;
        let member = if round % 2 == 0 { leads } else { (leads + 1) % 3 };
        let mut watch = watch(&first, Revision(1)).await.expect("it runs");
        if round < 2 {
            server.member(member).kill();
        } else {
            server.member(member).stop();
        }
        // Not one call in three: those of the moment, and those before a new leader.
        writes(&first, "b").await;
        for _ in 0..30 {
            ends(first.get("a")).await.expect("two of three answer");
        }
        // Either it is at another member, or it ends.
        let sign = async {
            watch.request_progress().await?;
            watch.next().await
        };
        if ends(sign).await.is_err() {
            self::watch(&first, Revision(1)).await.expect("two of three answer");
        }
        if round < 2 {
            server.member(member).restart().await.unwrap();
        } else {
            server.member(member).cont();
        }
    }
    stop.store(true, Ordering::Relaxed);
    let (mut acknowledged, mut unknown) = (0, 0);
    for counter in counters {
        let (more, lost) = counter.await.expect("it ends");
        acknowledged += more;
        unknown += lost;
    }
    let value = first.get("a").await.unwrap().unwrap().value;
    let value: i64 = std::str::from_utf8(&value).unwrap().parse().unwrap();
    assert!(acknowledged > 20, "they worked: {acknowledged}");
    assert!(
        (acknowledged..=acknowledged + unknown).contains(&value),
        "{value} is not {acknowledged} and up to {unknown}"
    );
}

/// A stopped member keeps its connections: reads go on at another one within the same call, and one
/// write of a caller is spent on it.
#[tokio::test]
async fn a_stopped_member_fails_no_read_and_one_write() {
    let mut server = EtcdServer::cluster(3).await;
    for member in 0..3 {
        let store = connect_at(&server, member).await;
        let leads = leader(&server).await == member;
        server.member(member).stop();
        let before = Instant::now();
        match ends(store.get("a")).await {
            Ok(_) => {}
            // Without the leader there is an election first.
            Err(_) if leads => drop(writes(&store, "a").await),
            Err(error) => panic!("a read is asked again at another member: {error}"),
        }
        assert!(before.elapsed() >= Duration::from_millis(900), "it was at that member");
        for _ in 0..10 {
            ends(store.get("a")).await.expect("it is at another one now");
            ends(store.range(RangeRequest::prefix("a"))).await.expect("it is at another one now");
        }
        server.member(member).cont();
    }
    for member in 0..3 {
        let store = connect_at(&server, member).await;
        server.member(member).stop();
        ends(store.txn(put("a", "2"))).await.expect_err("nobody knows whether that was done");
        // Without the leader there is an election first.
        writes(&store, "a").await;
        for _ in 0..10 {
            ends(store.txn(put("a", "2"))).await.expect("it is at another one now");
        }
        server.member(member).cont();
    }
}

/// Whoever has less patience than the store's own limit drops the call: the next one goes elsewhere
/// all the same.
#[tokio::test]
async fn a_caller_that_gives_up_early_moves_to_another_member_too() {
    let mut server = EtcdServer::cluster(3).await;
    let leads = leader(&server).await;
    for member in [(leads + 1) % 3, (leads + 2) % 3] {
        let store = connect_at(&server, member).await;
        server.member(member).stop();
        let patience = Duration::from_millis(1500);
        let write = || timeout(patience, store.txn(put("a", "1")));
        write().await.expect_err("it was at that member");
        write().await.expect("it stays at a member that does not answer").expect("it runs");
        server.member(member).cont();
    }
}

/// A way to a server on which answers can be held back. Gives its address.
async fn mutable_way(to: &EtcdServer, mute: Arc<AtomicBool>) -> String {
    let to = to.url().trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (mut from_client, mut to_client) = client.into_split();
            let server = TcpStream::connect(&to).await.unwrap();
            let (mut from_server, mut to_server) = server.into_split();
            let mute = Arc::clone(&mute);
            // Both end with their connections.
            tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                while let Ok(length @ 1..) = from_server.read(&mut bytes).await {
                    if !mute.load(Ordering::Relaxed)
                        && to_client.write_all(&bytes[..length]).await.is_err()
                    {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// It reached the server, which carried it out; a second one somewhere else would be another.
#[tokio::test]
async fn a_write_whose_answer_is_lost_is_done_once_and_a_read_is_made_again() {
    let server = EtcdServer::start().await;
    let mute = Arc::new(AtomicBool::new(false));
    let way = mutable_way(&server, Arc::clone(&mute)).await;
    let at_way_first = async || {
        mute.store(false, Ordering::Relaxed);
        let store = connect_first(vec![way.clone(), server.url()], 0).await;
        mute.store(true, Ordering::Relaxed);
        store
    };
    let version = async || match connect(vec![server.url()]).await.get("b").await.unwrap() {
        Some(found) => found.version,
        None => 0,
    };
    for writes in 1..=2 {
        let store = at_way_first().await;
        ends(store.txn(put("b", "1"))).await.expect_err("nobody knows whether it was done");
        assert_eq!(version().await, writes);
        ends(store.txn(put("c", "1"))).await.expect("it is at another endpoint now");
    }
    let lease = connect(vec![server.url()]).await.lease_grant(Duration::from_secs(60)).await;
    let lease = lease.expect("it runs").id;
    let store = at_way_first().await;
    ends(store.get("b")).await.expect("it is asked again elsewhere");
    let store = at_way_first().await;
    ends(store.lease_keep_alive(lease)).await.expect("so is a renewal");
    let store = at_way_first().await;
    watch(&store, Revision(1)).await.expect("so is a watch");
    let store = at_way_first().await;
    ends(store.lease_revoke(lease)).await.expect_err("the second would say: no such lease");
    let store = connect(vec![server.url()]).await;
    let error = store.lease_revoke(lease).await.expect_err("it was done");
    assert!(matches!(error, KvError::LeaseNotFound(_)), "{error}");
}

/// Two of three are gone. Whoever is left serves what it knows to everybody who does not ask for a
/// quorum; this must not be taken for the truth.
#[tokio::test]
async fn a_member_without_a_quorum_answers_nothing_and_its_watches_end() {
    for stopped in [false, true] {
        let mut server = EtcdServer::cluster(3).await;
        let leads = leader(&server).await;
        let left = (leads + 1) % 3;
        // Only this one is known.
        let alone = connect(vec![server.endpoints()[left].clone()]).await;
        let all = connect(server.endpoints()).await;
        writes(&alone, "a").await;
        let lease = alone.lease_grant(Duration::from_secs(60)).await.expect("it runs");
        let mut watch_alone = watch(&alone, Revision(1)).await.expect("it runs");
        let mut watch_all = watch(&all, Revision(1)).await.expect("it runs");
        let gone = [leads, (leads + 2) % 3];
        for member in gone {
            match stopped {
                false => server.member(member).kill(),
                true => server.member(member).stop(),
            }
        }
        for store in [&alone, &all] {
            ends(store.get("a")).await.expect_err("nobody knows whether that is the newest");
            ends(store.range(RangeRequest::prefix("a"))).await.expect_err("nobody knows");
            ends(store.txn(put("a", "2"))).await.expect_err("there is no quorum");
            ends(store.lease_grant(Duration::from_secs(60))).await.expect_err("no quorum");
            ends(store.lease_keep_alive(lease.id)).await.expect_err("there is no leader");
        }
        // etcd ends them when it has known of no leader for three election times.
        for watch in [&mut watch_alone, &mut watch_all] {
            end_of(watch.as_mut()).await;
        }
        watch(&alone, Revision(1)).await.expect_err("there is no leader");

        let back = async |server: &mut EtcdServer| match stopped {
            false => server.member(gone[0]).restart().await.unwrap(),
            true => server.member(gone[0]).cont(),
        };
        back(&mut server).await;
        for store in [&alone, &all] {
            writes(store, "a").await;
            let mut again = watch(store, Revision(1)).await.expect("there is a quorum");
            assert_eq!(again.next().await.expect("its data").events[0].kv.key, "a");
        }
    }
}

/// A lease that should have ended lives on for its whole time when a new leader comes: promises
/// about dead nodes have to allow for it.
#[tokio::test]
async fn a_new_leader_renews_every_lease() {
    let mut server = EtcdServer::cluster(3).await;
    let store = connect(server.endpoints()).await;
    let ttl = Duration::from_secs(8);
    writes(&store, "b").await;
    let granted = Instant::now();
    let lease = store.lease_grant(ttl).await.expect("it runs").id;
    store.txn(Txn::new([Op::put("a", "1", Some(lease))])).await.expect("it runs");
    sleep(Duration::from_secs(3)).await;
    let leads = leader(&server).await;
    server.member(leads).kill();
    let killed = granted.elapsed();
    assert!(killed < ttl, "it took too long for this test to say anything: {killed:?}");
    wait_until("the end of the lease", RECOVERY_MAX * 2, async || {
        matches!(store.get("a").await, Ok(None))
    })
    .await
    .unwrap();
    let ended = granted.elapsed();
    // The new leader counts from when it leads, which is after the kill.
    assert!(ended >= killed + ttl, "after {ended:?}, killed after {killed:?}");
    assert!(ended < killed + ttl + Duration::from_secs(15), "{ended:?}");
}
