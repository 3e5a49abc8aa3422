//! Tells with an id are handled once in a window, whoever sends them.

use callboard::{
    Embedded, FailureKind, Name,
    bus::keys,
    log::{MessageLog, StreamInfo},
    prelude::*,
};
use futures_util::future::join_all;

use crate::support::{Add, Counter, Get, node, until};

const SECOND: Duration = Duration::from_secs(1);

async fn info(store: &Embedded) -> StreamInfo {
    let stream = keys::service(&Name::new("default").unwrap(), &Name::new("counter").unwrap(), 0);
    let info = store.log().info(&stream).await.unwrap().expect("the stream is there");
    assert!(info.accounting.adds_up(), "{:?}", info.accounting);
    info
}

async fn settled(store: &Embedded) -> StreamInfo {
    until("all is settled", async || info(store).await.accounting.held == 0).await;
    info(store).await
}

#[callboard::test]
async fn the_same_id_from_two_processes_is_handled_once() -> callboard::Result<()> {
    let store = Embedded::new();
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    one.serve("counter", Counter::default).await?;
    let (here, there) = (one.service::<Counter>("counter"), two.service::<Counter>("counter"));
    until("it is visible", async || there.ask(Get).await.is_ok()).await;
    here.tell(Add(1)).dedup_id("payment-7").await.expect("stored");
    there.tell(Add(10)).dedup_id("payment-7").await.expect("stored before");
    there.tell(Add(100)).dedup_id("payment-8").buffered().await.expect("in the lane");
    here.recipient::<Add>().tell(Add(1000)).dedup_id("payment-8").await.expect("stored before");
    until("two are handled", async || {
        // Either of the two last ones may have come first.
        matches!(here.ask(Get).await, Ok(101 | 1001))
    })
    .await;
    let accounting = settled(&store).await.accounting;
    assert_eq!((accounting.appended, accounting.cancelled), (4, 2), "{accounting:?}");
    one.shutdown().await?;
    two.shutdown().await
}

#[callboard::test]
async fn an_id_is_forgotten_after_the_window_of_the_service() -> callboard::Result<()> {
    let store = Embedded::new();
    let one = node("one", &store).await;
    one.serve("counter", Counter::default).dedup_window(60 * SECOND).await?;
    let service = one.service::<Counter>("counter");
    let tell = async || service.tell(Add(1)).dedup_id("x").await.expect("stored");
    tell().await;
    tokio::time::sleep(59 * SECOND).await;
    tell().await;
    settled(&store).await;
    assert_eq!(service.ask(Get).await?, 1);
    tokio::time::sleep(2 * SECOND).await;
    tell().await;
    settled(&store).await;
    assert_eq!(service.ask(Get).await?, 2);
    one.shutdown().await
}

/// Known and unknown ones, with ids and without, in frames of several.
#[callboard::test]
async fn those_of_a_frame_that_are_known_are_skipped_and_the_others_handled()
-> callboard::Result<()> {
    let store = Embedded::new();
    let one = node("one", &store).await;
    one.serve("counter", Counter::default).await?;
    let service = one.service::<Counter>("counter");
    let mut expected = 0;
    for round in 0..10_u64 {
        let tells = (0..100_u64).map(|n| {
            let tell = service.tell(Add(1));
            match n % 4 {
                0 => tell,
                1 => tell.dedup_id("always the same"),
                // Half of them were there in the round before.
                _ => tell.dedup_id(format!("{}", round * 50 + n)),
            }
        });
        for told in join_all(tells).await {
            told.expect("stored");
        }
        expected += 25;
    }
    let ids: std::collections::BTreeSet<_> = (0..10_u64)
        .flat_map(|round| (0..100).filter(|n| n % 4 > 1).map(move |n| round * 50 + n))
        .collect();
    let expected = expected + 1 + ids.len() as u64;
    let accounting = settled(&store).await.accounting;
    // The counter panics at 13, which is never told here.
    assert_eq!(service.ask(Get).await?, expected);
    assert_eq!((accounting.appended, accounting.handled), (1000, expected), "{accounting:?}");
    assert_eq!(accounting.cancelled, 1000 - expected);
    one.shutdown().await
}

#[callboard::test]
async fn a_delayed_tell_has_its_id_from_the_start() -> callboard::Result<()> {
    let store = Embedded::new();
    let one = node("one", &store).await;
    one.serve("counter", Counter::default).await?;
    let service = one.service::<Counter>("counter");
    service.tell(Add(1)).dedup_id("x").delay(5 * SECOND).await.expect("stored");
    service.tell(Add(10)).dedup_id("x").delay(SECOND).await.expect("known");
    service.tell(Add(100)).dedup_id("x").await.expect("known");
    tokio::time::sleep(4 * SECOND).await;
    assert_eq!(service.ask(Get).await?, 0);
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(service.ask(Get).await?, 1);
    let accounting = settled(&store).await.accounting;
    assert_eq!((accounting.appended, accounting.cancelled), (3, 2), "{accounting:?}");
    one.shutdown().await
}

#[callboard::test]
async fn what_has_no_stream_and_ids_out_of_bounds_are_refused() -> callboard::Result<()> {
    let store = Embedded::new();
    let one = node("one", &store).await;
    let addr = one.spawn(Counter::default)?;
    let told = addr.recipient::<Add>().tell(Add(1)).dedup_id("x").await;
    let (message, failure) = told.expect_err("an actor has no stream").into_parts();
    assert_eq!(message, Add(1));
    assert!(matches!(failure.kind(), FailureKind::Unsupported { .. }), "{failure}");
    one.serve("counter", Counter::default).await?;
    let service = one.service::<Counter>("counter");
    for (id, is_good) in [("", false), (&*"x".repeat(129), false), (&*"x".repeat(128), true)] {
        let told = service.tell(Add(1)).dedup_id(id).await;
        assert_eq!(told.is_ok(), is_good, "{} bytes: {told:?}", id.len());
    }
    for window in [Duration::from_millis(999), 86_401 * SECOND] {
        let served = one.serve("other", Counter::default).dedup_window(window).await;
        let text = served.expect_err("out of bounds").to_string();
        assert!(text.contains("dedup_window"), "{text}");
    }
    one.shutdown().await
}
