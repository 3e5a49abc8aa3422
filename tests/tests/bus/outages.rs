//! A log that was away, refuses, or has forgotten.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use callboard::{
    Delivery,
    bus::{Destination, Offered},
    log::{EntryId, MessageLog, Place},
};
use tokio::time::{Instant, sleep};

use crate::{
    faulty::{Fault, FaultyLog},
    support::*,
};

const MINUTE: Duration = Duration::from_secs(60);

/// What lies in the service's stream, whoever has it.
async fn stored(log: &dyn MessageLog) -> Vec<u64> {
    let stream = service_stream("adder");
    let listed = log.range(&stream, Place::Live, EntryId::MIN, EntryId::MAX, 1000).await.unwrap();
    let frames = listed
        .into_iter()
        .map(|entry| callboard::bus::frame::Frame::parse(entry.frame).expect("a good frame"));
    let values = frames.flat_map(|frame| {
        let bodies: Vec<_> =
            (0..frame.count()).filter_map(|index| Some(frame.message(index)?.1)).collect();
        bodies.into_iter().map(|body| u64::from_le_bytes(body[..].try_into().unwrap()))
    });
    values.collect()
}

/// Its sequence may be taken by itself: the log would take the next frame for it.
#[tokio::test(start_paused = true)]
async fn after_a_refusal_of_what_may_be_stored_the_next_message_is_stored_all_the_same() {
    for fate in [Fault::After, Fault::Before] {
        let (log, calls) = (log(), AtomicU32::new(0));
        let faulty = FaultyLog::new(log.clone(), move |name| match name {
            "append" => match calls.fetch_add(1, Relaxed) {
                0 => fate,
                1 => Fault::Refused,
                _ => Fault::None,
            },
            _ => Fault::None,
        });
        let bus = bus_over(Arc::new(faulty)).await;
        let failure = bus.tell_service(&name("adder"), number(1)).await.unwrap_err();
        assert_eq!(failure.delivery(), Delivery::Unknown, "{failure}");
        bus.tell_service(&name("adder"), number(2)).await.unwrap();
        let expected = if fate == Fault::After { vec![1, 2] } else { vec![2] };
        assert_eq!(stored(&*log).await, expected);
        assert_eq!(bus.stats().messages_lost, 0);
    }
}

/// What was sent behind it may be stored too: under another number it would be stored twice.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_what_may_be_stored_gives_back_what_was_sent_behind_it() {
    let (log, calls) = (log(), AtomicU32::new(0));
    let faulty = FaultyLog::new(log.clone(), move |name| match name {
        // Two are on their way, both arrive, and nobody hears of it.
        "append" => match calls.fetch_add(1, Relaxed) {
            0 | 1 => Fault::HangAfter,
            2 => Fault::Refused,
            3 => Fault::Slow,
            _ => Fault::None,
        },
        _ => Fault::None,
    });
    let bus = bus_over(Arc::new(faulty)).await;
    let to = Destination::Service(name("adder"), 0);
    let mut receipts = Vec::new();
    // The second frame is full, and so leaves while the first is on its way.
    for value in 0..6000 {
        receipts.push(bus.buffer(&to, number(value)).await.unwrap());
    }
    for receipt in receipts {
        if let Err(failure) = receipt.stored().await {
            assert_eq!(failure.delivery(), Delivery::Unknown);
        }
    }
    let values = stored(&*log).await;
    let mut once = values.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), values.len(), "stored twice");
    bus.tell_service(&name("adder"), number(9999)).await.unwrap();
    assert_eq!(stored(&*log).await.last(), Some(&9999));
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_was_forgotten_goes_on_and_nothing_counts_as_lost() {
    let log = log();
    let bus = bus_over(log.clone()).await;
    for value in 0..3 {
        bus.tell_service(&name("adder"), number(value)).await.unwrap();
    }
    log.forget_producer(&service_stream("adder"), bus.incarnation()).await.unwrap();
    bus.tell_service(&name("adder"), number(3)).await.unwrap();
    assert_eq!(stored(&*log).await, [0, 1, 2, 3]);
    let stats = bus.stats();
    assert_eq!((stats.messages_lost, stats.lanes_renewed), (0, 1));
}

