use std::{sync::Arc, time::Duration};

use callboard::{
    Embedded,
    directory::ServiceDef,
    letters::{REPLAY_RATE_MAX, ReplayProgress, Selection, SkipReason},
    prelude::*,
    testing::TestSystem,
};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::support::*;

/// A replay of `count` letters at a rate shows its progress and keeps to the rate, by the log's clock.
/// Gives how long it took.
pub async fn keeps_to_its_rate(
    system: &System,
    log: &dyn callboard::log::MessageLog,
    count: u64,
    rate: u32,
) -> Duration {
    let stream = stream(system, "orders");
    let definition = ServiceDef { backlog_max: 10_000_000, ..ServiceDef::default() };
    system.define("orders", definition).await.unwrap();
    bury(log, &stream, 0..count).await;
    let handle = system.dead_letters("orders").unwrap();
    let heard: Arc<Mutex<Vec<ReplayProgress>>> = Arc::default();
    let hears = heard.clone();
    let replay = handle
        .replay(Selection::all())
        .rate(rate)
        .on_progress(move |progress| hears.lock().push(*progress));
    let began = Instant::now();
    let report = replay.await.unwrap();
    let took = began.elapsed();
    assert_eq!((report.total, report.replayed, report.skipped), (count, count, 0));
    assert!(report.is_complete() && !report.was_stopped);

    let heard = heard.lock().clone();
    assert_eq!((heard[0].total, heard[0].done(), heard[0].remaining()), (count, 0, count));
    assert!(heard.is_sorted_by_key(|progress| progress.replayed), "progress goes on");
    assert_eq!(heard.last().unwrap().remaining(), 0);
    let halfway = heard.iter().find(|progress| progress.done() * 2 >= count).unwrap();
    assert!(halfway.rate() <= f64::from(rate) * 1.2 + 300.0, "{halfway}");
    assert!(halfway.time_left().is_some() && heard.len() as u64 >= count / 256, "{halfway}");

    let live = live(log, &stream).await;
    let ids: Vec<u64> = live.iter().map(|(_, id)| *id).collect();
    assert_eq!(ids, (0..count).collect::<Vec<_>>(), "each once, in order");
    let times: Vec<u64> = live.iter().map(|(ms, _)| *ms).collect();
    assert_rate(&times, u64::from(rate), u64::from((rate / 20).clamp(1, 256)));
    let least = Duration::from_secs_f64((count - 256) as f64 / f64::from(rate) * 0.9);
    assert!(took >= least, "{took:?}");
    system.accounting("orders").await.unwrap().check().unwrap();
    took
}

#[callboard::test]
async fn a_replay_keeps_to_its_rate_and_shows_its_progress() {
    for (count, rate) in [(3_000, 500), (300, 7), (5_000, REPLAY_RATE_MAX)] {
        let store = Embedded::new();
        let test = node("one", &store).await;
        let took = keeps_to_its_rate(&test, &store.log(), count, rate).await;
        // On the paused clock nothing else takes time.
        let due = Duration::from_secs_f64(count as f64 / f64::from(rate));
        assert!(took <= due + Duration::from_millis(200), "{took:?} for {due:?}");
        test.finish().await;
    }
}

#[callboard::test]
async fn a_rate_out_of_bounds_is_refused_with_the_bounds(test: TestSystem) {
    let handle = test.dead_letters("orders").unwrap();
    for rate in [0, REPLAY_RATE_MAX + 1] {
        let error = handle.replay(Selection::all()).rate(rate).await.unwrap_err();
        assert!(error.to_string().contains("give 1 to 100000"), "{error}");
    }
    let error = handle.replay(Selection::all()).named("No name").await.unwrap_err();
    assert!(error.to_string().contains("the name of a replay"), "{error}");
    assert!(handle.replay_to("No name", Selection::all()).is_err());
    let report = handle.replay(Selection::all()).await.unwrap();
    assert!(report.is_complete() && report.total == 0, "nothing is replayed at once");
}

