use std::time::Duration;

use callboard::{
    DELAY_MAX, DelayedId, Delivery, Embedded, FailureKind, prelude::*, testing::TestSystem,
};

use crate::support::*;

const HOUR: Duration = Duration::from_secs(3600);

/// A message is delayed here and taken back there, by an id that travelled as text.
pub async fn is_taken_back_by_another_process(here: &System, there: &System) {
    here.define("orders", callboard::directory::ServiceDef::default()).await.unwrap();
    let orders = here.service::<Orders>("orders");
    let id = orders.tell(Order(1)).delay(HOUR).key("k").await.unwrap();
    let other = orders.tell(Order(2)).delay(HOUR).await.unwrap();
    assert_ne!(id, other);
    let text = serde_json::to_string(&id).unwrap();
    let read: DelayedId = serde_json::from_str(&text).unwrap();
    assert_eq!(id.to_string().parse(), Ok(read.clone()));
    let theirs = there.service::<Orders>("orders");
    assert!(theirs.cancel_delayed(&read).await.unwrap());
    assert!(!theirs.cancel_delayed(&read).await.unwrap(), "it was taken back before");
    assert!(!orders.cancel_delayed(&"unknown-1".parse().unwrap()).await.unwrap());
    let account = here.accounting("orders").await.unwrap();
    account.check().unwrap();
    let counted = account.accounting;
    assert_eq!((counted.appended, counted.cancelled, counted.delayed), (2, 1, 1));
    let recipient = there.service::<Orders>("orders").recipient::<Order>();
    assert!(recipient.cancel_delayed(&other).await.unwrap());
    let third = recipient.tell(Order(3)).delay(HOUR).key("k").await.unwrap();
    assert!(orders.cancel_delayed(&third).await.unwrap());
}

#[callboard::test]
async fn a_delayed_message_is_taken_back_by_its_id_from_another_process() {
    let store = Embedded::new();
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    is_taken_back_by_another_process(&one, &two).await;
    one.finish().await;
    two.finish().await;
}

#[callboard::test]
async fn a_delayed_message_is_handled_at_its_time_and_can_not_be_taken_back_then(test: TestSystem) {
    let book = Book::default();
    test.serve("orders", book.factory()).await.unwrap();
    let orders = test.service::<Orders>("orders");
    let id = orders.tell(Order(1)).delay(HOUR).await.unwrap();
    // Whoever does not need the id lets it go.
    orders.tell(Order(2)).delay(HOUR / 2).await.unwrap();
    test.advance(HOUR / 2 + Duration::from_secs(2)).await;
    assert_eq!(book.ids(), [2]);
    test.advance(HOUR / 2).await;
    assert_eq!(book.ids(), [2, 1]);
    assert!(!orders.cancel_delayed(&id).await.unwrap());
}

#[callboard::test]
async fn a_delay_has_a_bound_and_only_services_take_one(test: TestSystem) {
    let book = Book::default();
    test.serve("orders", book.factory()).await.unwrap();
    let orders = test.service::<Orders>("orders");
    let error = orders.tell(Order(1)).delay(DELAY_MAX + Duration::from_secs(1)).await.unwrap_err();
    assert!(error.to_string().contains("365 days at most"), "{error}");
    assert_eq!(error.delivery(), Delivery::NotDelivered);
    assert_eq!(error.into_message(), Order(1), "the message comes back");
    let id = orders.tell(Order(1)).delay(DELAY_MAX).await.unwrap();
    assert!(orders.cancel_delayed(&id).await.unwrap());

    let actor = test.spawn(book.factory()).unwrap();
    let double = Recipient::from_fn(|_: Order| Ok(()));
    for recipient in [actor.recipient::<Order>(), double] {
        let refused = recipient.tell(Order(1)).delay(HOUR).await.unwrap_err();
        let kind = refused.failure().kind();
        assert!(matches!(kind, FailureKind::Unsupported { .. }), "{refused}");
        let refused = recipient.cancel_delayed(&id).await.unwrap_err();
        assert!(matches!(refused.kind(), FailureKind::Unsupported { .. }), "{refused}");
    }
    let unknown = test.service::<Orders>("No name");
    assert!(unknown.cancel_delayed(&id).await.is_err());
    assert!(unknown.tell(Order(1)).delay(HOUR).await.is_err());
}
