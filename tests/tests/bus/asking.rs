use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use callboard::{
    Delivery, FailureKind,
    bus::Conclusion,
    bus::{
        Bus, Consumption, Destination, Incoming, Offered,
        codec::{self, Codec},
    },
    log::MessageLog,
};
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    faulty::{Fault, FaultyLog},
    support::*,
};

async fn pair(handler: impl Fn(Incoming) + Send + Sync + 'static) -> (Bus, Bus, Consumption) {
    let log = log();
    let (caller, callee) = (bus_over(log.clone()).await, bus_over(log).await);
    let handler = intake(move |message| {
        handler(message);
        Offered::Taken
    });
    let consumption = callee.open_inbox(handler).await.unwrap();
    (caller, callee, consumption)
}

#[tokio::test(start_paused = true)]
async fn asks_are_answered_each_with_its_own_reply() {
    let (caller, callee, consumption) = pair(|message| {
        let reply = value(&message) * 2;
        message.delivery.conclude(replied(&reply.to_le_bytes()));
    })
    .await;
    let asks = (0..500_u64).map(|n| caller.ask(callee.incarnation(), ACTOR, number(n)));
    for (n, reply) in join_all(asks).await.into_iter().enumerate() {
        assert_eq!(reply.unwrap().body[..], (n as u64 * 2).to_le_bytes());
    }
    until("all is settled", async || consumption.held() == 0).await;
    assert_eq!(callee.stats().handled, 500);
}

