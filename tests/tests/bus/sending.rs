use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use callboard::{
    Delivery, FailureKind,
    bus::{Body, BusLimits, Destination, Outgoing, codec::BODY_BYTES_MAX},
    log::MessageLog,
};
use futures_util::future::join_all;

use crate::{
    faulty::{Fault, FaultyLog},
    support::*,
};

#[tokio::test(start_paused = true)]
async fn a_tell_resolves_when_the_log_has_it() {
    let log = log();
    let bus = bus_over(log.clone()).await;
    bus.tell_service(&name("adder"), number(3)).await.unwrap();
    let info = info(&log, &service_stream("adder")).await;
    assert_eq!((info.length, info.accounting.appended, info.accounting.held), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn messages_of_one_sender_keep_their_order_and_share_frames() {
    let log = log();
    let (sender, receiver) = (bus_over(log.clone()).await, bus_over(log.clone()).await);
    let to = Destination::Service(name("adder"), 0);
    let mut receipts = Vec::new();
    for value in 0..10_000 {
        receipts.push(sender.buffer(&to, number(value)).await.unwrap());
    }
    for receipt in receipts {
        receipt.stored().await.unwrap();
    }
    let seen = Seen::default();
    let consumption = receiver.consume_service(&name("adder"), seen.intake()).await.unwrap();
    until("all are handled", async || seen.all().len() == 10_000).await;
    assert_eq!(seen.all(), (0..10_000).collect::<Vec<_>>());
    until("all are settled", async || consumption.held() == 0).await;
    let info = info(&log, &service_stream("adder")).await;
    assert_eq!((info.length, info.accounting.handled), (0, 10_000));
    assert!(info.accounting.frames_in < 100, "{} frames", info.accounting.frames_in);
}

#[tokio::test(start_paused = true)]
async fn the_largest_message_travels_and_a_larger_one_is_refused() {
    let log = log();
    let bus = bus_over(log.clone()).await;
    let large = Bytes::from(vec![7; BODY_BYTES_MAX + 1]);
    let fits = Outgoing::new("Blob", 1, Body::Bytes(large.slice(1..)));
    bus.tell_service(&name("adder"), fits).await.unwrap();
    let failure = bus
        .tell_service(&name("adder"), Outgoing::new("Blob", 1, Body::Bytes(large)))
        .await
        .unwrap_err();
    assert!(matches!(failure.kind(), FailureKind::TooLarge { .. }), "{failure}");
    assert_eq!(failure.delivery(), Delivery::NotDelivered);
}

#[tokio::test(start_paused = true)]
async fn bodies_are_encoded_straight_into_the_frame() {
    let log = log();
    let bus = bus_over(log.clone()).await;
    let mut encode = |into: &mut Vec<u8>| {
        into.extend_from_slice(&9_u64.to_le_bytes());
        Ok(())
    };
    let outgoing = Outgoing::new("Number", 1, Body::Encode(&mut encode));
    bus.tell_service(&name("adder"), outgoing).await.unwrap();
    let seen = Seen::default();
    let _consumption = bus.consume_service(&name("adder"), seen.intake()).await.unwrap();
    until("it is handled", async || seen.all() == [9]).await;
}

#[tokio::test(start_paused = true)]
async fn above_the_high_water_tells_wait_in_turn_and_try_tell_is_refused() {
    let log = log();
    let open = Arc::new(AtomicBool::new(false));
    let gate = open.clone();
    let faulty = FaultyLog::new(log.clone(), move |name| {
        let is_open = gate.load(Relaxed);
        if name == "append" && !is_open { Fault::Before } else { Fault::None }
    });
    let limits = BusLimits { lane_bytes_max: 1000, ..BusLimits::default() };
    let bus = bus_with(Arc::new(faulty), limits).await;
    let to = Destination::Service(name("adder"), 0);
    let mut sent = 0;
    while bus.try_tell(&to, number(sent)).is_ok() {
        sent += 1;
    }
    assert!((10..100).contains(&sent), "{sent} messages in 1000 bytes");
    let refused = bus.try_tell(&to, number(0)).unwrap_err();
    assert_eq!(refused.delivery(), Delivery::NotDelivered);
    // Who goes away while it waits sends nothing and holds nobody up.
    let gone = tokio::time::timeout(Duration::from_millis(10), bus.buffer(&to, number(999)));
    assert!(gone.await.is_err());
    let waiting: Vec<_> = (sent..sent + 200)
        .map(|value| {
            let (bus, to) = (bus.clone(), to.clone());
            tokio::spawn(async move { bus.tell(&to, number(value)).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    open.store(true, Relaxed);
    // Who tries all the time gets in when nobody waits any more.
    while bus.try_tell(&to, number(sent + 200)).is_err() {
        tokio::task::yield_now().await;
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    for done in join_all(waiting).await {
        done.unwrap().unwrap();
    }
    let seen = Seen::default();
    let _consumption = bus.consume_service(&name("adder"), seen.intake()).await.unwrap();
    until("all are handled", async || seen.all().len() == sent as usize + 201).await;
    assert_eq!(seen.all(), (0..sent + 201).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_the_log_has_no_memory_for_is_handed_back_and_the_rest_goes_on() {
    let log = log();
    let calls = Arc::new(AtomicU64::new(0));
    let counted = calls.clone();
    let faulty = FaultyLog::new(log.clone(), move |name| {
        let nth = || counted.fetch_add(1, Relaxed);
        if name == "append" && nth() == 0 { Fault::NoMemory } else { Fault::None }
    });
    let bus = bus_over(Arc::new(faulty)).await;
    let to = Destination::Service(name("adder"), 0);
    // Large enough that a second frame is on its way behind the first, which is refused.
    let blob = Bytes::from(vec![0; 60_000]);
    let mut receipts = Vec::new();
    for _ in 0..4 {
        let outgoing = Outgoing::new("Blob", 1, Body::Bytes(blob.clone()));
        receipts.push(bus.buffer(&to, outgoing).await.unwrap());
    }
    let failure = receipts[0].stored().await.unwrap_err();
    assert!(matches!(failure.kind(), FailureKind::Unavailable { .. }), "{failure}");
    assert_eq!(failure.delivery(), Delivery::NotDelivered);
    for receipt in &receipts[1..] {
        receipt.stored().await.unwrap();
    }
    assert_eq!(info(&log, &service_stream("adder")).await.accounting.appended, 3);
    assert_eq!(bus.stats().lanes_renewed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_backlog_that_is_full_refuses_until_it_is_raised() {
    let log = log();
    let bus = bus_over(log.clone()).await;
    bus.set_backlog_max(&name("adder"), Some(2));
    for value in 0..2 {
        bus.tell_service(&name("adder"), number(value)).await.unwrap();
    }
    let failure = bus.tell_service(&name("adder"), number(2)).await.unwrap_err();
    assert_eq!(failure.delivery(), Delivery::NotDelivered);
    bus.set_backlog_max(&name("adder"), None);
    bus.tell_service(&name("adder"), number(3)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_the_log_loses_after_its_answer_is_counted_and_the_lane_goes_on() {
    let log = log();
    let bus = bus_over(log.clone()).await;
    for value in 0..5 {
        bus.tell_service(&name("adder"), number(value)).await.unwrap();
    }
    // A failover to a replica that knew nothing of the stream.
    log.delete(&service_stream("adder")).await.unwrap();
    bus.tell_service(&name("adder"), number(5)).await.unwrap();
    bus.tell_service(&name("adder"), number(6)).await.unwrap();
    assert_eq!((bus.stats().messages_lost, bus.stats().lanes_renewed), (5, 1));
    let seen = Seen::default();
    let _consumption = bus.consume_service(&name("adder"), seen.intake()).await.unwrap();
    until("the rest is handled", async || seen.all() == [5, 6]).await;
}

#[tokio::test(start_paused = true)]
async fn a_delayed_tell_comes_at_its_time_unless_it_is_taken_back() {
    let log = log();
    let bus = bus_over(log.clone()).await;
    let seen = Seen::default();
    let service = name("adder");
    let _consumption = bus.consume_service(&service, seen.intake()).await.unwrap();
    let minute = Duration::from_secs(60);
    bus.tell_later(&service, number(1), minute).await.unwrap();
    let second = bus.tell_later(&service, number(2), minute).await.unwrap();
    assert!(bus.cancel_delayed(&service, &second).await.unwrap());
    assert!(!bus.cancel_delayed(&service, &second).await.unwrap());
    tokio::time::sleep(minute - Duration::from_secs(1)).await;
    assert!(seen.all().is_empty());
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(seen.all(), [1]);
    until("it is settled", async || info(&log, &service_stream("adder")).await.length == 0).await;
    let accounting = info(&log, &service_stream("adder")).await.accounting;
    assert_eq!((accounting.appended, accounting.handled, accounting.cancelled), (2, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_idle_lane_is_dropped_and_its_stream_takes_messages_again() {
    let log = log();
    let bus = bus_over(log.clone()).await;
    bus.tell_service(&name("adder"), number(1)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    bus.tell_service(&name("adder"), number(2)).await.unwrap();
    assert_eq!(info(&log, &service_stream("adder")).await.accounting.appended, 2);
    assert_eq!(bus.stats().messages_lost, 0);
}

/// The order of frames on their way does not rest on the order in which the log gets them.
#[tokio::test(start_paused = true)]
async fn a_frame_that_overtakes_the_one_before_it_breaks_no_order() {
    let log = log();
    let calls = AtomicU64::new(0);
    let faulty = FaultyLog::new(log.clone(), move |name| {
        let nth = || calls.fetch_add(1, Relaxed);
        if name == "append" && nth().is_multiple_of(3) { Fault::Slow } else { Fault::None }
    });
    let bus = bus_over(Arc::new(faulty)).await;
    let to = Destination::Service(name("adder"), 0);
    let mut receipts = Vec::new();
    for value in 0..20_000 {
        receipts.push(bus.buffer(&to, number(value)).await.unwrap());
    }
    for receipt in receipts {
        receipt.stored().await.unwrap();
    }
    let seen = Seen::default();
    let _consumption = bus.consume_service(&name("adder"), seen.intake()).await.unwrap();
    until("all are handled", async || seen.all().len() == 20_000).await;
    assert_eq!(seen.all(), (0..20_000).collect::<Vec<_>>());
    let stats = bus.stats();
    assert_eq!((stats.messages_lost, stats.lanes_renewed, stats.frames_resent), (0, 0, 0));
}