/// Stops a replay half-way, drops another, and lets a third go on.
pub async fn stops_and_goes_on(system: &System, log: &dyn callboard::log::MessageLog) {
    let (count, stream) = (400_u64, stream(system, "orders"));
    bury(log, &stream, 0..count).await;
    let handle = system.dead_letters("orders").unwrap();
    let mut running = handle.replay(Selection::all()).rate(200).start();
    while running.changed().await.unwrap().replayed < 100 {}
    running.stop();
    let report = running.await.unwrap();
    assert!(report.was_stopped && !report.is_complete());
    let left = handle.count().await.unwrap();
    assert_eq!(report.replayed + left, count, "none is lost");
    assert!((100..300).contains(&report.replayed), "{report:?}");
    let first_left = letters(system, "orders").await[0].id;
    assert!(report.last.unwrap() < first_left);

    let mut dropped = handle.replay(Selection::all()).rate(200).start();
    while dropped.changed().await.unwrap().replayed < 50 {}
    drop(dropped);
    let left = handle.count().await.unwrap();
    // The step that was on its way may end.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let settled = handle.count().await.unwrap();
    assert!(settled > 0 && left - settled <= 10, "{left}, then {settled}");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(handle.count().await.unwrap(), settled, "it has ended");

    let rest = handle.replay(Selection::all()).rate(10_000).await.unwrap();
    assert_eq!((rest.total, rest.replayed), (settled, settled));
    let ids: Vec<u64> = live(log, &stream).await.into_iter().map(|(_, id)| id).collect();
    assert_eq!(ids, (0..count).collect::<Vec<_>>(), "each once");
    system.accounting("orders").await.unwrap().check().unwrap();
}

#[callboard::test]
async fn a_replay_that_is_stopped_or_dropped_goes_on_where_it_stood() {
    let store = Embedded::new();
    let test = node("one", &store).await;
    stops_and_goes_on(&test, &store.log()).await;
    test.finish().await;
}

#[callboard::test]
async fn what_fails_again_is_not_replayed_by_the_same_replay(test: TestSystem) {
    let book = Book::default();
    book.refuse(true);
    test.serve("orders", book.factory()).await.unwrap();
    let orders = test.service::<Orders>("orders");
    for id in 0..30 {
        orders.tell(Order(id)).await.unwrap();
    }
    let handle = test.dead_letters("orders").unwrap();
    until("all are buried", async || handle.count().await.unwrap() == 30).await;
    let first = letters(&test, "orders").await;
    // Slowly: the first ones are buried again before the last ones go.
    let report = handle.replay(Selection::all()).rate(1).await.unwrap();
    assert_eq!((report.total, report.replayed), (30, 30));
    until("all are buried again", async || handle.count().await.unwrap() == 30).await;
    let again = letters(&test, "orders").await;
    assert!(again[0].id > first[29].id);
    assert!(again.iter().all(|letter| letter.attempts == 5), "attempts begin anew");
    let known = |letters: &[callboard::letters::LetterSummary]| {
        let mut known: Vec<_> = letters.iter().map(|one| (one.origin, one.sender)).collect();
        known.sort();
        known
    };
    assert_eq!(known(&first), known(&again), "where they came from is kept");
    test.accounting("orders").await.unwrap().check().unwrap();
}

#[callboard::test]
async fn a_replay_leaves_half_of_the_backlog_to_those_who_send() {
    let store = Embedded::new();
    let (test, book) = (node("one", &store).await, Book::default());
    let definition = ServiceDef { backlog_max: 20, ..ServiceDef::default() };
    test.define("orders", definition).await.unwrap();
    bury(&store.log(), &stream(&test, "orders"), 0..50).await;
    let handle = test.dead_letters("orders").unwrap();
    let mut running = handle.replay(Selection::all()).rate(1000).start();
    while !running.changed().await.unwrap().is_waiting {}
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(running.progress().replayed, 0, "a step counts when it is through");
    assert_eq!(test.accounting("orders").await.unwrap().accounting.held, 10);
    let orders = test.service::<Orders>("orders");
    for id in 100..110 {
        orders.tell(Order(id)).await.unwrap();
    }
    orders.tell(Order(999)).await.expect_err("now it is full");
    // Defined so above.
    test.serve("orders", book.factory()).backlog_max(20).await.unwrap();
    let report = running.await.unwrap();
    assert_eq!((report.replayed, report.skipped), (50, 0));
    until("all are handled", async || book.ids().len() == 60).await;
    assert_eq!(book.sorted(), (0..50).chain(100..110).collect::<Vec<_>>());
    test.finish().await;
}

