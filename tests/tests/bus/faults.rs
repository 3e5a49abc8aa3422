use std::{collections::BTreeMap, sync::Arc, time::Duration};

use callboard::{
    bus::Conclusion,
    bus::{Destination, Offered},
};
use parking_lot::Mutex;

use crate::{
    faulty::{Fault, FaultyLog},
    support::*,
};

fn any_fault(rng: &mut fastrand::Rng, percent: u32) -> Fault {
    if rng.u32(..100) >= percent {
        return Fault::None;
    }
    [Fault::Before, Fault::After, Fault::Hang, Fault::HangAfter, Fault::Slow][rng.usize(..5)]
}

fn seed() -> u64 {
    let seed = std::env::var("CALLBOARD_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("CALLBOARD_SEED={seed}");
    seed
}

#[tokio::test(start_paused = true)]
async fn lost_answers_to_appends_make_no_duplicate_and_no_loss() {
    let rng = Mutex::new(fastrand::Rng::with_seed(seed()));
    let log = log();
    let faulty = FaultyLog::new(log.clone(), move |name| match name {
        "append" | "append_delayed" => any_fault(&mut rng.lock(), 40),
        _ => Fault::None,
    });
    let (sender, receiver) = (bus_over(Arc::new(faulty)).await, bus_over(log.clone()).await);
    let seen = Seen::default();
    let _consumption = receiver.consume_service(&name("adder"), seen.intake()).await.unwrap();
    let to = Destination::Service(name("adder"), 0);
    for value in 0..400 {
        // Some wait for the answer, so that frames are small and many.
        let receipt = sender.buffer(&to, number(value)).await.unwrap();
        if value % 3 == 0 {
            receipt.stored().await.unwrap();
        }
    }
    until("all are handled", async || seen.all().len() >= 400).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(seen.all(), (0..400).collect::<Vec<_>>());
    let stats = sender.stats();
    assert!(stats.frames_resent > 10 && stats.frames_duplicate > 5, "{stats:?}");
    assert_eq!(stats.messages_lost, 0);
    assert_eq!(info(&log, &service_stream("adder")).await.accounting.handled, 400);
}

#[tokio::test(start_paused = true)]
async fn entries_of_a_read_whose_answer_was_lost_are_found_again() {
    let rng = Mutex::new(fastrand::Rng::with_seed(seed()));
    let log = log();
    let faulty = FaultyLog::new(log.clone(), move |name| match name {
        "read_group" | "pending_of" | "recorded" => any_fault(&mut rng.lock(), 40),
        _ => Fault::None,
    });
    let (sender, receiver) = (bus_over(log.clone()).await, bus_over(Arc::new(faulty)).await);
    let seen = Seen::default();
    let _consumption = receiver.consume_service(&name("adder"), seen.intake()).await.unwrap();
    for value in 0..100 {
        sender.tell_service(&name("adder"), number(value)).await.unwrap();
    }
    until("all are settled", async || info(&log, &service_stream("adder")).await.length == 0).await;
    let mut all = seen.all();
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<_>>(), "each was handled once");
    assert!(receiver.stats().reads_failed > 5);
}

/// Every call may fail in every way, handlers fail and panic, and in the end each message was
/// handled or lies in the dead letters, and the log's account adds up.
#[tokio::test(start_paused = true)]
async fn with_faults_everywhere_each_message_is_handled_or_dead() {
    let rng = Mutex::new(fastrand::Rng::with_seed(seed()));
    let log = log();
    let faulty = FaultyLog::new(log.clone(), move |name| match name {
        "now_ms" | "open" | "ensure_group" => Fault::None,
        _ => any_fault(&mut rng.lock(), 20),
    });
    let bus = bus_over(Arc::new(faulty)).await;
    let tries: Arc<Mutex<BTreeMap<u64, u32>>> = Arc::default();
    let handler = {
        let tries = tries.clone();
        intake(move |message| {
            let value = value(&message);
            *tries.lock().entry(value).or_default() += 1;
            let conclusion = match value % 10 {
                // Always fails.
                0 => Conclusion::Panicked,
                // Fails twice.
                1 if message.attempt < 3 => Conclusion::Handled { reply: None, failure: true },
                2 if message.attempt < 2 => Conclusion::Abandoned,
                _ => handled(),
            };
            message.delivery.conclude(conclusion);
            Offered::Taken
        })
    };
    let consumption = bus.consume_service(&name("adder"), handler).await.unwrap();
    for value in 0..200 {
        bus.tell_service(&name("adder"), number(value)).await.unwrap();
    }
    let stream = service_stream("adder");
    until("all are done", async || {
        let accounting = info(&log, &stream).await.accounting;
        accounting.held + accounting.delayed == 0
    })
    .await;
    until("nothing is held", async || consumption.held() == 0).await;
    let accounting = info(&log, &stream).await.accounting;
    assert_eq!((accounting.appended, accounting.handled, accounting.dead), (200, 180, 20));
    let tries = tries.lock().clone();
    for value in 0..200 {
        let expected = [5, 3, 2].get(value as usize % 10).copied().unwrap_or(1);
        assert_eq!(tries[&value], expected, "tries of {value}");
    }
    let mut dead: Vec<u64> = Vec::new();
    for letter in dead_letters(&log, &stream).await {
        let (_, body) = letter.message(0).unwrap();
        dead.push(u64::from_le_bytes(body[..].try_into().unwrap()));
        assert_eq!(letter.letter().unwrap().attempts, 5);
    }
    dead.sort_unstable();
    assert_eq!(dead, (0..20).map(|n| n * 10).collect::<Vec<_>>());
}
