use std::time::Duration;

use bytes::Bytes;
use callboard::{
    Codec, Embedded, SystemEvent,
    bus::{
        Body, BusEvent, Outgoing,
        frame::{Kind, Trace},
    },
    letters::{LETTERS_PER_PAGE_MAX, LettersError, Selection, SkipReason},
    log::{Append, AppendRequest, EntryId, MessageLog, Place},
    prelude::*,
    testing::TestSystem,
};

use crate::support::*;

/// An order is refused five times; its letter has all that is known; replayed, it is handled.
pub async fn fails_is_shown_and_is_handled_when_replayed(system: &System, book: &Book) {
    system.serve("orders", book.factory()).await.unwrap();
    book.refuse(true);
    let orders = system.service::<Orders>("orders");
    orders.tell(Order(7)).key("customer-1").await.unwrap();
    let letters = system.dead_letters("orders").unwrap();
    until("a letter lies there", async || letters.count().await.unwrap() == 1).await;
    assert_eq!(book.ids(), [7; 5], "five tries");

    let page = letters.list(Selection::all(), 10).await.unwrap();
    let summary = &page.letters[0];
    assert!(page.next.is_none());
    let letter = letters.show(summary.id).await.unwrap().expect("it lies there");
    assert_eq!(letter.summary(), summary);
    assert_eq!(letter.reason, "its handler failed, attempt 5 of 5");
    assert_eq!((letter.attempts, letter.index, letter.unreadable), (5, 0, false));
    assert_eq!((letter.message.as_deref(), letter.version), (Some("Order"), 1));
    assert_eq!((letter.kind, letter.codec), (Kind::Tell, Codec::Bincode));
    assert_eq!((letter.sender, letter.inbox, letter.target), (system.incarnation(), None, None));
    assert!(letter.key_hash.is_some() && letter.topic.is_none());
    assert_eq!(letter.first_ms, letter.origin.ms);
    assert!(letter.first_ms < letter.last_ms && letter.last_ms <= letter.id.ms + 1000);
    assert_eq!(letter.size, letter.body.bytes().len());
    assert_eq!(letter.body.decode::<Order>().unwrap(), Order(7));
    assert!(letter.body.decode::<String>().is_err() && letter.body.json().is_none());

    book.refuse(false);
    book.forget();
    let mut events = system.events();
    let report = letters.replay(summary.id).await.unwrap();
    let (stream, messages) = (stream(system, "orders"), 1);
    let replayed = BusEvent::Replayed { stream, messages };
    assert_eq!(events.next().await, Some(SystemEvent::Bus(replayed)));
    assert_eq!((report.total, report.replayed, report.skipped), (1, 1, 0));
    assert!(report.is_complete() && report.last == Some(summary.id));
    until("it is handled", async || book.ids() == [7]).await;
    assert_eq!(letters.count().await.unwrap(), 0);
    until("it is settled", async || {
        let account = system.accounting("orders").await.unwrap();
        account.check().unwrap();
        let accounting = account.accounting;
        (accounting.appended, accounting.handled, accounting.dead, account.length) == (2, 1, 1, 0)
    })
    .await;
}

#[callboard::test]
async fn a_message_that_fails_is_shown_with_all_that_is_known_and_handled_when_replayed(
    test: TestSystem,
) {
    fails_is_shown_and_is_handled_when_replayed(&test, &Book::default()).await;
    let stats = test.bus().stats();
    assert_eq!((stats.buried, stats.replayed, stats.letters_dropped), (1, 1, 0));
}