#[tokio::test(start_paused = true)]
async fn an_ask_hears_how_its_handler_ended() {
    let (caller, callee, _consumption) = pair(|mut message| {
        let conclusion = match value(&message) {
            0 => Conclusion::Panicked,
            1 => Conclusion::Abandoned,
            2 => Conclusion::Handled { reply: None, failure: false },
            3 => Conclusion::NotTaken(FailureKind::NotPermitted { reason: "no".into() }.into()),
            4 => return message.delivery.begin(),
            _ => return drop(message),
        };
        message.delivery.conclude(conclusion);
    })
    .await;
    let ask = async |n| caller.ask(callee.incarnation(), ACTOR, number(n)).await.unwrap_err();
    let panicked = ask(0).await;
    assert_eq!((panicked.kind(), panicked.delivery()), (&FailureKind::Panicked, Delivery::Handled));
    for (n, delivery) in [(1, Delivery::Unknown), (2, Delivery::Handled), (4, Delivery::Unknown)] {
        let failure = ask(n).await;
        assert_eq!((failure.kind(), failure.delivery()), (&FailureKind::Unanswered, delivery));
    }
    let dropped = ask(5).await;
    assert!(matches!(dropped.kind(), FailureKind::Stopped { .. }), "{dropped}");
    assert_eq!(dropped.delivery(), Delivery::NotDelivered);
    let refused = ask(3).await;
    assert_eq!(refused.kind(), &FailureKind::NotPermitted { reason: "no".into() });
    assert_eq!(refused.delivery(), Delivery::NotDelivered);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_says_that_the_outcome_is_unknown_and_cancels() {
    let kept: Arc<Mutex<Vec<Incoming>>> = Arc::default();
    let keep = kept.clone();
    let (caller, callee, consumption) = pair(move |message| keep.lock().push(message)).await;
    let mut outgoing = number(1);
    outgoing.deadline = Some(Instant::now() + Duration::from_secs(2));
    let began = Instant::now();
    let failure = caller.ask(callee.incarnation(), ACTOR, outgoing).await.unwrap_err();
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert!(matches!(failure.kind(), FailureKind::DeadlinePassed { .. }), "{failure}");
    assert_eq!(failure.delivery(), Delivery::Unknown);
    until("it is cancelled", async || kept.lock()[0].delivery.is_cancelled()).await;
    // An answer all the same is too late, and is counted.
    let message = kept.lock().remove(0);
    message.delivery.conclude(replied(b"late"));
    until("the late reply came", async || caller.stats().replies_late == 1).await;
    until("all is settled", async || consumption.held() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_ask_is_cancelled_behind_itself() {
    let kept: Arc<Mutex<Vec<Incoming>>> = Arc::default();
    let keep = kept.clone();
    let (caller, callee, consumption) = pair(move |message| keep.lock().push(message)).await;
    let tickets: Vec<_> =
        (0..2).map(|n| caller.start_ask(callee.incarnation(), ACTOR, number(n)).unwrap()).collect();
    until("both are there", async || kept.lock().len() == 2).await;
    let [first, second] = tickets.try_into().unwrap();
    drop(first);
    until("the first is cancelled", async || kept.lock()[0].delivery.is_cancelled()).await;
    assert!(!kept.lock()[1].delivery.is_cancelled());
    let messages = std::mem::take(&mut *kept.lock());
    for message in messages {
        let end =
            if message.delivery.is_cancelled() { Conclusion::Cancelled } else { replied(b"yes") };
        message.delivery.conclude(end);
    }
    assert_eq!(&second.await.unwrap().body[..], b"yes");
    until("all is settled", async || consumption.held() == 0).await;
    assert_eq!((callee.stats().cancelled, caller.stats().asks_cancelled), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_ask_that_never_left_is_not_delivered_and_stays_so() {
    let log = log();
    let stuck = Arc::new(AtomicBool::new(true));
    let gate = stuck.clone();
    let faulty = FaultyLog::new(log.clone(), move |name| {
        if name == "append" && gate.load(Relaxed) { Fault::Hang } else { Fault::None }
    });
    let (caller, callee) = (bus_over(Arc::new(faulty)).await, bus_over(log.clone()).await);
    let seen = Seen::default();
    let _consumption = callee.open_inbox(seen.intake()).await.unwrap();
    let ask = async |n| {
        let mut outgoing = number(n);
        outgoing.deadline = Some(Instant::now() + Duration::from_secs(1));
        caller.ask(callee.incarnation(), ACTOR, outgoing).await.unwrap_err()
    };
    let first = tokio::time::timeout(Duration::from_secs(5), ask(1));
    let second = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        ask(2).await
    };
    let (first, second) = tokio::join!(first, second);
    // The first is on its way for all that is known; the second waits behind it.
    assert_eq!(first.unwrap().delivery(), Delivery::Unknown);
    assert_eq!(second.delivery(), Delivery::NotDelivered);
    stuck.store(false, Relaxed);
    caller.tell_actor(callee.incarnation(), ACTOR, number(3)).await.unwrap();
    until("the tell came", async || seen.all().contains(&3)).await;
    assert!(!seen.all().contains(&2), "{:?}", seen.all());
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_does_not_decode_is_the_callers_error() {
    let (caller, callee, _consumption) =
        pair(|message| message.delivery.conclude(replied(b"\xff\xff\xff"))).await;
    let reply = caller.ask(callee.incarnation(), ACTOR, number(1)).await.unwrap();
    assert_eq!(reply.codec, Codec::Bincode);
    assert!(codec::decode::<String>(reply.codec, &reply.body).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_too_large_is_refused_to_its_asker() {
    let (caller, callee, _consumption) =
        pair(|message| message.delivery.conclude(replied(&vec![0; 2 << 20]))).await;
    let failure = caller.ask(callee.incarnation(), ACTOR, number(1)).await.unwrap_err();
    assert!(matches!(failure.kind(), FailureKind::TooLarge { .. }), "{failure}");
    assert_eq!(failure.delivery(), Delivery::Handled);
}

#[tokio::test(start_paused = true)]
async fn a_reply_to_a_process_that_is_gone_is_dropped_and_counted() {
    let kept: Arc<Mutex<Vec<Incoming>>> = Arc::default();
    let keep = kept.clone();
    let (caller, callee, consumption) = pair(move |message| keep.lock().push(message)).await;
    let ticket = caller.start_ask(callee.incarnation(), ACTOR, number(1)).unwrap();
    until("it is there", async || kept.lock().len() == 1).await;
    caller.shutdown(Duration::from_secs(1)).await;
    assert_eq!(ticket.await.unwrap_err().delivery(), Delivery::Unknown);
    let message = kept.lock().remove(0);
    message.delivery.conclude(replied(b"x"));
    until("it is counted", async || callee.stats().replies_undeliverable == 1).await;
    until("all is settled", async || consumption.held() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn read_replies_are_removed() {
    let log = log();
    let (caller, callee) = (bus_over(log.clone()).await, bus_over(log.clone()).await);
    let handler = intake(|message| {
        message.delivery.conclude(replied(b"x"));
        Offered::Taken
    });
    let _consumption = callee.open_inbox(handler).await.unwrap();
    for n in 0..600 {
        caller.ask(callee.incarnation(), ACTOR, number(n)).await.unwrap();
    }
    let stream = Destination::Replies(caller.incarnation()).stream(&name("test"));
    assert!(log.info(&stream).await.unwrap().unwrap().length < 300);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(log.info(&stream).await.unwrap().unwrap().length, 0);
}

/// Callers sit on threads of their own, without a runtime that has timers.
#[test]
fn an_ask_works_from_a_thread_without_a_runtime() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (caller, callee, _consumption) = runtime.block_on(pair(|message| {
        let reply = value(&message);
        message.delivery.conclude(replied(&reply.to_le_bytes()));
    }));
    for n in 0..100 {
        let ask = caller.ask(callee.incarnation(), ACTOR, number(n));
        let reply = futures_util::FutureExt::boxed(ask);
        assert_eq!(block_on(reply).unwrap().body[..], n.to_le_bytes());
    }
}

/// Polls a future with a thread's park as its waker.
fn block_on<T>(mut future: futures_util::future::BoxFuture<'_, T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut cx = std::task::Context::from_waker(&waker);
    loop {
        if let std::task::Poll::Ready(done) = future.as_mut().poll(&mut cx) {
            return done;
        }
        std::thread::park();
    }
}
