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

/// Processes are killed again and again while calls fail in every way: in the end each message was
/// handled or lies in the dead letters, and the log's account adds up.
#[tokio::test(start_paused = true)]
async fn with_processes_dying_each_message_is_handled_or_dead() {
    let rng = Arc::new(Mutex::new(fastrand::Rng::with_seed(seed())));
    let (log, cluster) = (old_log(), Cluster::new());
    let faulty = {
        let rng = rng.clone();
        FaultyLog::new(log.clone(), move |name| match name {
            "now_ms" | "open" | "ensure_group" => Fault::None,
            _ => any_fault(&mut rng.lock(), 10),
        })
    };
    let sender = cluster.join(log.clone()).await;
    let to = Destination::Service(name("adder"), 0);
    let seen: Arc<Mutex<BTreeMap<u64, u32>>> = Arc::default();
    // The dead conclude nothing, so what they had is kept.
    let kept = Kept::default();
    let handler = || {
        let (seen, kept, rng) = (seen.clone(), kept.clone(), rng.clone());
        intake(move |message| {
            let value = value(&message);
            if rng.lock().u32(..20) == 0 {
                // It hangs, until its process dies.
                kept.0.lock().push(message);
                return Offered::Taken;
            }
            *seen.lock().entry(value).or_default() += 1;
            let panics = value % 50 == 7;
            message.delivery.conclude(if panics { Conclusion::Panicked } else { handled() });
            Offered::Taken
        })
    };
    let (mut alive, mut buses) = (Vec::new(), Vec::new());
    for round in 0..12_u64 {
        for value in 0..50 {
            sender.buffer(&to, number(round * 50 + value)).await.unwrap();
        }
        while alive.len() < 3 {
            let bus = cluster.join(Arc::new(faulty.clone())).await;
            let reads = bus.consume_service(&name("adder"), handler()).await.unwrap();
            buses.push(bus.clone());
            alive.push((bus, reads));
        }
        let pause = rng.lock().u64(1..40);
        tokio::time::sleep(Duration::from_secs(pause)).await;
        let victim = rng.lock().usize(..alive.len());
        cluster.kill(&alive.swap_remove(victim).0);
    }
    let stream = service_stream("adder");
    until("all are done", async || {
        let accounting = info(&log, &stream).await.accounting;
        if accounting.held + accounting.delayed == 0 {
            return true;
        }
        // What hangs now would hang for ever.
        let hung = std::mem::take(&mut *kept.0.lock());
        hung.into_iter().for_each(|message| message.delivery.conclude(handled()));
        tokio::time::sleep(Duration::from_secs(1)).await;
        false
    })
    .await;
    let accounting = info(&log, &stream).await.accounting;
    assert_eq!(accounting.appended, 600);
    assert_eq!(accounting.handled + accounting.dead, 600);
    assert_eq!(accounting.dead, dead_letters(&log, &stream).await.len() as u64);
    let claimed: u64 = buses.iter().map(|bus| bus.stats().entries_claimed).sum();
    assert!(claimed > 0, "only {claimed} entries were taken over");
    let tries = seen.lock().clone();
    // A message that hung its handler may have been concluded without having been seen again.
    let unseen = (0..600).filter(|value| !tries.contains_key(value)).count();
    assert!(unseen < 60, "{unseen} messages were never handled");
    for letter in dead_letters(&log, &stream).await {
        let (_, body) = letter.message(0).unwrap();
        let value = u64::from_le_bytes(body[..].try_into().unwrap());
        let reason = &letter.letter().unwrap().reason;
        let is_guilty = value % 50 == 7 || reason.contains("its process ended");
        assert!(is_guilty, "{value}: {reason}");
    }
}
