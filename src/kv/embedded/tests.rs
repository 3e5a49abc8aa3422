//! What the conformance suite can't see from outside: bounds on the history, and the clock.

use std::time::Duration;

use super::*;
use crate::kv::Op;

async fn put(store: &EmbeddedKv, key: &str, value: &str, lease: Option<LeaseId>) {
    store.txn(Txn::new([Op::put(key, value.to_owned(), lease)])).await.expect("a plain put");
}

fn watch_from(revision: i64) -> WatchRequest {
    WatchRequest { prefix: "/".to_owned(), from: Revision(revision) }
}

#[tokio::test]
async fn the_history_is_bounded_by_revisions() {
    let options = EmbeddedKvOptions { history_revisions_max: 10, ..Default::default() };
    let store = EmbeddedKv::with_options(options);
    for n in 0..1000 {
        put(&store, "/counter", &n.to_string(), None).await;
        put(&store, &format!("/once-{n}"), "x", None).await;
        store.txn(Txn::new([Op::delete(format!("/once-{n}"))])).await.expect("delete");
    }
    let state = store.shared.state.lock();
    assert_eq!(state.history_revisions(), 10);
    assert!(state.states() <= 11, "{} states for one living key", state.states());
}

#[tokio::test]
async fn the_history_is_bounded_by_bytes() {
    let options = EmbeddedKvOptions { history_bytes_max: 10_000, ..Default::default() };
    let store = EmbeddedKv::with_options(options);
    for _ in 0..100 {
        put(&store, "/large", &"x".repeat(4_000), None).await;
    }
    assert!(store.shared.state.lock().history_revisions() <= 3);
}

#[tokio::test]
async fn a_watch_that_lags_behind_the_bound_is_told() {
    let options = EmbeddedKvOptions { history_revisions_max: 10, ..Default::default() };
    let store = EmbeddedKv::with_options(options);
    let mut watcher = store.watch(watch_from(2)).await.expect("watch");
    for n in 0..20 {
        put(&store, "/a", &n.to_string(), None).await;
    }
    for _ in 0..2 {
        let error = watcher.next().await.expect_err("what it wants is gone");
        assert!(matches!(error, KvError::Compacted { compacted } if compacted.0 == 12), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ends_sooner_wakes_a_watch_that_waits_for_a_later_one() {
    let store = EmbeddedKv::new();
    let late = store.lease_grant(Duration::from_secs(60)).await.expect("grant");
    put(&store, "/late", "x", Some(late.id)).await;
    let mut watcher = store.watch(watch_from(3)).await.expect("watch");
    let waiting = tokio::spawn(async move { (watcher.next().await, Instant::now()) });
    tokio::task::yield_now().await;
    let start = Instant::now();
    let soon = store.lease_grant(Duration::from_secs(5)).await.expect("grant");
    // The key comes later than the lease, and by a call that gives no new deadline.
    put(&store, "/soon", "x", Some(soon.id)).await;
    let (batch, _) = waiting.await.expect("no panic");
    assert_eq!(batch.expect("the put").events[0].kv.key, "/soon");
    let mut watcher = store.watch(watch_from(4)).await.expect("watch");
    let batch = watcher.next().await.expect("the expiry");
    assert_eq!(batch.events[0].kv.key, "/soon");
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn threads_without_a_runtime_share_the_store() {
    let store = EmbeddedKv::new();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = store.clone();
            scope.spawn(move || {
                for n in 0..100 {
                    let put = Txn::new([Op::put(format!("/{thread}/{n}"), "x", None)]);
                    futures_util::FutureExt::now_or_never(store.txn(put))
                        .expect("it never waits")
                        .expect("a plain put");
                }
            });
        }
    });
    let all = store.range(RangeRequest::prefix("/")).await.expect("range");
    assert_eq!((all.kvs.len(), all.revision), (400, Revision(401)));
}
