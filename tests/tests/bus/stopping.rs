use std::{sync::Arc, time::Duration};

use callboard::{
    Delivery,
    bus::Conclusion,
    bus::{Destination, Incoming, Offered, keys},
    log::MessageLog,
};
use parking_lot::Mutex;

use crate::{
    faulty::{Fault, FaultyLog},
    support::*,
};

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_what_is_held_sends_what_is_queued_and_removes_its_streams() {
    let log = log();
    let bus = bus_over(log.clone()).await;
    let kept: Arc<Mutex<Vec<Incoming>>> = Arc::default();
    let keep = kept.clone();
    let handler = intake(move |message| {
        keep.lock().push(message);
        Offered::Taken
    });
    let _service = bus.consume_service(&name("adder"), handler.clone()).await.unwrap();
    let _inbox = bus.open_inbox(handler).await.unwrap();
    bus.tell_service(&name("adder"), number(1)).await.unwrap();
    until("it was taken", async || kept.lock().len() == 1).await;
    let receipt = bus.try_tell(&Destination::Service(name("other"), 0), number(2)).unwrap();
    let finish = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let message = kept.lock().remove(0);
        message.delivery.conclude(handled());
    };
    let began = tokio::time::Instant::now();
    tokio::join!(bus.shutdown(Duration::from_secs(10)), finish);
    assert!((3..5).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    receipt.stored().await.unwrap();
    assert_eq!(info(&log, &service_stream("adder")).await.accounting.handled, 1);
    assert_eq!(info(&log, &service_stream("other")).await.accounting.appended, 1);
    for own in [Destination::Inbox(bus.incarnation()), Destination::Replies(bus.incarnation())] {
        assert!(log.info(&own.stream(&name("test"))).await.unwrap().is_none(), "{own:?}");
    }
    let failure = bus.tell_service(&name("adder"), number(1)).await.unwrap_err();
    assert_eq!(failure.delivery(), Delivery::NotDelivered);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_consumer_gives_back_what_nobody_took() {
    let log = log();
    let (one, two) = (bus_over(log.clone()).await, bus_over(log.clone()).await);
    let to = Destination::Service(name("adder"), 0);
    for value in 0..10 {
        one.buffer(&to, number(value)).await.unwrap();
    }
    let full = intake(|message| Offered::Full {
        message: Box::new(message),
        room: Box::pin(std::future::pending()),
    });
    let consumption = one.consume_service(&name("adder"), full).await.unwrap();
    until("a frame waits for room", async || consumption.held() == 1).await;
    consumption.stop().await;
    consumption.drained().await;
    let seen = Seen::default();
    let _second = two.consume_service(&name("adder"), seen.intake()).await.unwrap();
    until("the other took them", async || seen.all().len() == 10).await;
}

#[tokio::test(start_paused = true)]
async fn a_tell_that_is_left_in_an_inbox_at_its_end_is_not_lost() {
    let log = log();
    let (one, two) = (bus_over(log.clone()).await, bus_over(log.clone()).await);
    let full = intake(|message| Offered::Full {
        message: Box::new(message),
        room: Box::pin(std::future::pending()),
    });
    let _inbox = two.open_inbox(full).await.unwrap();
    one.tell_actor(two.incarnation(), ACTOR, number(1)).await.unwrap();
    two.shutdown(Duration::from_secs(5)).await;
    let letters = dead_letters(&log, &keys::dead_letters_of_nodes(&name("test"))).await;
    assert_eq!(letters.len(), 1);
    assert!(letters[0].letter().unwrap().reason.contains("has stopped"));
}

#[tokio::test(start_paused = true)]
async fn an_abort_settles_nothing_and_lets_everybody_go() {
    let log = log();
    let faulty = FaultyLog::new(log.clone(), |name| match name {
        "append" => Fault::Hang,
        _ => Fault::None,
    });
    let (bus, sender) = (bus_over(Arc::new(faulty)).await, bus_over(log.clone()).await);
    let kept: Arc<Mutex<Vec<Incoming>>> = Arc::default();
    let keep = kept.clone();
    let handler = intake(move |message| {
        keep.lock().push(message);
        Offered::Taken
    });
    let _service = bus.consume_service(&name("adder"), handler).await.unwrap();
    sender.tell_service(&name("adder"), number(1)).await.unwrap();
    until("it was taken", async || kept.lock().len() == 1).await;
    let to = Destination::Service(name("other"), 0);
    let on_its_way = bus.try_tell(&to, number(2)).unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let queued = bus.try_tell(&to, number(3)).unwrap();
    let ticket = bus.start_ask(sender.incarnation(), ACTOR, number(4)).unwrap();
    bus.abort();
    assert_eq!(queued.stored().await.unwrap_err().delivery(), Delivery::NotDelivered);
    assert_eq!(on_its_way.stored().await.unwrap_err().delivery(), Delivery::Unknown);
    ticket.await.unwrap_err();
    let message = kept.lock().remove(0);
    message.delivery.conclude(handled());
    tokio::time::sleep(Duration::from_secs(60)).await;
    let info = info(&log, &service_stream("adder")).await;
    assert_eq!((info.length, info.accounting.handled, info.groups[0].pending), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_bus_ends_with_its_last_handle() {
    let log = log();
    let bus = bus_over(log.clone()).await;
    let weak = Arc::downgrade(&log);
    let seen = Seen::default();
    let consumption = bus.consume_service(&name("adder"), seen.intake()).await.unwrap();
    bus.tell_service(&name("adder"), number(1)).await.unwrap();
    drop((bus, consumption, log));
    until("nothing holds the log", async || weak.strong_count() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_conclusion_after_the_drain_began_still_counts() {
    let log = log();
    let bus = bus_over(log.clone()).await;
    let kept: Arc<Mutex<Vec<Incoming>>> = Arc::default();
    let keep = kept.clone();
    let handler = intake(move |message| {
        keep.lock().push(message);
        Offered::Taken
    });
    let consumption = bus.consume_service(&name("adder"), handler).await.unwrap();
    bus.tell_service(&name("adder"), number(1)).await.unwrap();
    until("it was taken", async || kept.lock().len() == 1).await;
    consumption.stop().await;
    assert!(tokio::time::timeout(Duration::from_secs(5), consumption.drained()).await.is_err());
    let message = kept.lock().remove(0);
    message.delivery.conclude(Conclusion::Panicked);
    consumption.drained().await;
    assert_eq!(info(&log, &service_stream("adder")).await.accounting.delayed, 1);
}
