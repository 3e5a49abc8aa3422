//! etcd with users: tokens that expire and die with the server, and what a user must be allowed.

use std::time::Duration;

use callboard::kv::{
    EtcdKv, EtcdOptions, KeyValueStore, KvError, Op, RangeRequest, Revision, Txn, WatchRequest,
    Watcher,
};
use callboard_tests::servers::EtcdServer;
use tokio::time::{Instant, sleep, timeout};

const PASSWORD: &str = "not-to-be-shown";
/// Simple tokens live so long; etcd looks for expired ones once a second.
const TOKEN_TTL: Duration = Duration::from_secs(5);
const TOKEN_GONE: Duration = Duration::from_secs(7);

/// A server with users whose tokens end soon: `root`, `callboard` with the rights that the book says,
/// `reader` who may read these keys only, and `nobody` who may do nothing.
async fn server(members: usize) -> EtcdServer {
    let (reader, nobody) = (format!("reader:{PASSWORD}"), format!("nobody:{PASSWORD}"));
    let more: [&[&str]; 5] = [
        &["role", "add", "reader"],
        &["role", "grant-permission", "reader", "--prefix=true", "read", "/callboard/"],
        &["user", "add", &reader],
        &["user", "grant-role", "reader", "reader"],
        &["user", "add", &nobody],
    ];
    EtcdServer::with_users(members, TOKEN_TTL, PASSWORD, &more).await
}

fn options(server: &EtcdServer, user: &str, password: &str) -> EtcdOptions {
    let mut options = EtcdOptions::new(server.endpoints());
    options.user = Some((user.to_owned(), password.to_owned()));
    options
}

async fn connect(server: &EtcdServer) -> EtcdKv {
    EtcdKv::connect(options(server, "callboard", PASSWORD)).await.expect("a user with rights")
}

async fn watch(store: &EtcdKv, from: Revision) -> Box<dyn Watcher> {
    let request = WatchRequest { prefix: "/callboard/".into(), from };
    store.watch(request).await.expect("the user may")
}

fn put(key: &str, value: &str) -> Txn {
    Txn::new([Op::put(format!("/callboard/c/{key}"), value.to_owned(), None)])
}

/// Waits for a change of this key.
async fn sees(watch: &mut dyn Watcher, key: &str) {
    let seen = async {
        loop {
            let batch = watch.next().await.expect("it goes on");
            if batch.events.iter().any(|event| event.kv.key.ends_with(key)) {
                return;
            }
        }
    };
    timeout(Duration::from_secs(10), seen).await.expect("the change comes");
}

/// Every call of the port. Gives the revision of its write, up to which it compacts.
async fn every_call(store: &EtcdKv, round: &str) -> Revision {
    store.get("/callboard/c/a").await.unwrap();
    store.range(RangeRequest::prefix("/callboard/")).await.unwrap();
    let written = store.txn(put("a", round)).await.unwrap().revision;
    let lease = store.lease_grant(Duration::from_secs(60)).await.unwrap();
    store.lease_keep_alive(lease.id).await.unwrap();
    store.lease_revoke(lease.id).await.unwrap();
    store.compact(written).await.unwrap();
    watch(store, written).await.next().await.unwrap();
    written
}

#[tokio::test]
async fn calls_and_watches_outlive_their_tokens_and_a_restart_that_forgets_them_all() {
    let mut server = server(1).await;
    let store = connect(&server).await;
    let first = store.txn(put("a", "0")).await.unwrap().revision;
    let mut held = watch(&store, first).await;
    sees(held.as_mut(), "/a").await;
    let mut last = first;
    for round in 0..2 {
        sleep(TOKEN_GONE).await;
        // The first that meets the expired token is a write, which must be done once, and then a
        // watch, which is confirmed and cancelled in one.
        if round == 1 {
            let mut fresh = watch(&store, last).await;
            sees(fresh.as_mut(), "/a").await;
        }
        store.txn(put("b", "1")).await.unwrap();
        sees(held.as_mut(), "/b").await;
        last = every_call(&store, "in between").await;
        sees(held.as_mut(), "/a").await;
    }
    assert_eq!(store.get("/callboard/c/b").await.unwrap().unwrap().version, 2, "each once");

    server.restart().await;
    held.next().await.expect_err("the server ended it");
    // The first call after it meets a token that the server never gave out, and a connection that
    // was lost.
    let until = Instant::now() + Duration::from_secs(20);
    let newest = loop {
        match store.txn(put("c", "1")).await {
            Ok(response) => break response.revision,
            Err(error) => assert!(matches!(error, KvError::Unavailable { .. }), "{error}"),
        }
        assert!(Instant::now() < until, "it does not recover");
    };
    let mut again = watch(&store, newest).await;
    sees(again.as_mut(), "/c").await;
    every_call(&store, "after the restart").await;
}