/// Pages, filters and drops.
pub async fn lists_and_drops(system: &System, log: &dyn MessageLog) {
    let stream = stream(system, "orders");
    bury(log, &stream, 0..250).await;
    let handle = system.dead_letters("orders").unwrap();
    let all = letters(system, "orders").await;
    assert_eq!((all.len(), handle.count().await.unwrap()), (250, 250));
    assert!(all.is_sorted_by_key(|letter| letter.id));
    let traces: Vec<_> = all.iter().map(|letter| letter.trace.unwrap().trace_id).collect();
    assert_eq!(traces, (0..250).collect::<Vec<u128>>(), "each once, in order");
    assert_eq!(all[3].trace, Some(Trace { trace_id: 3, span_id: 7, flags: 1 }));

    let count = async |selection: Selection| {
        handle.list(selection, LETTERS_PER_PAGE_MAX).await.unwrap().letters.len()
    };
    assert_eq!(count(Selection::all().reason("letter 42 of")).await, 3);
    assert_eq!(count(Selection::all().message("Order").reason("of 50")).await, 50);
    assert_eq!(count(Selection::all().message("Note")).await, 0);
    assert_eq!(count(Selection::all().from_id(all[10].id).to_id(all[19].id)).await, 10);
    assert_eq!(count(Selection::all().after(all[240].id)).await, 9);
    let ids = [all[5].id, all[1].id, EntryId { ms: 1, seq: 1 }];
    assert_eq!(count(Selection::ids(ids)).await, 2);
    let last = std::time::UNIX_EPOCH + Duration::from_millis(all[249].id.ms);
    assert_eq!(count(Selection::all().since(last + Duration::from_millis(1))).await, 0);
    assert_eq!(count(Selection::all().before(last + Duration::from_millis(1))).await, 250);
    for limit in [0, LETTERS_PER_PAGE_MAX + 1] {
        let refused = handle.list(Selection::all(), limit).await.unwrap_err();
        assert!(matches!(refused, LettersError::Bound { .. }), "{refused}");
    }

    let mut events = system.events();
    assert_eq!(handle.drop_letters(Selection::ids(ids)).await.unwrap(), 2);
    let dropped = BusEvent::LettersDropped { stream: stream.clone(), letters: 2 };
    assert_eq!(events.next().await, Some(SystemEvent::Bus(dropped)));
    assert_eq!(handle.drop_letters(Selection::ids(ids)).await.unwrap(), 0);
    assert_eq!(handle.drop_letters(Selection::all().reason("of 50")).await.unwrap(), 50);
    assert_eq!(handle.count().await.unwrap(), 198);
    assert!(handle.show(all[5].id).await.unwrap().is_none());
    assert_eq!(handle.drop_letters(Selection::all()).await.unwrap(), 198);
    assert_eq!(system.bus().stats().letters_dropped, 250);
    system.accounting("orders").await.unwrap().check().unwrap();
    assert!(system.dead_letters("Not a name").is_err());
}

#[callboard::test]
async fn letters_are_listed_by_pages_and_filters_and_dropped() {
    let store = Embedded::new();
    let test = node("one", &store).await;
    lists_and_drops(&test, &store.log()).await;
    test.finish().await;
}

/// Puts an entry into a stream as somebody else might.
async fn append(log: &dyn MessageLog, stream: &callboard::log::StreamName, frame: &'static [u8]) {
    let request = AppendRequest {
        stream: stream.clone(),
        producer: sender(),
        lane: 900,
        first: 1,
        count: 1,
        frame: Bytes::from_static(frame),
        must_exist: false,
        backlog_max: None,
        dedup: Vec::new(),
    };
    assert!(matches!(log.append(request).await.unwrap(), Append::Stored(_)));
}

#[callboard::test]
async fn an_entry_that_nobody_can_read_is_shown_whole_and_stays() {
    let store = Embedded::new();
    let (test, book) = (node("one", &store).await, Book::default());
    test.serve("orders", book.factory()).await.unwrap();
    append(&store.log(), &stream(&test, "orders"), b"what is this").await;
    let handle = test.dead_letters("orders").unwrap();
    until("it is buried", async || handle.count().await.unwrap() == 1).await;
    let page = handle.list(Selection::all(), 10).await.unwrap();
    let letter = handle.show(page.letters[0].id).await.unwrap().unwrap();
    assert!(letter.unreadable && letter.message.is_none(), "{letter:?}");
    assert!(letter.reason.contains("format"), "{}", letter.reason);
    assert_eq!(&letter.body.bytes()[..], b"what is this");
    let report = handle.replay(Selection::all()).await.unwrap();
    assert_eq!((report.total, report.replayed, report.skipped), (1, 0, 1));
    assert_eq!(report.skips[0].reason, SkipReason::Unreadable);
    assert_eq!(handle.count().await.unwrap(), 1, "it stays");
    assert_eq!(handle.drop_letters(Selection::all().reason("format")).await.unwrap(), 1);
    test.finish().await;
}

