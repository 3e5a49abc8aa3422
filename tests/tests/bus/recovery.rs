use std::{
    collections::BTreeSet,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use callboard::{
    bus::{
        Bus, Consumption, Destination, Incoming, Intake, Offered,
        codec::Codec,
        frame::{FrameBuilder, Kind, Message},
    },
    log::{AppendRequest, Consumer, EmbeddedLog, MessageLog, ReadGroupRequest},
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::{
    faulty::{Fault, FaultyLog},
    support::*,
};

async fn consume(bus: &Bus, intake: Arc<dyn Intake>) -> Consumption {
    bus.consume_service(&name("adder"), intake).await.unwrap()
}

/// Sends numbers in one frame.
async fn send_frame(bus: &Bus, values: impl IntoIterator<Item = u64>) {
    let to = Destination::Service(name("adder"), 0);
    let receipts: Vec<_> =
        values.into_iter().map(|value| bus.try_tell(&to, number(value)).unwrap()).collect();
    for receipt in receipts {
        receipt.stored().await.unwrap();
    }
}

async fn assert_all_ended(log: &EmbeddedLog, handled: u64, dead: u64) {
    let stream = service_stream("adder");
    until("all is settled", async || info(log, &stream).await.length == 0).await;
    let accounting = info(log, &stream).await.accounting;
    let expected = (handled + dead, handled, dead, 0);
    let found = (accounting.appended, accounting.handled, accounting.dead, accounting.held);
    assert_eq!(found, expected);
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_process_held_is_taken_over_after_what_it_had_done() {
    let (log, cluster) = (old_log(), Cluster::new());
    let (dying, heir) = (cluster.join(log.clone()).await, cluster.join(log.clone()).await);
    let kept = Kept::default();
    let _dying_reads = consume(&dying, kept.intake()).await;
    send_frame(&dying, 0..10).await;
    until("all were taken", async || kept.values().len() == 10).await;
    for done in [0, 1, 2, 3] {
        assert_eq!(kept.handle_first(), (done, 1));
    }
    // What was done has been recorded by then.
    sleep(Duration::from_secs(3)).await;
    let seen = Kept::default();
    let _heir_reads = consume(&heir, seen.intake()).await;
    cluster.kill(&dying);
    let died = Instant::now();
    for next in 4..10 {
        until("the next one comes", async || !seen.values().is_empty()).await;
        assert_eq!(seen.values(), [next], "one at a time");
        sleep(Duration::from_secs(20)).await;
        assert_eq!(seen.handle_first(), (next, 2), "it was delivered before");
        if next == 4 {
            let after = died.elapsed() - Duration::from_secs(20);
            assert!(after < Duration::from_secs(12), "it took {after:?}");
        }
    }
    assert_all_ended(&log, 10, 0).await;
    assert_eq!(heir.stats().entries_claimed, 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_over_before_seven_seconds_of_silence() {
    let (log, cluster) = (old_log(), Cluster::new());
    let (dying, heir) = (cluster.join(log.clone()).await, cluster.join(log.clone()).await);
    let (kept, seen) = (Kept::default(), Kept::default());
    let _dying_reads = consume(&dying, kept.intake()).await;
    send_frame(&dying, [1]).await;
    until("it was taken", async || kept.values() == [1]).await;
    cluster.kill(&dying);
    let _heir_reads = consume(&heir, seen.intake()).await;
    sleep(Duration::from_millis(6_900)).await;
    assert!(seen.values().is_empty());
    sleep(Duration::from_millis(3_200)).await;
    assert_eq!(seen.handle_first(), (1, 2));
    assert_all_ended(&log, 1, 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_came_up_lately_gives_nothing_away() {
    let (log, cluster) = (log(), Cluster::new());
    let (dying, heir) = (cluster.join(log.clone()).await, cluster.join(log.clone()).await);
    let (kept, seen) = (Kept::default(), Kept::default());
    let _dying_reads = consume(&dying, kept.intake()).await;
    send_frame(&dying, [1]).await;
    until("it was taken", async || kept.values() == [1]).await;
    cluster.kill(&dying);
    let _heir_reads = consume(&heir, seen.intake()).await;
    sleep(Duration::from_secs(34)).await;
    assert!(seen.values().is_empty());
    sleep(Duration::from_secs(5)).await;
    assert_eq!(seen.handle_first(), (1, 2));
    assert_all_ended(&log, 1, 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_lives_keeps_what_it_holds_with_or_without_its_lease() {
    let (log, cluster) = (old_log(), Cluster::new());
    let (living, other) = (cluster.join(log.clone()).await, cluster.join(log.clone()).await);
    let (kept, seen) = (Kept::default(), Kept::default());
    let _living_reads = consume(&living, kept.intake()).await;
    send_frame(&living, [1, 2]).await;
    until("it was taken", async || kept.values().len() == 2).await;
    let _other_reads = consume(&other, seen.intake()).await;
    sleep(Duration::from_secs(120)).await;
    cluster.forget(&living);
    sleep(Duration::from_secs(120)).await;
    assert_eq!(kept.handle_first(), (1, 1));
    sleep(Duration::from_secs(120)).await;
    assert_eq!(kept.handle_first(), (2, 1));
    assert_all_ended(&log, 2, 0).await;
    assert!(seen.values().is_empty());
    assert_eq!((other.stats().entries_claimed, living.stats().entries_disowned), (0, 0));
}

/// A process whose handler of 13 ends it.
struct Mortal {
    seen: Seen,
    deaths: Arc<AtomicU32>,
    bus: OnceLock<Bus>,
    kept: Mutex<Vec<Incoming>>,
}

impl Intake for Mortal {
    fn offer(&self, message: Incoming) -> Offered {
        let mut kept = self.kept.lock();
        if kept.is_empty() && value(&message) != 13 {
            self.seen.0.lock().push(value(&message));
            message.delivery.conclude(handled());
            return Offered::Taken;
        }
        if kept.is_empty() {
            self.deaths.fetch_add(1, Relaxed);
            self.bus.get().unwrap().abort();
        }
        // The dead handle and conclude nothing.
        kept.push(message);
        Offered::Taken
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_kills_its_process_ends_alone_in_the_dead_letters_after_five_deaths() {
    let (log, cluster) = (old_log(), Cluster::new());
    let sender = cluster.join(log.clone()).await;
    send_frame(&sender, [10, 11, 12, 13, 14, 15]).await;
    send_frame(&sender, [16, 17]).await;
    let (seen, deaths) = (Seen::default(), Arc::new(AtomicU32::new(0)));
    let stream = service_stream("adder");
    // Keeps the intakes of the dead: a crash concludes nothing.
    let mut graves = Vec::new();
    while info(&log, &stream).await.length > 0 {
        let mortal = Arc::new(Mortal {
            seen: seen.clone(),
            deaths: deaths.clone(),
            bus: OnceLock::new(),
            kept: Mutex::default(),
        });
        let bus = cluster.join(log.clone()).await;
        mortal.bus.set(bus.clone()).unwrap();
        let reads = consume(&bus, mortal.clone()).await;
        let before = deaths.load(Relaxed);
        until("it died or all is done", async || {
            deaths.load(Relaxed) > before || info(&log, &stream).await.length == 0
        })
        .await;
        cluster.kill(&bus);
        graves.push((mortal, reads));
        assert!(graves.len() < 12, "it goes on killing");
    }
    assert_eq!(deaths.load(Relaxed), 5);
    let letters = dead_letters(&log, &stream).await;
    assert_eq!(letters.len(), 1);
    let (message, body) = letters[0].message(0).unwrap();
    assert_eq!((message.name, &body[..]), (Some("Number"), &13_u64.to_le_bytes()[..]));
    let letter = letters[0].letter().unwrap();
    assert_eq!(letter.attempts, 5);
    assert!(letter.reason.contains("its process ended"), "{}", letter.reason);
    let innocent: BTreeSet<u64> = seen.all().into_iter().collect();
    assert_eq!(innocent, BTreeSet::from([10, 11, 12, 14, 15, 16, 17]));
    assert_all_ended(&log, 7, 1).await;
}

#[tokio::test(start_paused = true)]
async fn suspects_are_tried_one_at_a_time_in_a_process() {
    let (log, cluster) = (old_log(), Cluster::new());
    let (dying, heir) = (cluster.join(log.clone()).await, cluster.join(log.clone()).await);
    let (kept, seen) = (Kept::default(), Kept::default());
    let _dying_reads = consume(&dying, kept.intake()).await;
    let other = name("other");
    let _dying_reads_too = dying.consume_service(&other, kept.intake()).await.unwrap();
    for value in 0..3 {
        send_frame(&dying, [value]).await;
        dying.tell_service(&other, number(value + 10)).await.unwrap();
    }
    until("all were taken", async || kept.values().len() == 6).await;
    cluster.kill(&dying);
    let _heir_reads = consume(&heir, seen.intake()).await;
    let _heir_reads_too = heir.consume_service(&other, seen.intake()).await.unwrap();
    let mut handled = Vec::new();
    for _ in 0..6 {
        sleep(Duration::from_secs(60)).await;
        assert_eq!(seen.values().len(), 1, "one at a time, whatever the stream");
        handled.push(seen.handle_first().0);
    }
    handled.sort_unstable();
    assert_eq!(handled, [0, 1, 2, 10, 11, 12]);
    assert_all_ended(&log, 3, 0).await;
    until("all is settled", async || {
        info(&log, &service_stream("other")).await.accounting.handled == 3
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_was_paused_drops_what_others_have_taken_over() {
    let (log, cluster) = (old_log(), Cluster::new());
    let paused = Arc::new(AtomicBool::new(false));
    let gate = paused.clone();
    let faulty =
        FaultyLog::new(
            log.clone(),
            move |_| {
                if gate.load(Relaxed) { Fault::Hang } else { Fault::None }
            },
        );
    let owner = cluster.join(Arc::new(faulty)).await;
    let heir = cluster.join(log.clone()).await;
    let (kept, seen) = (Kept::default(), Kept::default());
    let owner_reads = consume(&owner, kept.intake()).await;
    send_frame(&owner, [1]).await;
    send_frame(&owner, [2]).await;
    until("both were taken", async || kept.values().len() == 2).await;
    let heir_reads = consume(&heir, seen.intake()).await;
    paused.store(true, Relaxed);
    // The first is settled when it is too late, the other is still being handled then.
    kept.handle_first();
    until("the first is taken over", async || seen.values() == [1]).await;
    seen.handle_first();
    until("the second is taken over", async || seen.values() == [2]).await;
    assert!(!kept.0.lock()[0].delivery.is_cancelled());
    paused.store(false, Relaxed);
    until("the owner drops both", async || owner_reads.held() == 0).await;
    assert!(kept.0.lock()[0].delivery.is_cancelled(), "a handler that has not begun will not");
    kept.handle_first();
    sleep(Duration::from_secs(20)).await;
    let accounting = info(&log, &service_stream("adder")).await.accounting;
    assert_eq!((accounting.handled, accounting.held, accounting.frames_out), (1, 1, 1));
    seen.handle_first();
    assert_all_ended(&log, 2, 0).await;
    // The first was gone when the owner came to settle it.
    assert_eq!((owner.stats().entries_disowned, heir.stats().entries_claimed), (1, 2));
    until("the heir is done", async || heir_reads.held() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn entries_that_were_given_to_a_process_and_never_seen_are_found() {
    let log = old_log();
    let bus = bus_over(log.clone()).await;
    let seen = Seen::default();
    let reads = consume(&bus, seen.intake()).await;
    reads.stop().await;
    for value in 0..5 {
        send_frame(&bus, [value]).await;
    }
    // As by a read that was dropped after the log had answered it.
    let consumer = Consumer { group: "service".into(), name: bus.incarnation().to_string() };
    let streams = vec![service_stream("adder")];
    let request = ReadGroupRequest { streams, consumer, count: 5, block: Duration::ZERO };
    assert_eq!(log.read_group(request).await.unwrap()[0].entries.len(), 5);
    let _reads = consume(&bus, seen.intake()).await;
    let began = Instant::now();
    until("all are handled", async || seen.all().len() == 5).await;
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_all_ended(&log, 5, 0).await;
    assert_eq!(seen.all(), [0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn what_a_claim_without_an_answer_took_is_tried_with_the_same_care() {
    let (log, cluster) = (old_log(), Cluster::new());
    let claims = Arc::new(AtomicU32::new(0));
    let count = claims.clone();
    let faulty = FaultyLog::new(log.clone(), move |name| match name {
        "claim" if count.fetch_add(1, Relaxed) < 20 => Fault::After,
        _ => Fault::None,
    });
    let dying = cluster.join(log.clone()).await;
    let heir = cluster.join(Arc::new(faulty)).await;
    let (kept, seen) = (Kept::default(), Kept::default());
    let _dying_reads = consume(&dying, kept.intake()).await;
    send_frame(&dying, [1, 2]).await;
    until("both were taken", async || kept.values().len() == 2).await;
    cluster.kill(&dying);
    let _heir_reads = consume(&heir, seen.intake()).await;
    for expected in [1, 2] {
        until("the next one comes", async || !seen.values().is_empty()).await;
        sleep(Duration::from_secs(60)).await;
        assert_eq!(seen.values(), [expected]);
        assert_eq!(seen.handle_first(), (expected, 2));
    }
    assert_all_ended(&log, 2, 0).await;
    assert!(claims.load(Relaxed) > 0, "nothing was claimed");
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_holds_less_than_the_log_counts_is_buried_whole() {
    let log = old_log();
    let bus = bus_over(log.clone()).await;
    let seen = Seen::default();
    let reads = consume(&bus, seen.intake()).await;
    let producer = callboard::Incarnation::fresh();
    let mut builder = FrameBuilder::new();
    let message = Message::new(Kind::Tell, Codec::Bincode).named("Number", 1);
    let body = 7_u64.to_le_bytes();
    let write = |into: &mut Vec<u8>| {
        into.extend_from_slice(&body);
        Ok(())
    };
    builder.push(&message, write).unwrap();
    let request = AppendRequest {
        stream: service_stream("adder"),
        producer,
        lane: 1,
        first: 1,
        count: 3,
        frame: builder.seal(producer, 1, 1),
        must_exist: true,
        backlog_max: None,
        dedup: Vec::new(),
    };
    log.append(request).await.unwrap();
    assert_all_ended(&log, 0, 3).await;
    assert_eq!(seen.all(), [7, 7], "once more after a look at what is recorded");
    until("nothing is held", async || reads.held() == 0).await;
    let letters = dead_letters(&log, &service_stream("adder")).await;
    assert!(letters[0].letter().unwrap().reason.contains("contradicts"));
}
