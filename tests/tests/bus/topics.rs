use std::sync::Arc;

use callboard::{
    bus::Conclusion,
    bus::{Offered, Subscriber, frame::Kind},
    log::Start,
};
use parking_lot::Mutex;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn every_subscriber_gets_a_copy_and_a_services_instances_share_one() {
    let log = log();
    let (one, two) = (bus_over(log.clone()).await, bus_over(log.clone()).await);
    let topic = name("orders.placed");
    let (shared, each, other) =
        (Seen::default(), [Seen::default(), Seen::default()], Seen::default());
    let mut consumptions = Vec::new();
    for (bus, each) in [&one, &two].into_iter().zip(&each) {
        let billing = Subscriber::Service(name("billing"));
        let shared = bus.subscribe(&topic, billing, Start::New, shared.intake());
        consumptions.push(shared.await.unwrap());
        let cache = Subscriber::Instance(name("cache"));
        let each = bus.subscribe(&topic, cache, Start::New, each.intake());
        consumptions.push(each.await.unwrap());
    }
    let stock = Subscriber::Service(name("stock"));
    consumptions.push(one.subscribe(&topic, stock, Start::New, other.intake()).await.unwrap());
    for value in 0..100 {
        two.publish(&topic, number(value)).await.unwrap();
    }
    let all: Vec<_> = (0..100).collect();
    until("all came", async || {
        shared.all().len() == 100 && each.iter().all(|seen| seen.all().len() == 100)
    })
    .await;
    until("the other service too", async || other.all() == all).await;
    assert_eq!((each[0].all(), each[1].all()), (all.clone(), all.clone()));
    let mut shared = shared.all();
    shared.sort_unstable();
    assert_eq!(shared, all);
    until("all is settled", async || consumptions.iter().all(|c| c.held() == 0)).await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_event_is_tried_again_for_its_own_subscriber_alone() {
    let log = log();
    let bus = bus_over(log.clone()).await;
    let topic = name("orders.placed");
    type Try = (Kind, Option<String>, u32);
    let tries: Arc<Mutex<Vec<Try>>> = Arc::default();
    let note = tries.clone();
    let failing = intake(move |message| {
        let topic = message.topic.as_deref().map(str::to_owned);
        note.lock().push((message.kind, topic, message.attempt));
        message.delivery.conclude(Conclusion::Panicked);
        Offered::Taken
    });
    let other = Seen::default();
    let billing = Subscriber::Service(name("billing"));
    let stock = Subscriber::Service(name("stock"));
    let _topic = bus.subscribe(&topic, billing, Start::New, failing.clone()).await.unwrap();
    let _service = bus.consume_service(&name("billing"), failing).await.unwrap();
    let _other = bus.subscribe(&topic, stock, Start::New, other.intake()).await.unwrap();
    bus.publish(&topic, number(4)).await.unwrap();
    let stream = service_stream("billing");
    until("it is buried", async || info(&log, &stream).await.dead_letters == 1).await;
    let expected: Vec<_> =
        (1..=5).map(|n| (Kind::Publish, Some("orders.placed".to_owned()), n)).collect();
    assert_eq!(*tries.lock(), expected);
    assert_eq!(other.all(), [4]);
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_from_the_beginning_gets_what_was_published_before() {
    let log = log();
    let bus = bus_over(log.clone()).await;
    let topic = name("orders.placed");
    bus.publish(&topic, number(1)).await.unwrap();
    let (old, new) = (Seen::default(), Seen::default());
    let billing = Subscriber::Service(name("billing"));
    let stock = Subscriber::Service(name("stock"));
    let _old = bus.subscribe(&topic, billing, Start::Beginning, old.intake()).await.unwrap();
    let _new = bus.subscribe(&topic, stock, Start::New, new.intake()).await.unwrap();
    bus.publish(&topic, number(2)).await.unwrap();
    until("both came", async || old.all() == [1, 2] && new.all() == [2]).await;
}