/// A stream that was deleted: nobody knows what had been handled, so all counts.
#[tokio::test(start_paused = true)]
async fn a_stream_that_was_deleted_counts_as_lost_and_the_lane_goes_on() {
    let log = log();
    let bus = bus_over(log.clone()).await;
    for value in 0..3 {
        bus.tell_service(&name("adder"), number(value)).await.unwrap();
    }
    log.delete(&service_stream("adder")).await.unwrap();
    bus.tell_service(&name("adder"), number(3)).await.unwrap();
    assert_eq!(stored(&*log).await, [3]);
    assert_eq!((bus.stats().messages_lost, bus.stats().lanes_renewed), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn the_lanes_of_a_process_that_the_directory_missed_are_kept_while_it_lives() {
    let (log, cluster) = (old_log(), Cluster::new());
    let (sender, reader) = (cluster.join(log.clone()).await, cluster.join(log.clone()).await);
    let seen = Seen::default();
    let _reads = reader.consume_service(&name("adder"), seen.intake()).await.unwrap();
    sender.tell_service(&name("adder"), number(1)).await.unwrap();
    sleep(MINUTE).await;
    cluster.forget(&sender);
    // Longer than a lane is kept of the dead, and so that the lane is not dropped as idle.
    for value in 2..22 {
        sleep(MINUTE).await;
        sender.tell_service(&name("adder"), number(value)).await.unwrap();
    }
    until("all are handled", async || seen.all().len() == 21).await;
    assert_eq!((sender.stats().lanes_renewed, sender.stats().messages_lost), (0, 0));
}

/// Idle clocks go on while nobody can touch anything.
#[tokio::test(start_paused = true)]
async fn a_log_that_was_away_from_everybody_gives_nothing_away() {
    for outage in [8, 40, 120].map(Duration::from_secs) {
        let (log, cluster) = (old_log(), Cluster::new());
        let away = Arc::new(AtomicBool::new(false));
        let faulty =
            {
                let away = away.clone();
                FaultyLog::new(log.clone(), move |_| {
                    if away.load(Relaxed) { Fault::Hang } else { Fault::None }
                })
            };
        let owner = cluster.join(Arc::new(faulty.clone())).await;
        let kept = Kept::default();
        let _owner_reads = owner.consume_service(&name("adder"), kept.intake()).await.unwrap();
        for value in 0..5 {
            owner.tell_service(&name("adder"), number(value)).await.unwrap();
        }
        until("all were taken", async || kept.values().len() == 5).await;
        let (seen, mut heirs) = (Seen::default(), Vec::new());
        for _ in 0..8 {
            let heir = cluster.join(Arc::new(faulty.clone())).await;
            let reads = heir.consume_service(&name("adder"), seen.intake()).await.unwrap();
            heirs.push((heir, reads));
        }
        sleep(MINUTE).await;
        // With the lease, as when a whole machine stands still.
        cluster.forget(&owner);
        away.store(true, Relaxed);
        sleep(outage).await;
        away.store(false, Relaxed);
        sleep(MINUTE).await;
        assert_eq!(seen.all(), Vec::<u64>::new(), "after {outage:?} taken from one that lives");
        // Who dies then is missed as always.
        cluster.kill(&owner);
        let died = Instant::now();
        until("they are taken over", async || seen.all().len() == 5).await;
        assert!(died.elapsed() < Duration::from_secs(12), "{:?}", died.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn replies_that_the_log_lost_come_again_after_the_first_failure() {
    let (log, broken) = (log(), Arc::new(AtomicBool::new(false)));
    let faulty = {
        let broken = broken.clone();
        FaultyLog::new(log.clone(), move |name| {
            let fails = name == "read_from" && broken.swap(false, Relaxed);
            if fails { Fault::Before } else { Fault::None }
        })
    };
    let (caller, callee) = (bus_over(Arc::new(faulty)).await, bus_over(log.clone()).await);
    let _reads = callee
        .open_inbox(intake(|message| {
            message.delivery.conclude(replied(b"yes"));
            Offered::Taken
        }))
        .await
        .unwrap();
    let ask = async || {
        let mut outgoing = number(1);
        outgoing.deadline = Some(Instant::now() + Duration::from_secs(2));
        caller.ask(callee.incarnation(), ACTOR, outgoing).await
    };
    ask().await.unwrap();
    // As when a Redis without persistence starts anew, which cuts the connections.
    let replies = Destination::Replies(caller.incarnation()).stream(&name("test"));
    log.delete(&replies).await.unwrap();
    ask().await.expect_err("the reply has nowhere to go");
    broken.store(true, Relaxed);
    until("it has failed", async || !broken.load(Relaxed)).await;
    sleep(Duration::from_secs(1)).await;
    ask().await.unwrap();
}
