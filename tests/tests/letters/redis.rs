//! The same over a real Redis, in real time.

use std::{sync::Arc, time::Duration};

use callboard::{
    System,
    kv::EmbeddedKv,
    letters::Selection,
    log::{MessageLog, RedisLog, RedisOptions},
};
use callboard_tests::{servers::RedisServer, tier};

use crate::{accounting, delayed, listing, replaying, retention, support::*};

/// A Redis with a directory in memory, that systems of one cluster share.
struct Stage {
    redis: RedisServer,
    kv: EmbeddedKv,
    log: RedisLog,
}

impl Stage {
    async fn start() -> Self {
        let redis = RedisServer::start().await;
        let log = RedisLog::connect(RedisOptions::new(redis.url())).await.expect("it runs");
        Self { redis, kv: EmbeddedKv::new(), log }
    }

    async fn system(&self, node: &str) -> System {
        let (kv, log) = (Arc::new(self.kv.clone()), Arc::new(self.log.clone()));
        let builder = System::builder().cluster("shop").node(node).arbiters(1).always_remote();
        builder.backends(kv, log).start().await.expect("the stores run")
    }
}

macro_rules! on_redis {
    ($($name:ident($stage:ident, $system:ident) $body:block)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let $stage = Stage::start().await;
            let $system = $stage.system("one").await;
            $body
            $system.shutdown().await.expect("the stores run");
        }
    )*};
}

on_redis! {
    a_message_that_fails_is_shown_and_handled_when_replayed(stage, system) {
        listing::fails_is_shown_and_is_handled_when_replayed(&system, &Book::default()).await;
        drop(stage.redis);
    }

    letters_are_listed_by_pages_and_filters_and_dropped(stage, system) {
        listing::lists_and_drops(&system, &stage.log).await;
    }

    a_replay_that_is_stopped_or_dropped_goes_on_where_it_stood(stage, system) {
        replaying::stops_and_goes_on(&system, &stage.log).await;
    }

    what_was_handled_is_kept_listed_and_replayed_by_range(stage, system) {
        retention::keeps_lists_and_replays(&system, &Book::default()).await;
        drop(stage.redis);
    }

    the_account_tells_what_became_of_everything(stage, system) {
        accounting::tells_what_became_of_everything(&system, &Book::default()).await;
        drop(stage.redis);
    }

    a_delayed_message_is_taken_back_by_its_id_from_another_process(stage, system) {
        let other = stage.system("two").await;
        delayed::is_taken_back_by_another_process(&system, &other).await;
        other.shutdown().await.expect("the stores run");
    }

    a_replay_keeps_to_its_rate_and_shows_its_progress(stage, system) {
        replaying::keeps_to_its_rate(&system, &stage.log, 2000, 2000).await;
    }

    a_counter_that_was_changed_by_hand_is_named(stage, system) {
        bury(&stage.log, &stream(&system, "orders"), 0..10).await;
        let account = system.accounting("orders").await.unwrap();
        account.check().unwrap();
        let hw = format!("{}:hw", account.stream.unit());
        for (counter, by, text) in [
            ("appended", "3", "13 messages were appended, but 0 handled + 0 expired + 0 cancelled + \
                10 dead + 0 delayed + 0 held = 10: 3 more than the sum"),
            ("appended", "-3", ""),
            ("dead", "-1", "1 more than the sum"),
            ("dead", "1", ""),
            ("frames_out", "2", "1 frames came in, 3 went out and 0 are there: 2 fewer than those two"),
        ] {
            let words = ["HINCRBY", &hw, counter, by];
            stage.redis.cli(&words).await.expect("it runs");
            let checked = system.accounting("orders").await.unwrap().check();
            if text.is_empty() {
                checked.unwrap();
                continue;
            }
            let error = checked.expect_err(counter).to_string();
            assert!(error.contains(text) && error.contains("{s:orders:0}"), "{error}");
            let all = system.accounting_of_all().await.unwrap();
            assert_eq!(all.iter().filter(|account| account.check().is_err()).count(), 1);
        }
    }

    letters_that_were_put_elsewhere_and_not_removed_are_finished_not_doubled(stage, system) {
        let (orders, others) = (stream(&system, "orders"), stream(&system, "others"));
        bury(&stage.log, &orders, 0..30).await;
        let letters = format!("{}:dlq", orders.unit());
        // As if the process had been killed before it removed them.
        stage.redis.cli(&["COPY", &letters, "before"]).await.expect("it runs");
        let handle = system.dead_letters("orders").unwrap();
        handle.replay_to("others", Selection::all()).unwrap().await.unwrap();
        stage.redis.cli(&["COPY", "before", &letters, "REPLACE"]).await.expect("it runs");
        assert_eq!(handle.count().await.unwrap(), 30);
        let report = handle.replay_to("others", Selection::all()).unwrap().await.unwrap();
        assert_eq!((report.replayed, handle.count().await.unwrap()), (30, 0));
        let ids: Vec<u64> = live(&stage.log, &others).await.into_iter().map(|(_, id)| id).collect();
        assert_eq!(ids, (0..30).collect::<Vec<_>>(), "each once");
        system.accounting("others").await.unwrap().check().unwrap();
    }
}

/// 100 000 letters in the long tier, at three rates.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_letters_are_replayed_at_their_rate() {
    let (letters, rates): (u32, &[_]) =
        if tier::trials() < 100 { (2_000, &[2_000]) } else { (100_000, &[2_000, 20_000, 100_000]) };
    let mut rows = String::from("| letters | rate | took | a second |\n|---|---|---|---|\n");
    for &rate in rates {
        let stage = Stage::start().await;
        let system = stage.system("one").await;
        let took = replaying::keeps_to_its_rate(&system, &stage.log, letters.into(), rate).await;
        let reached = f64::from(letters) / took.as_secs_f64();
        rows += &format!("| {letters} | {rate} | {took:.1?} | {reached:.0} |\n");
        system.shutdown().await.expect("the stores run");
    }
    println!("{rows}");
    tier::record_figure("Replay of dead letters", &rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_beyond_its_time_goes_when_the_next_is_settled() {
    let stage = Stage::start().await;
    let system = stage.system("one").await;
    let book = Book::default();
    system.serve("orders", book.factory()).retain(Duration::from_secs(1)).await.unwrap();
    let orders = system.service::<Orders>("orders");
    let retained = async || system.accounting("orders").await.unwrap().retained;
    orders.tell(Order(1)).await.unwrap();
    until("it is kept", async || retained().await == 1).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    orders.tell(Order(2)).await.unwrap();
    until("the next is handled", async || book.ids() == [1, 2]).await;
    until("and kept alone", async || retained().await == 1).await;
    assert!(stage.log.now_ms().await.is_ok());
    system.shutdown().await.expect("the stores run");
}
