use std::time::{Duration, UNIX_EPOCH};

use callboard::{
    Embedded,
    directory::{RETAIN_ENTRIES_MAX, ServiceDef},
    letters::{MessagePlace, Selection},
    log::EntryId,
    prelude::*,
    testing::TestSystem,
};

use crate::support::*;

const HOUR: Duration = Duration::from_secs(3600);

async fn settled(system: &System, count: u64) {
    until("all are settled", async || {
        let account = system.accounting("orders").await.unwrap();
        account.check().unwrap();
        account.accounting.handled >= count && account.length == 0
    })
    .await;
}

/// What is handled is kept, listed, shown, and replayed to the service by range.
pub async fn keeps_lists_and_replays(system: &System, book: &Book) {
    system.serve("orders", book.factory()).retain(HOUR).await.unwrap();
    let orders = system.service::<Orders>("orders");
    for id in 0..60 {
        orders.tell(Order(id)).buffered().await.unwrap();
    }
    orders.tell(Note(60)).key("k").await.unwrap();
    settled(system, 61).await;
    let retained = system.retained("orders").unwrap();
    assert_eq!(retained.count(Selection::all()).await.unwrap(), 61);
    let account = system.accounting("orders").await.unwrap();
    assert!(account.retained > 0 && account.retained_bytes > 61, "{account:?}");

    let (mut all, mut selection) = (Vec::new(), Selection::all());
    loop {
        let page = retained.list(selection.clone(), 7).await.unwrap();
        assert!(page.messages.len() <= 7);
        all.extend(page.messages);
        match page.next {
            Some(next) => selection = selection.after(next),
            None => break,
        }
    }
    assert_eq!(all.len(), 61, "each once");
    assert!(all.is_sorted_by_key(|message| message.place));
    let note = all.iter().find(|message| message.message == "Note").unwrap();
    let shown = retained.show(note.place).await.unwrap().expect("it is kept");
    assert_eq!(shown.body.decode::<Note>().unwrap(), Note(60));
    assert_eq!((shown.sender, shown.version), (system.incarnation(), 1));
    assert!(shown.key_hash.is_some());
    let nowhere = MessagePlace { id: EntryId { ms: 1, seq: 1 }, index: 0 };
    assert!(retained.show(nowhere).await.unwrap().is_none());
    let until = UNIX_EPOCH + Duration::from_millis(note.place.id.ms + 1);
    let count = retained.count(Selection::all().before(until).message("Note")).await.unwrap();
    assert_eq!(count, 1);
    assert_eq!(retained.count(Selection::all().since(until)).await.unwrap(), 0);

    book.forget();
    let orders_only = Selection::all().message("Order");
    let report = retained.replay(orders_only).rate(5000).await.unwrap();
    assert_eq!((report.total, report.replayed), (60, 60));
    settled(system, 121).await;
    assert_eq!(book.sorted(), (0..60).collect::<Vec<_>>());
    // What was replayed is kept where it was: once.
    assert_eq!(retained.count(Selection::all()).await.unwrap(), 61);
    let again = retained.replay(Selection::all().message("Order")).named(&report.name);
    assert_eq!(again.await.unwrap().replayed, 60, "they were put there before");
    assert_eq!(book.ids().len(), 60, "and are not put there twice");
    retained.replay(Selection::all().message("Note")).await.unwrap();
    settled(system, 122).await;
    assert_eq!(book.ids().last(), Some(&60));
}

#[callboard::test]
async fn what_was_handled_is_kept_listed_and_replayed_by_range(test: TestSystem) {
    keeps_lists_and_replays(&test, &Book::default()).await;
}

