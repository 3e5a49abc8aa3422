use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use callboard::{
    FailureKind,
    bus::{Body, Bus, BusEvent, BusOptions, Destination, Offered, Outgoing},
    bus::{Conclusion, RemoteDelivery},
    log::{Append, AppendRequest, MessageLog, StreamName},
};
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::Notify, time::Instant};

use crate::support::*;

async fn append_garbage(log: &dyn MessageLog, stream: &StreamName, count: u32) {
    let request = AppendRequest {
        stream: stream.clone(),
        producer: callboard::Incarnation::fresh(),
        lane: 1,
        first: 1,
        count,
        frame: Bytes::from_static(b"garbage, not a frame at all, not a frame at all, not at all"),
        must_exist: true,
        backlog_max: None,
        dedup: Vec::new(),
    };
    assert!(matches!(log.append(request).await.unwrap(), Append::Stored(_)));
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_settled_only_after_its_last_message_was_handled() {
    let log = log();
    let bus = bus_over(log.clone()).await;
    let to = Destination::Service(name("adder"), 0);
    let receipts: Vec<_> = [1, 2, 3].map(|value| bus.try_tell(&to, number(value)).unwrap()).into();
    for receipt in &receipts {
        receipt.stored().await.unwrap();
    }
    let taken: Arc<Mutex<Vec<RemoteDelivery>>> = Arc::default();
    let keep = taken.clone();
    let handler = intake(move |message| {
        keep.lock().push(message.delivery);
        Offered::Taken
    });
    let consumption = bus.consume_service(&name("adder"), handler).await.unwrap();
    until("all were taken", async || taken.lock().len() == 3).await;
    let stream = service_stream("adder");
    for left in [3, 2, 1] {
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(consumption.held(), 1, "{left} messages are not handled");
        assert_eq!(info(&log, &stream).await.length, 1);
        let delivery = taken.lock().pop().unwrap();
        delivery.conclude(handled());
    }
    until("it is settled", async || info(&log, &stream).await.length == 0).await;
    assert_eq!(info(&log, &stream).await.accounting.handled, 3);
    assert_eq!(consumption.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_poison_message_ends_alone_in_the_dead_letters_after_five_attempts() {
    let log = log();
    let bus = bus_over(log.clone()).await;
    let attempts: Arc<Mutex<Vec<u32>>> = Arc::default();
    let seen = Seen::default();
    let (note, others) = (attempts.clone(), seen.clone());
    let handler = intake(move |message| {
        if value(&message) == 13 {
            note.lock().push(message.attempt);
            message.delivery.conclude(Conclusion::Panicked);
        } else {
            others.0.lock().push(value(&message));
            message.delivery.conclude(handled());
        }
        Offered::Taken
    });
    let to = Destination::Service(name("adder"), 0);
    for value in 10..20 {
        bus.buffer(&to, number(value)).await.unwrap();
    }
    let _consumption = bus.consume_service(&name("adder"), handler).await.unwrap();
    let stream = service_stream("adder");
    until("it is buried", async || info(&log, &stream).await.dead_letters == 1).await;
    assert_eq!(*attempts.lock(), [1, 2, 3, 4, 5]);
    assert_eq!(seen.all(), [10, 11, 12, 14, 15, 16, 17, 18, 19]);
    let letters = dead_letters(&log, &stream).await;
    let letter = letters[0].letter().unwrap();
    assert!(letter.reason.contains("panicked"), "{}", letter.reason);
    assert_eq!(letter.attempts, 5);
    assert!(letter.first_ms < letter.last_ms && letter.first_ms == letter.origin.ms);
    let (message, body) = letters[0].message(0).unwrap();
    assert_eq!((message.name, &body[..]), (Some("Number"), &13_u64.to_le_bytes()[..]));
    until("all is settled", async || info(&log, &stream).await.length == 0).await;
    let accounting = info(&log, &stream).await.accounting;
    assert_eq!((accounting.appended, accounting.handled, accounting.dead), (10, 9, 1));
}

#[tokio::test(start_paused = true)]
async fn garbage_in_a_services_stream_goes_whole_to_the_dead_letters_and_the_reader_lives() {
    let log = log();
    let events: Arc<Mutex<Vec<BusEvent>>> = Arc::default();
    let note = events.clone();
    let mut options = BusOptions::new(log.clone(), name("test"), callboard::Incarnation::fresh());
    options.observer = Some(Arc::new(move |event| note.lock().push(event)));
    let bus = Bus::start(options, Handle::current()).await.unwrap();
    let stream = service_stream("adder");
    let seen = Seen::default();
    let consumption = bus.consume_service(&name("adder"), seen.intake()).await.unwrap();
    // How many messages it was counted as is known to the log alone.
    append_garbage(&*log, &stream, 3).await;
    bus.tell_service(&name("adder"), number(1)).await.unwrap();
    until("the next one is handled", async || seen.all() == [1]).await;
    until("all is settled", async || info(&log, &stream).await.length == 0).await;
    let accounting = info(&log, &stream).await.accounting;
    assert_eq!((accounting.appended, accounting.handled, accounting.dead), (4, 1, 3));
    let letters = dead_letters(&log, &stream).await;
    assert_eq!(letters.len(), 1);
    assert!(letters[0].letter().unwrap().unreadable);
    assert!(letters[0].letter().unwrap().reason.contains("format"));
    assert!(letters[0].message(0).unwrap().1.starts_with(b"garbage, not a frame"));
    assert!(matches!(events.lock()[..], [BusEvent::Unreadable { .. }]));
    assert_eq!(consumption.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_target_stops_the_reading_after_one_frame() {
    let log = log();
    let bus = bus_over(log.clone()).await;
    for value in 0..10 {
        bus.tell_service(&name("adder"), number(value)).await.unwrap();
    }
    let room = Arc::new(Notify::new());
    let mailbox: Arc<Mutex<Vec<callboard::bus::Incoming>>> = Arc::default();
    let handler = {
        let (room, mailbox) = (room.clone(), mailbox.clone());
        intake(move |message| {
            if mailbox.lock().len() < 2 {
                mailbox.lock().push(message);
                return Offered::Taken;
            }
            let room = room.clone();
            let room = Box::pin(async move { room.notified().await });
            Offered::Full { message: Box::new(message), room }
        })
    };
    let consumption = bus.consume_service(&name("adder"), handler).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    // Two in the mailbox and one frame that waits for room; the other seven were not read.
    assert_eq!((consumption.held(), bus.stats().frames_received), (3, 3));
    for value_expected in 0..10 {
        let message = mailbox.lock().remove(0);
        assert_eq!(value(&message), value_expected);
        message.delivery.conclude(handled());
        room.notify_one();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(consumption.held() <= 3);
    }
    until("all is settled", async || consumption.held() == 0).await;
    assert_eq!(info(&log, &service_stream("adder")).await.accounting.handled, 10);
}

#[tokio::test(start_paused = true)]
async fn a_tell_past_its_time_is_skipped_and_counted() {
    let log = log();
    let bus = bus_over(log.clone()).await;
    let mut late = number(1);
    late.deadline = Some(Instant::now() + Duration::from_secs(1));
    bus.tell_service(&name("adder"), late).await.unwrap();
    let mut early = number(2);
    early.deadline = Some(Instant::now() + Duration::from_secs(60));
    bus.tell_service(&name("adder"), early).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let seen = Seen::default();
    let consumption = bus.consume_service(&name("adder"), seen.intake()).await.unwrap();
    until("the other is handled", async || seen.all() == [2]).await;
    until("all is settled", async || consumption.held() == 0).await;
    let accounting = info(&log, &service_stream("adder")).await.accounting;
    assert_eq!((accounting.expired, accounting.handled), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_tell_that_nobody_understands_is_buried_at_once() {
    let log = log();
    let bus = bus_over(log.clone()).await;
    let handler = intake(|message| Offered::Refused {
        failure: FailureKind::Undecodable {
            message: message.name.to_string(),
            version: message.version,
            reason: "versions 1 and 2 are known".into(),
        }
        .into(),
        message: Box::new(message),
    });
    let _consumption = bus.consume_service(&name("adder"), handler).await.unwrap();
    let body = Body::Bytes(Bytes::new());
    bus.tell_service(&name("adder"), Outgoing::new("Number", 9, body)).await.unwrap();
    let stream = service_stream("adder");
    until("it is buried", async || info(&log, &stream).await.dead_letters == 1).await;
    let letters = dead_letters(&log, &stream).await;
    let reason = &letters[0].letter().unwrap().reason;
    assert!(reason.contains("Number version 9") && reason.contains("1 and 2"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_tell_without_a_taker_waits_in_the_delay_set_and_is_not_counted_as_an_attempt() {
    let log = log();
    let bus = bus_over(log.clone()).await;
    let attempts: Arc<Mutex<Vec<u32>>> = Arc::default();
    let note = attempts.clone();
    let handler = intake(move |message| {
        note.lock().push(message.attempt);
        if note.lock().len() < 20 {
            let failure = FailureKind::CircuitOpen { callee: "adder".into(), until: None }.into();
            return Offered::Refused { message: Box::new(message), failure };
        }
        message.delivery.conclude(handled());
        Offered::Taken
    });
    let _consumption = bus.consume_service(&name("adder"), handler).await.unwrap();
    bus.tell_service(&name("adder"), number(1)).await.unwrap();
    let stream = service_stream("adder");
    until("it is handled", async || info(&log, &stream).await.accounting.handled == 1).await;
    assert_eq!(*attempts.lock(), [1; 20]);
}

#[tokio::test(start_paused = true)]
async fn competing_processes_share_a_services_messages_without_duplicates() {
    let log = log();
    let sender = bus_over(log.clone()).await;
    let (one, two) = (bus_over(log.clone()).await, bus_over(log.clone()).await);
    let seen = [Seen::default(), Seen::default()];
    let _first = one.consume_service(&name("adder"), seen[0].intake()).await.unwrap();
    let _second = two.consume_service(&name("adder"), seen[1].intake()).await.unwrap();
    for value in 0..500 {
        sender.tell_service(&name("adder"), number(value)).await.unwrap();
    }
    let stream = service_stream("adder");
    until("all is settled", async || info(&log, &stream).await.accounting.handled == 500).await;
    let mut all: Vec<_> = seen.iter().flat_map(Seen::all).collect();
    all.sort_unstable();
    assert_eq!(all, (0..500).collect::<Vec<_>>());
    assert!(seen.iter().all(|seen| seen.all().len() > 50), "both take part");
}

#[tokio::test(start_paused = true)]
async fn an_intake_that_panics_does_not_end_the_reading() {
    let log = log();
    let bus = bus_over(log.clone()).await;
    let seen = Seen::default();
    let note = seen.clone();
    let handler = intake(move |message| {
        assert!(value(&message) != 1, "as a Deserialize of a user may");
        note.0.lock().push(value(&message));
        message.delivery.conclude(handled());
        Offered::Taken
    });
    let _consumption = bus.consume_service(&name("adder"), handler).await.unwrap();
    for value in 0..3 {
        bus.tell_service(&name("adder"), number(value)).await.unwrap();
    }
    let stream = service_stream("adder");
    until("it is buried", async || info(&log, &stream).await.dead_letters == 1).await;
    assert_eq!(seen.all(), [0, 2]);
    let letters = dead_letters(&log, &stream).await;
    assert!(letters[0].letter().unwrap().reason.contains("panicked"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_read_once_by_a_process_and_again_after_it_was_drained() {
    let log = log();
    let bus = bus_over(log.clone()).await;
    let seen = Seen::default();
    let first = bus.consume_service(&name("adder"), seen.intake()).await.unwrap();
    let error = bus.consume_service(&name("adder"), seen.intake()).await.unwrap_err();
    assert!(error.to_string().contains("reads cb:test:{s:adder:0}:in already"), "{error}");
    first.stop().await;
    first.drained().await;
    let _second = bus.consume_service(&name("adder"), seen.intake()).await.unwrap();
    bus.tell_service(&name("adder"), number(1)).await.unwrap();
    until("it is handled", async || seen.all() == [1]).await;
}