#[callboard::test]
async fn letters_go_to_another_service() {
    let store = Embedded::new();
    let (test, book) = (node("one", &store).await, Book::default());
    bury(&store.log(), &stream(&test, "orders"), 0..40).await;
    test.serve("repairs", book.factory()).await.unwrap();
    let handle = test.dead_letters("orders").unwrap();
    let selection = Selection::all().reason("letter 3 of");
    let report = handle.replay_to("repairs", selection).unwrap().await.unwrap();
    assert_eq!((report.total, report.replayed), (1, 1));
    let report = handle.replay_to("repairs", Selection::all()).unwrap().await.unwrap();
    assert_eq!((report.total, report.replayed), (39, 39));
    until("all are handled", async || book.ids().len() == 40).await;
    assert_eq!(book.sorted(), (0..40).collect::<Vec<_>>());
    for account in test.accounting_of_all().await.unwrap() {
        account.check().unwrap();
    }
    test.finish().await;
}

#[callboard::test]
async fn letters_of_inboxes_go_back_to_the_processes_that_live() {
    let store = Embedded::new();
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    let three = node("three", &store).await;
    let (stays, goes) = (Book::default(), Book::default());
    for (system, book) in [(&two, &stays), (&three, &goes)] {
        book.refuse(true);
        let factory = book.factory();
        system.serve(format!("of-{}", system.node()), factory).await.unwrap();
    }
    for (service, id) in [("of-two", 2), ("of-three", 3)] {
        until("it is visible", async || {
            one.directory().resolve(&name(service)).instances.len() == 1
        })
        .await;
        one.service::<Orders>(service).broadcast(Order(id)).await.unwrap();
    }
    let handle = one.dead_letters_of_nodes();
    until("both are buried", async || handle.count().await.unwrap() == 2).await;
    let page = handle.list(Selection::all(), 10).await.unwrap();
    for letter in &page.letters {
        assert!(letter.target.is_some());
        assert!([two.incarnation(), three.incarnation()].contains(&letter.inbox.unwrap()));
        assert_eq!(letter.sender, one.incarnation());
    }
    three.abort().await;
    until("it is gone", async || one.directory().nodes().len() == 2).await;
    stays.refuse(false);
    stays.forget();
    let report = handle.replay(Selection::all()).await.unwrap();
    assert_eq!((report.total, report.replayed, report.skipped), (2, 1, 1), "{report:?}");
    assert_eq!(report.skips[0].reason, SkipReason::ProcessGone);
    until("it is handled", async || stays.ids() == [2]).await;
    // The other one can be handled by somebody else.
    one.serve("heirs", stays.factory()).await.unwrap();
    let report = handle.replay_to("heirs", Selection::all()).unwrap().await.unwrap();
    assert_eq!(report.replayed, 1);
    until("it is handled", async || stays.ids() == [2, 3]).await;
    until("all is settled", async || {
        let accounts = one.accounting_of_all().await.unwrap();
        accounts.iter().for_each(|account| account.check().unwrap());
        accounts.iter().all(|account| account.accounting.held == 0)
    })
    .await;
    two.finish().await;
    one.finish().await;
}

#[callboard::test]
async fn a_system_that_is_shut_down_says_so(test: TestSystem) {
    let handle = test.dead_letters("orders").unwrap();
    let node = TestSystem::start_with(|builder| builder.node("other")).await;
    let others = node.dead_letters("orders").unwrap();
    node.abort().await;
    let error = others.replay(Selection::all()).await.map(|report| report.total);
    assert!(error.is_err() || error.unwrap() == 0);
    assert_eq!(handle.count().await.unwrap(), 0);
}