/// Of a cluster, whatever endpoint is asked: each has a token of its own.
#[tokio::test]
async fn a_user_goes_on_at_another_endpoint() {
    let mut server = server(3).await;
    let store = connect(&server).await;
    for member in 0..3 {
        server.member(member).kill();
        let until = Instant::now() + Duration::from_secs(30);
        while let Err(error) = store.txn(put("a", "1")).await {
            assert!(matches!(error, KvError::Unavailable { .. }), "{error}");
            assert!(Instant::now() < until, "it does not recover: {error}");
        }
        every_call(&store, "one is dead").await;
        server.member(member).restart().await.unwrap();
    }
}

async fn refused(options: EtcdOptions) -> String {
    let before = Instant::now();
    let error = EtcdKv::connect(options).await.expect_err("it is refused");
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
    assert!(matches!(error, KvError::Refused(_)), "{error}");
    let text = format!("{error} {error:?}");
    assert!(!text.contains(PASSWORD) && !text.contains("wrong"), "{text}");
    text
}

#[tokio::test]
async fn who_is_refused_reads_in_seconds_what_to_set_or_to_grant() {
    let server = server(1).await;
    for (user, password) in [("callboard", "wrong"), ("unheard-of", PASSWORD)] {
        let text = refused(options(&server, user, password)).await;
        assert!(text.contains("CALLBOARD_ETCD_PASSWORD") && text.contains(user), "{text}");
    }
    let text = refused(EtcdOptions::new(server.endpoints())).await;
    assert!(text.contains("asks for a user") && text.contains("CALLBOARD_ETCD_USER"), "{text}");
    for user in ["nobody", "reader"] {
        let text = refused(options(&server, user, PASSWORD)).await;
        let grant = "etcdctl role grant-permission <role> --prefix=true readwrite /callboard/";
        assert!(text.contains(grant) && text.contains(user), "{text}");
    }
    // Rights to the keys of one cluster are enough for it.
    let root = format!("--user=root:{PASSWORD}");
    let grant =
        ["role", "grant-permission", "one", "--prefix=true", "readwrite", "/callboard/one/"];
    server.ctl(&[root.as_str(), "role", "add", "one"]).await.unwrap();
    server.ctl(&[&[root.as_str()], &grant[..]].concat()).await.unwrap();
    server.ctl(&[root.as_str(), "user", "grant-role", "nobody", "one"]).await.unwrap();
    let mut one = options(&server, "nobody", PASSWORD);
    one.prefix = "/callboard/one/".to_owned();
    let store = EtcdKv::connect(one).await.expect("it has these rights");
    let error = store.txn(put("a", "1")).await.expect_err("these it has not");
    assert!(error.to_string().contains("readwrite /callboard/one/"), "{error}");
    let request = WatchRequest { prefix: "/callboard/".into(), from: Revision(1) };
    let error = store.watch(request).await.expect_err("these it has not");
    assert!(matches!(&error, KvError::Refused(why) if why.contains("grant")), "{error}");
}

/// Nothing has to be started again.
#[tokio::test]
async fn rights_that_change_meanwhile_count_from_then_on() {
    let server = server(1).await;
    let store = connect(&server).await;
    let root = format!("--user=root:{PASSWORD}");
    let revoke = ["role", "revoke-permission", "callboard", "/callboard/", "/callboard0"];
    server.ctl(&[&[root.as_str()], &revoke[..]].concat()).await.unwrap();
    let error = store.txn(put("a", "1")).await.expect_err("the right is gone");
    assert!(matches!(&error, KvError::Refused(why) if why.contains("grant")), "{error}");
    let grant =
        ["role", "grant-permission", "callboard", "--prefix=true", "readwrite", "/callboard/"];
    server.ctl(&[&[root.as_str()], &grant[..]].concat()).await.unwrap();
    store.txn(put("a", "1")).await.expect("the right is back");
}

/// Where etcd checks nobody, a user that is given does no harm, and counts once it does check.
#[tokio::test]
async fn users_can_be_turned_on_under_a_running_process() {
    let server = server(1).await;
    let root = format!("--user=root:{PASSWORD}");
    server.ctl(&[root.as_str(), "auth", "disable"]).await.unwrap();
    let store = connect(&server).await;
    every_call(&store, "nobody is checked").await;
    server.ctl(&["auth", "enable"]).await.unwrap();
    every_call(&store, "everybody is checked").await;
}
