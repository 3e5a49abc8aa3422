//! Answers that are lost, and processes that end in the middle.

use std::{sync::Arc, time::Duration};

use callboard::{Embedded, letters::Selection};
use callboard_tests::tier;
use parking_lot::Mutex;

use crate::{
    faulty::{Fault, FaultyLog},
    support::*,
};

/// A log of which the calls of a replay go wrong in every way.
fn faulty(store: &Embedded, seed: u64) -> Arc<FaultyLog> {
    let rng = Mutex::new(fastrand::Rng::with_seed(seed));
    Arc::new(FaultyLog::new(Arc::new(store.log()), move |call| {
        let mut rng = rng.lock();
        let ways = [Fault::Before, Fault::After, Fault::Hang, Fault::HangAfter, Fault::Slow];
        match call {
            "replay" | "range" | "drop_dead" if rng.u32(..100) < 40 => ways[rng.usize(..5)],
            _ => Fault::None,
        }
    }))
}

#[callboard::test]
async fn lost_answers_to_a_replay_lose_and_double_nothing() {
    for trial in 0..u64::from(tier::trials()) {
        let store = Embedded::new();
        let test = node_over("one", &store, faulty(&store, tier::seed().wrapping_add(trial))).await;
        let (orders, others) = (stream(&test, "orders"), stream(&test, "others"));
        bury(&store.log(), &orders, 0..300).await;
        let handle = test.dead_letters("orders").unwrap();
        let first = handle.replay(Selection::all().reason("of 100")).rate(500);
        // Dropped and replayed in turn: what is taken by one is not taken by the other.
        let report = first.await.unwrap();
        assert_eq!((report.total, report.replayed, report.skipped), (300, 300, 0), "{report:?}");
        bury(&store.log(), &orders, 300..400).await;
        let report = handle.replay_to("others", Selection::all()).unwrap().await.unwrap();
        assert_eq!((report.total, report.replayed), (100, 100), "{report:?}");
        let ids = async |stream| -> Vec<u64> {
            live(&store.log(), stream).await.into_iter().map(|(_, id)| id).collect()
        };
        assert_eq!(ids(&orders).await, (0..300).collect::<Vec<_>>(), "each once, in order");
        assert_eq!(ids(&others).await, (300..400).collect::<Vec<_>>());
        bury(&store.log(), &orders, 400..450).await;
        assert_eq!(handle.drop_letters(Selection::all()).await.unwrap(), 50);
        for account in test.accounting_of_all().await.unwrap() {
            account.check().unwrap();
        }
        test.finish().await;
    }
}

#[callboard::test]
async fn lost_answers_to_a_replay_of_retained_messages_double_nothing() {
    for trial in 0..u64::from(tier::trials()) {
        let store = Embedded::new();
        let test = node_over("one", &store, faulty(&store, tier::seed().wrapping_add(trial))).await;
        let book = Book::default();
        let hour = Duration::from_secs(3600);
        let served = test.serve("orders", book.factory()).retain(hour).await.unwrap();
        let orders = test.service::<Orders>("orders");
        for id in 0..200 {
            orders.tell(Order(id)).buffered().await.unwrap();
        }
        until("all are handled", async || book.ids().len() == 200).await;
        served.stop().await.unwrap();
        book.forget();
        let report = test.retained("orders").unwrap().replay(Selection::all()).await.unwrap();
        assert_eq!((report.total, report.replayed, report.skipped), (200, 200, 0), "{report:?}");
        let live = live(&store.log(), &stream(&test, "orders")).await;
        let ids: Vec<u64> = live.into_iter().map(|(_, id)| id).collect();
        assert_eq!(ids, (0..200).collect::<Vec<_>>(), "each once, in order");
        test.finish().await;
    }
}

/// Ends a process in the middle of its replay, as a crash would, again and again; another one finishes.
#[callboard::test]
async fn a_process_that_crashes_in_the_middle_of_a_replay_loses_and_doubles_nothing() {
    fastrand::seed(tier::seed());
    for _ in 0..tier::trials() {
        let store = Embedded::new();
        let (last, book) = (node("last", &store).await, Book::default());
        last.serve("orders", book.factory()).retain(Duration::from_secs(3600)).await.unwrap();
        let (log, orders) = (store.log(), stream(&last, "orders"));
        bury(&log, &orders, 0..500).await;
        for round in 0..3 {
            let crashing = node(&format!("crashing-{round}"), &store).await;
            let handle = crashing.dead_letters("orders").unwrap();
            let running = handle.replay(Selection::all()).rate(100).start();
            tokio::time::sleep(Duration::from_millis(fastrand::u64(10..1500))).await;
            crashing.abort().await;
            drop(running);
        }
        let handle = last.dead_letters("orders").unwrap();
        let left = handle.count().await.unwrap();
        assert!((1..500).contains(&left), "{left}");
        let report = handle.replay(Selection::all()).await.unwrap();
        assert_eq!(report.replayed, left);
        until("all are handled", async || book.ids().len() >= 500).await;
        assert_eq!(book.sorted(), (0..500).collect::<Vec<_>>(), "each once");
        last.accounting("orders").await.unwrap().check().unwrap();

        // The same with what is retained: the name says where to go on.
        book.forget();
        let retained = async |system: &callboard::System| {
            system.retained("orders").unwrap().replay(Selection::all()).named("again").rate(200)
        };
        for round in 0..2 {
            let crashing = node(&format!("crashing-again-{round}"), &store).await;
            let running = retained(&crashing).await.start();
            tokio::time::sleep(Duration::from_millis(fastrand::u64(10..900))).await;
            crashing.abort().await;
            drop(running);
        }
        let report = retained(&last).await.await.unwrap();
        assert!(report.is_complete() && report.total == 500, "{report:?}");
        until("all are handled again", async || book.ids().len() >= 500).await;
        last.quiesce().await;
        assert_eq!(book.sorted(), (0..500).collect::<Vec<_>>(), "each once");
        last.finish().await;
    }
}