#[callboard::test]
async fn what_was_tried_again_is_kept_once(test: TestSystem) {
    let book = Book::default();
    test.serve("orders", book.factory()).retain(HOUR).await.unwrap();
    book.refuse(true);
    let orders = test.service::<Orders>("orders");
    for id in 0..20 {
        orders.tell(Order(id)).buffered().await.unwrap();
    }
    until("some were tried twice", async || book.ids().len() > 30).await;
    book.refuse(false);
    settled(&test, 20).await;
    let retained = test.retained("orders").unwrap();
    assert_eq!(retained.count(Selection::all()).await.unwrap(), 20);
    book.forget();
    retained.replay(Selection::all()).await.unwrap();
    settled(&test, 40).await;
    assert_eq!(book.sorted(), (0..20).collect::<Vec<_>>());
}

#[callboard::test]
async fn what_is_beyond_its_time_goes_also_when_nothing_is_settled(test: TestSystem) {
    let book = Book::default();
    let served = test.serve("orders", book.factory()).retain(HOUR).await.unwrap();
    let orders = test.service::<Orders>("orders");
    orders.tell(Order(1)).await.unwrap();
    settled(&test, 1).await;
    test.advance(HOUR / 2).await;
    orders.tell(Order(2)).await.unwrap();
    settled(&test, 2).await;
    served.stop().await.unwrap();
    let kept = async || test.accounting("orders").await.unwrap().retained;
    assert_eq!(kept().await, 2);
    test.advance(HOUR / 2 + Duration::from_secs(120)).await;
    assert_eq!(kept().await, 1, "house was kept");
    test.advance(HOUR / 2).await;
    assert_eq!(kept().await, 0);
    assert_eq!(test.bus().stats().retained_trimmed, 2);
    assert_eq!(test.accounting("orders").await.unwrap().retained_bytes, 0);
}

#[callboard::test]
async fn a_service_that_is_defined_anew_keeps_what_it_says_from_then_on() {
    let store = Embedded::new();
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    let book = Book::default();
    one.serve("orders", book.factory()).await.unwrap();
    let orders = one.service::<Orders>("orders");
    let retained = async || one.accounting("orders").await.unwrap().retained;
    let tell = async |id: u64| {
        orders.tell(Order(id)).await.unwrap();
        settled(&one, id).await;
    };
    tell(1).await;
    assert_eq!(retained().await, 0);
    let keeps =
        |retain_ms, retain_max| ServiceDef { retain_ms, retain_max, ..ServiceDef::default() };
    let redefine = async |definition: ServiceDef| {
        two.directory().redefine(&name("orders"), definition.clone()).await.unwrap();
        until("it is known", async || {
            one.directory().definition(&name("orders")).is_some_and(|known| *known == definition)
        })
        .await;
    };
    redefine(keeps(Some(3_600_000), 3)).await;
    for id in 2..=6 {
        tell(id).await;
    }
    assert_eq!(retained().await, 3, "as many as it says");
    redefine(keeps(None, 3)).await;
    tell(7).await;
    assert_eq!(retained().await, 3);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(retained().await, 0, "it keeps nothing any more");
    two.finish().await;
    one.finish().await;
}

#[callboard::test]
async fn retention_out_of_bounds_is_refused_with_the_bounds(test: TestSystem) {
    let serve = || test.serve("orders", Book::default().factory());
    for retain in [Duration::ZERO, Duration::from_millis(999), Duration::MAX] {
        let error = serve().retain(retain).await.unwrap_err().to_string();
        assert!(error.contains("1000 (1 s) to 31536000000 (a year)"), "{error}");
    }
    for entries in [0, RETAIN_ENTRIES_MAX + 1] {
        let error = serve().retain(HOUR).retain_max(entries).await.unwrap_err().to_string();
        assert!(error.contains("retain_max is 1 to 10000000"), "{error}");
    }
    serve().retain(Duration::from_secs(1)).retain_max(1).await.unwrap();
    let retained = test.retained("orders").unwrap();
    assert_eq!(retained.trim(EntryId::MAX).await.unwrap(), 0);
    assert!(retained.list(Selection::all(), 0).await.is_err());
}