#[callboard::test]
async fn a_replayed_message_does_not_expire_by_the_time_that_it_had(test: TestSystem) {
    let book = Book::default();
    book.refuse(true);
    test.serve("orders", book.factory()).await.unwrap();
    let body = callboard_body(&Order(1));
    let mut outgoing = Outgoing::new("Order", 1, Body::Bytes(body));
    outgoing.deadline = Some(tokio::time::Instant::now() + Duration::from_secs(600));
    test.bus().tell_service(&name("orders"), outgoing).await.unwrap();
    let handle = test.dead_letters("orders").unwrap();
    until("it is buried", async || handle.count().await.unwrap() == 1).await;
    book.refuse(false);
    book.forget();
    test.advance(Duration::from_secs(900)).await;
    handle.replay(Selection::all()).await.unwrap();
    until("it is handled", async || book.ids() == [1]).await;
    assert_eq!(test.accounting("orders").await.unwrap().accounting.expired, 0);
}

fn callboard_body(order: &Order) -> Bytes {
    let mut body = Vec::new();
    callboard::bus::codec::encode(Codec::Bincode, order, &mut body).unwrap();
    body.into()
}

#[callboard::test]
async fn a_letter_in_json_is_shown_as_text(test: TestSystem) {
    let body = Bytes::from_static(br#"{"not": "an order"}"#);
    let mut outgoing = Outgoing::new("Order", 1, Body::Bytes(body));
    outgoing.codec = Codec::Json;
    test.serve("orders", Book::default().factory()).await.unwrap();
    test.bus().tell_service(&name("orders"), outgoing).await.unwrap();
    let handle = test.dead_letters("orders").unwrap();
    until("it is buried", async || handle.count().await.unwrap() == 1).await;
    let page = handle.list(Selection::all().message("Order"), 10).await.unwrap();
    let letter = handle.show(page.letters[0].id).await.unwrap().unwrap();
    assert_eq!(letter.body.json(), Some(r#"{"not": "an order"}"#));
    assert!(letter.reason.contains("can't be decoded"), "{}", letter.reason);
    assert!(letter.body.decode::<Order>().is_err());
    assert_eq!(handle.stream(), &stream(&test, "orders"));
}

#[callboard::test]
async fn what_somebody_else_put_among_the_letters_is_shown_and_can_be_dropped() {
    let store = Embedded::new();
    let test = node("one", &store).await;
    let stream = stream(&test, "orders");
    bury(&store.log(), &stream, 0..1).await;
    // As a letter, by the port: a frame that is none.
    let consumer = callboard::log::Consumer { group: "g".into(), name: "a".into() };
    append(&store.log(), &stream, b"x").await;
    let read = callboard::log::ReadGroupRequest {
        streams: vec![stream.clone()],
        consumer: consumer.clone(),
        count: 1,
        block: Duration::ZERO,
    };
    let id = store.log().read_group(read).await.unwrap()[0].entries[0].id;
    let letter = Bytes::from_static(b"no letter");
    let request = callboard::log::BuryEntryRequest { id, letter, into: None };
    let owner = callboard::log::Owner::Consumer(consumer);
    store.log().bury_entry(&stream, &owner, request).await.unwrap();
    let handle = test.dead_letters("orders").unwrap();
    let page = handle.list(Selection::all().reason("can't be read"), 10).await.unwrap();
    let shown = handle.show(page.letters[0].id).await.unwrap().unwrap();
    assert_eq!(&shown.body.bytes()[..], b"no letter");
    assert_eq!(handle.drop_letters(page.letters[0].id).await.unwrap(), 1);
    let log = store.log();
    let left = log.range(&stream, Place::Dead, EntryId::MIN, EntryId::MAX, 10).await.unwrap();
    assert_eq!(left.len(), 1);
    test.finish().await;
}
