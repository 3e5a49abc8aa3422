use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use callboard::{
    ActorId, Delivery, FailureKind,
    bus::{BusLimits, Destination, Incoming, Offered, frame::Kind, keys},
    log::{AppendRequest, MessageLog},
};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::support::*;

const FULL: ActorId = ActorId::from_u64(1);
const FREE: ActorId = ActorId::from_u64(2);

/// One actor takes nothing until it is opened; all others take everything.
#[derive(Clone, Default)]
struct Stage {
    open: Arc<std::sync::atomic::AtomicBool>,
    room: Arc<Notify>,
    seen: Arc<Mutex<Vec<(ActorId, u64)>>>,
}

impl Stage {
    fn intake(&self) -> Arc<dyn callboard::bus::Intake> {
        let stage = self.clone();
        intake(move |message: Incoming| {
            let target = message.target.unwrap();
            if target == FULL && !stage.open.load(std::sync::atomic::Ordering::Relaxed) {
                let room = stage.room.clone();
                let room = Box::pin(async move { room.notified().await });
                return Offered::Full { message: Box::new(message), room };
            }
            stage.seen.lock().push((target, value(&message)));
            let reply = message.body.clone();
            let conclusion = if message.kind == Kind::Ask { replied(&reply) } else { handled() };
            message.delivery.conclude(conclusion);
            Offered::Taken
        })
    }

    fn of(&self, actor: ActorId) -> Vec<u64> {
        self.seen.lock().iter().filter(|(a, _)| *a == actor).map(|(_, value)| *value).collect()
    }

    fn open(&self) {
        self.open.store(true, std::sync::atomic::Ordering::Relaxed);
        self.room.notify_one();
    }
}

#[tokio::test(start_paused = true)]
async fn one_full_actor_holds_up_nobody_else_and_keeps_its_order() {
    let log = log();
    let (caller, callee) = (bus_over(log.clone()).await, bus_over(log.clone()).await);
    let stage = Stage::default();
    let consumption = callee.open_inbox(stage.intake()).await.unwrap();
    for value in 0..100 {
        caller.tell_actor(callee.incarnation(), FULL, number(value)).await.unwrap();
        caller.tell_actor(callee.incarnation(), FREE, number(value)).await.unwrap();
    }
    until("the free one has all", async || stage.of(FREE).len() == 100).await;
    assert!(stage.of(FULL).is_empty());
    stage.open();
    until("the full one has all", async || stage.of(FULL).len() == 100).await;
    assert_eq!(stage.of(FULL), (0..100).collect::<Vec<_>>());
    until("all is settled", async || consumption.held() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn beyond_the_side_queue_tells_are_postponed_and_asks_are_refused() {
    let log = log();
    let limits = BusLimits { side_queue_messages_max: 5, ..BusLimits::default() };
    let (caller, callee) = (bus_over(log.clone()).await, bus_with(log.clone(), limits).await);
    let stage = Stage::default();
    let _consumption = callee.open_inbox(stage.intake()).await.unwrap();
    for value in 0..20 {
        caller.tell_actor(callee.incarnation(), FULL, number(value)).await.unwrap();
    }
    let failure = caller.ask(callee.incarnation(), FULL, number(99)).await.unwrap_err();
    assert!(matches!(failure.kind(), FailureKind::MailboxFull { .. }), "{failure}");
    assert_eq!(failure.delivery(), Delivery::NotDelivered);
    let stream = Destination::Inbox(callee.incarnation()).stream(&name("test"));
    until("some are postponed", async || info(&log, &stream).await.accounting.delayed > 5).await;
    stage.open();
    until("all come in the end", async || stage.of(FULL).len() == 20).await;
    assert!(!stage.of(FULL).contains(&99));
    assert_eq!(stage.of(FULL)[..5], [0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn garbage_in_an_inbox_goes_to_the_dead_letters_of_all_nodes() {
    let log = log();
    let (caller, callee) = (bus_over(log.clone()).await, bus_over(log.clone()).await);
    let stage = Stage::default();
    let _consumption = callee.open_inbox(stage.intake()).await.unwrap();
    let stream = Destination::Inbox(callee.incarnation()).stream(&name("test"));
    let request = AppendRequest {
        stream: stream.clone(),
        producer: callboard::Incarnation::fresh(),
        lane: 1,
        first: 1,
        count: 2,
        frame: Bytes::from(vec![1; 500]),
        must_exist: true,
        backlog_max: None,
        dedup: Vec::new(),
    };
    log.append(request).await.unwrap();
    let reply = caller.ask(callee.incarnation(), FREE, number(5)).await.unwrap();
    assert_eq!(&reply.body[..], 5_u64.to_le_bytes());
    let letters = dead_letters(&log, &keys::dead_letters_of_nodes(&name("test"))).await;
    assert_eq!(letters.len(), 1);
    assert!(letters[0].letter().unwrap().unreadable);
    assert_eq!(letters[0].message(0).unwrap().1.len(), 500);
    until("all is settled", async || info(&log, &stream).await.length == 0).await;
    assert_eq!(info(&log, &stream).await.accounting.dead, 2);
}

#[tokio::test(start_paused = true)]
async fn a_tell_to_an_actor_that_stopped_is_buried_with_its_reason() {
    let log = log();
    let (caller, callee) = (bus_over(log.clone()).await, bus_over(log.clone()).await);
    let handler = intake(|message| {
        let failure = FailureKind::Stopped { actor: "counter".into() }.into();
        Offered::Refused { message: Box::new(message), failure }
    });
    let _consumption = callee.open_inbox(handler).await.unwrap();
    caller.tell_actor(callee.incarnation(), FREE, number(5)).await.unwrap();
    let place = keys::dead_letters_of_nodes(&name("test"));
    until("it is buried", async || info(&log, &place).await.dead_letters == 1).await;
    let letters = dead_letters(&log, &place).await;
    assert!(letters[0].letter().unwrap().reason.contains("counter has stopped"));
}

#[tokio::test(start_paused = true)]
async fn a_message_to_a_process_that_is_gone_is_not_delivered() {
    let log = log();
    let bus = bus_over(log.clone()).await;
    let gone = callboard::Incarnation::fresh();
    let failure = bus.tell_actor(gone, FREE, number(1)).await.unwrap_err();
    assert_eq!(failure.delivery(), Delivery::NotDelivered);
    let began = tokio::time::Instant::now();
    let failure = bus.ask(gone, FREE, number(1)).await.unwrap_err();
    assert_eq!(failure.delivery(), Delivery::NotDelivered);
    assert!(began.elapsed() < Duration::from_secs(1), "it does not wait for its deadline");
    assert!(log.info(&Destination::Inbox(gone).stream(&name("test"))).await.unwrap().is_none());
}
