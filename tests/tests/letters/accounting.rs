use std::time::Duration;

use callboard::{Embedded, letters::Selection, prelude::*, testing::TestSystem};

use crate::support::*;

/// Some messages of every fate.
pub async fn tells_what_became_of_everything(system: &System, book: &Book) {
    let nothing = system.accounting("nobody").await.unwrap();
    nothing.check().unwrap();
    assert_eq!((nothing.accounting, nothing.length), Default::default());
    let service = system.serve("orders", book.factory()).await.unwrap();
    let orders = system.service::<Orders>("orders");
    for id in 0..10 {
        orders.tell(Note(id)).await.unwrap();
    }
    book.refuse(true);
    orders.tell(Order(10)).await.unwrap();
    until("it is buried", async || {
        let account = system.accounting("orders").await.unwrap();
        account.check().unwrap();
        account.dead_letters == 1
    })
    .await;
    let id = orders.tell(Note(11)).delay(Duration::from_secs(3600)).await.unwrap();
    orders.tell(Note(12)).delay(Duration::from_secs(3600)).await.unwrap();
    assert!(orders.cancel_delayed(&id).await.unwrap());
    service.stop().await.unwrap();
    orders.tell(Note(13)).await.unwrap();
    let account = system.accounting("orders").await.unwrap();
    account.check().unwrap();
    let counted = account.accounting;
    assert_eq!((counted.appended, counted.handled, counted.dead), (14, 10, 1), "{account:?}");
    assert_eq!((counted.cancelled, counted.delayed, counted.held), (1, 1, 1), "{account:?}");
    assert_eq!((account.length, account.dead_letters, account.retained), (1, 1, 0));
    let inbox = system.accounting_of_inbox(system.incarnation()).await.unwrap();
    inbox.check().unwrap();
    let all = system.accounting_of_all().await.unwrap();
    assert!(all.contains(&account), "{all:?}");
    assert!(all.iter().any(|account| account.stream == inbox.stream));
    assert!(all.is_sorted_by(|a, b| a.stream.unit() <= b.stream.unit()));
    assert!(system.accounting("No name").await.is_err());
}

#[callboard::test]
async fn the_account_tells_what_became_of_everything(test: TestSystem) {
    tells_what_became_of_everything(&test, &Book::default()).await;
}

#[callboard::test]
async fn accounts_are_those_of_ones_own_cluster() {
    let store = Embedded::new();
    let one = node("one", &store).await;
    let shared = store.clone();
    let other = TestSystem::start_with(|builder| builder.cluster("other").embedded(&shared)).await;
    bury(&store.log(), &stream(&other, "orders"), 0..3).await;
    assert!(one.accounting_of_all().await.unwrap().iter().all(|account| account.dead_letters == 0));
    let all = other.accounting_of_all().await.unwrap();
    assert_eq!(all.iter().map(|account| account.dead_letters).sum::<u64>(), 3);
    assert_eq!(
        other.dead_letters("orders").unwrap().drop_letters(Selection::all()).await.unwrap(),
        3
    );
    one.finish().await;
    other.finish().await;
}
