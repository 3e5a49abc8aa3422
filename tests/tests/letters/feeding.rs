use std::time::Duration;

use callboard::{
    Embedded, FailureKind,
    letters::{Recording, RecordingError, Selection},
    prelude::*,
    testing::{FedOutcome, TestSystem},
};

use crate::support::*;

/// A night in production: orders with pauses between them, longer than entries wait to be settled
/// together.
const GAPS_MS: [u64; 8] = [0, 10, 60_000, 5, 250, 0, 600_000, 7];

async fn recorded(book: &Book) -> Recording {
    let store = Embedded::new();
    let test = node("production", &store).await;
    let keeps = Duration::from_secs(7 * 86_400);
    test.serve("orders", book.factory()).retain(keeps).await.unwrap();
    let orders = test.service::<Orders>("orders");
    for (gap, id) in GAPS_MS.iter().zip(0..) {
        test.advance(Duration::from_millis(*gap)).await;
        orders.tell(Order(id)).await.unwrap();
        test.quiesce().await;
    }
    // The last one has to be settled too.
    test.advance(Duration::from_millis(10)).await;
    let recording = test.retained("orders").unwrap().record(Selection::all()).await.unwrap();
    test.finish().await;
    recording
}

fn gaps(book: &Book) -> Vec<u64> {
    let times = book.times();
    let mut last = times[0].0;
    let gap = |(at, _): &(tokio::time::Instant, u64)| {
        let gap = at.duration_since(last).as_millis() as u64;
        last = *at;
        gap
    };
    times.iter().map(gap).collect()
}

#[callboard::test]
async fn a_recording_is_fed_in_order_and_with_the_gaps_of_production() {
    let (production, here) = (Book::default(), Book::default());
    let recording = recorded(&production).await;
    assert_eq!(recording.span(), Duration::from_millis(GAPS_MS.iter().sum()));
    let path = tempfile::NamedTempFile::new().unwrap();
    recording.save(path.path()).unwrap();
    let recording = Recording::load(path.path()).unwrap();

    let test = TestSystem::start().await;
    let actor = test.spawn(here.factory()).unwrap();
    let fed = test.feed(&recording).to(&actor).await;
    assert!(fed.failures().is_empty());
    assert_eq!(fed.messages.len(), GAPS_MS.len());
    assert_eq!(fed.messages[3].message.name(), "Order");
    assert_eq!(here.ids(), production.ids(), "the same order");
    assert_eq!(gaps(&here), GAPS_MS, "the same gaps");
    assert_eq!(gaps(&here), gaps(&production));

    here.forget();
    test.feed(&recording).without_gaps().to(&actor).await;
    assert_eq!((here.ids(), gaps(&here)), (production.ids(), vec![0; GAPS_MS.len()]));
    here.forget();
    let some = recording.filtered(|message| message.at_ms() > recording.messages()[1].at_ms());
    test.feed(&some).gap_max(Duration::from_secs(1)).to(&actor).await;
    assert_eq!(here.ids(), [2, 3, 4, 5, 6, 7]);
    assert_eq!(gaps(&here), [0, 5, 250, 0, 1000, 7]);
    test.finish().await;
}

#[derive(Actor)]
#[actor(mailbox(capacity = 2))]
struct Slow(Book);

#[handlers]
impl Slow {
    #[handle]
    async fn order(&mut self, Order(id): Order) -> Result<(), Refused> {
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(id != 3, "unlucky");
        self.0.note(id);
        if id == 4 { Err(Refused) } else { Ok(()) }
    }
}

#[callboard::test]
async fn how_each_fed_message_ended_is_told() {
    let (production, here) = (Book::default(), Book::default());
    let recording = recorded(&production).await;
    let test = TestSystem::start().await;
    let book = here.clone();
    let actor = test.spawn(move || Slow(book.clone())).unwrap();
    test.expect_panic();
    // More than its mailbox holds, all at once: the rest waits, as in production.
    let fed = test.feed(&recording).without_gaps().to(&actor).await;
    for (id, fed) in fed.messages.iter().enumerate() {
        match (id, &fed.outcome) {
            (3, FedOutcome::Panicked) | (4, FedOutcome::Failed) => {}
            (_, outcome) => {
                assert!(outcome.is_handled() && id != 3 && id != 4, "{id}: {outcome:?}")
            }
        }
    }
    assert_eq!(here.ids(), [0, 1, 2, 4, 5, 6, 7]);

    #[derive(Actor)]
    struct Other;
    #[handlers]
    impl Other {}
    let other = test.spawn(|| Other).unwrap();
    let fed = test.feed(&recording).to(&other).await;
    for fed in fed.failures() {
        let FedOutcome::NotTaken(failure) = &fed.outcome else { panic!("{:?}", fed.outcome) };
        assert!(matches!(failure.kind(), FailureKind::NotHandled { .. }), "{failure}");
    }
    assert_eq!(fed.failures().len(), GAPS_MS.len());
    test.finish().await;
}

#[callboard::test]
async fn dead_letters_are_fed_in_the_order_in_which_they_were_sent() {
    let store = Embedded::new();
    let (test, book) = (node("one", &store).await, Book::default());
    book.refuse(true);
    test.serve("orders", book.factory()).await.unwrap();
    let orders = test.service::<Orders>("orders");
    for id in 0..5 {
        orders.tell(Order(id)).await.unwrap();
        test.advance(Duration::from_secs(2)).await;
    }
    let letters = test.dead_letters("orders").unwrap();
    until("all are buried", async || letters.count().await.unwrap() == 5).await;
    let recording = letters.record(Selection::all()).await.unwrap();
    let here = Book::default();
    here.refuse(true);
    let actor = test.spawn(here.factory()).unwrap();
    let fed = test.feed(&recording).to(&actor).await;
    assert_eq!(here.ids(), [0, 1, 2, 3, 4]);
    assert_eq!(gaps(&here), [0, 2000, 2000, 2000, 2000]);
    assert!(fed.messages.iter().all(|fed| matches!(fed.outcome, FedOutcome::Failed)));
    test.finish().await;
}

#[test]
fn what_is_no_recording_is_refused() {
    let error = Recording::from_bytes(b"something").unwrap_err();
    assert!(matches!(error, RecordingError::Malformed { .. }), "{error}");
    let error = Recording::load("/nowhere/at/all").unwrap_err();
    assert!(matches!(error, RecordingError::File { .. }), "{error}");
}
