//! Wall clocks that jump. A life of a process is named by the clock at its start, and nothing else in
//! the directory looks at it: so a clock that went back between two starts makes the second life look
//! like the earlier one.

use std::time::Duration;

use callboard::{
    Incarnation,
    directory::DirectoryError,
    kv::{EventKind, KeyValueStore, Revision, WatchRequest},
};
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::{Cluster, Node};

const TTL: Duration = Duration::from_secs(5);
/// The longest wait between two attempts to register.
const BACKOFF: Duration = Duration::from_secs(2);

/// A start while the wall clock stands so many seconds after 1970.
async fn starts_at(cluster: &Cluster, node: &str, clock: u64) -> Result<Node, DirectoryError> {
    let mut options = cluster.options(node);
    let micros = u128::from(clock) * 1_000_000;
    options.incarnation = Incarnation::from_u128((micros << 64) | u128::from(fastrand::u64(..)));
    cluster.try_node(options).await
}

#[tokio::test(start_paused = true)]
async fn a_life_that_begins_after_the_clock_went_back_gets_its_name_with_the_end_of_the_dead_ones_lease()
 {
    for phase in 0..20 {
        let cluster = Cluster::default();
        let watching = cluster.node("w").await;
        let dead = starts_at(&cluster, "a", 2_000_000_000).await.unwrap();
        dead.register("orders", 1).await;
        watching.will_see("orders", 1).await;
        sleep(Duration::from_millis(phase * 97)).await;
        dead.directory.abort();
        // At the same time, or when there is less and less left of the lease.
        sleep(Duration::from_millis(phase * 200)).await;
        let begun = Instant::now();
        let new = starts_at(&cluster, "a", 1_000_000_000).await.unwrap();
        assert!(begun.elapsed() <= TTL + BACKOFF, "phase {phase}: {:?}", begun.elapsed());
        new.register("orders", 2).await;
        watching.will_see("orders", 1).await;
        assert_eq!(watching.sees("orders"), ["a/2"]);
        sleep(Duration::from_secs(30)).await;
        assert_eq!(watching.sees("orders"), ["a/2"]);
        assert_eq!(new.directory.superseded_by(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_lease_of_the_dead_one_is_over_nobody_waits_for_a_clock() {
    let cluster = Cluster::default();
    let dead = starts_at(&cluster, "a", 2_000_000_000).await.unwrap();
    dead.directory.abort();
    sleep(TTL * 2).await;
    let begun = Instant::now();
    // Before 1970 the clock reads as its beginning.
    let new = starts_at(&cluster, "a", 0).await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
    sleep(Duration::from_secs(30)).await;
    assert_eq!(new.directory.superseded_by(), None);
    assert_eq!(cluster.keys("node/").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn life_after_life_under_a_clock_that_jumps_at_random_gets_its_name() {
    let seed = std::env::var("CALLBOARD_SEED").map_or_else(
        |_| fastrand::u64(..),
        |seed| seed.parse().expect("CALLBOARD_SEED is a number of 64 bits"),
    );
    println!("repeat with CALLBOARD_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let cluster = Cluster::default();
    let watching = cluster.node("w").await;
    for life in 0..60 {
        let clock = random.u64(..4_000_000_000);
        let begun = Instant::now();
        let node = starts_at(&cluster, "a", clock).await.unwrap();
        assert!(begun.elapsed() <= TTL + BACKOFF, "life {life}: {:?}", begun.elapsed());
        node.register("orders", life).await;
        sleep(Duration::from_millis(random.u64(..7_000))).await;
        assert_eq!(node.directory.superseded_by(), None, "life {life}");
        assert!(watching.sees("orders").contains(&format!("a/{life}")), "life {life}");
        node.directory.abort();
        sleep(Duration::from_millis(random.u64(..7_000))).await;
    }
    sleep(TTL * 3).await;
    assert!(watching.sees("orders").is_empty(), "{:?}", watching.sees("orders"));
}

#[tokio::test(start_paused = true)]
async fn a_living_process_whose_clock_is_ahead_keeps_its_name_and_the_other_is_told() {
    let cluster = Cluster::default();
    let living = starts_at(&cluster, "a", 2_000_000_000).await.unwrap();
    living.register("orders", 1).await;
    let before = cluster.keys("").await;
    let begun = Instant::now();
    let error = starts_at(&cluster, "a", 1_000_000_000).await.unwrap_err();
    let by = living.directory.incarnation();
    assert!(matches!(error, DirectoryError::Superseded { by: other } if other == by), "{error}");
    // It could not tell it from a dead one sooner.
    assert!(begun.elapsed() >= TTL * 2, "{:?}", begun.elapsed());
    assert!(begun.elapsed() <= TTL * 2 + BACKOFF * 2, "{:?}", begun.elapsed());
    sleep(Duration::from_secs(10)).await;
    assert_eq!(living.directory.superseded_by(), None);
    assert_eq!(cluster.keys("").await, before, "nobody touched what it registered");
}

/// How often the node's key was written from this revision on.
async fn writes(cluster: &Cluster, from: Revision) -> usize {
    let prefix = "/callboard/c/node/a".to_owned();
    let mut watcher = cluster.kv.watch(WatchRequest { prefix, from }).await.unwrap();
    let mut writes = 0;
    while let Ok(batch) = timeout(Duration::from_millis(100), watcher.next()).await {
        let puts = |event: &&callboard::kv::WatchEvent| event.kind == EventKind::Put;
        writes += batch.unwrap().events.iter().filter(puts).count();
    }
    writes
}

#[tokio::test(start_paused = true)]
async fn of_two_that_live_under_one_name_one_goes_for_good_whatever_their_clocks_say() {
    for (paused, other) in [(2_000_000_000, 1_000_000_000), (1_000_000_000, 2_000_000_000)] {
        for pause in [1, 4, 8, 20] {
            let cluster = Cluster::default();
            let first = starts_at(&cluster, "a", paused).await.unwrap();
            first.register("orders", 1).await;
            first.line.freeze();
            let second = {
                let thaw = async {
                    sleep(Duration::from_secs(pause)).await;
                    first.line.thaw();
                };
                tokio::join!(starts_at(&cluster, "a", other), thaw).0
            };
            sleep(Duration::from_secs(30)).await;
            let is_out = |node: &Node| node.directory.superseded_by().is_some();
            let gone = [is_out(&first), second.as_ref().map_or(true, is_out)];
            assert_eq!(gone.iter().filter(|gone| **gone).count(), 1, "{paused} {pause}: {gone:?}");
            let later = first.directory.incarnation().to_u128() >> 64;
            assert_eq!(gone[0], later < u128::from(other) * 1_000_000, "the later clock stays");
            // And it is quiet: they do not take the name from each other for ever.
            let settled = Revision(cluster.keys("node/a").await[0].mod_revision.0 + 1);
            sleep(Duration::from_secs(60)).await;
            assert_eq!(writes(&cluster, settled).await, 0, "{paused} {pause}");
            let stays = if gone[0] { second.unwrap() } else { first };
            stays.register("orders", 7).await;
            assert!(stays.sees("orders").contains(&"a/7".to_owned()));
            assert_eq!(cluster.keys("svc/").await.len(), stays.sees("orders").len());
        }
    }
}
