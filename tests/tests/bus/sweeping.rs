use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use callboard::{
    Delivery, Incarnation,
    bus::{Bus, Destination, Outgoing, Subscriber, keys},
    log::{Append, AppendRequest, EmbeddedLog, MessageLog, Start, StreamName},
};
use tokio::time::{Instant, sleep};

use crate::{
    faulty::{Fault, FaultyLog},
    support::*,
};

const MINUTE: Duration = Duration::from_secs(60);

fn inbox_of(bus: &Bus) -> StreamName {
    Destination::Inbox(bus.incarnation()).stream(&name("test"))
}

/// A number that nobody needs any more after an hour.
fn patient(value: u64) -> Outgoing<'static> {
    let mut outgoing = number(value);
    outgoing.deadline = Some(Instant::now() + MINUTE * 60);
    outgoing
}

/// The numbers and reasons of the dead letters of all nodes.
async fn letters_of_nodes(log: &EmbeddedLog) -> Vec<(u64, String)> {
    let letters = dead_letters(log, &keys::dead_letters_of_nodes(&name("test"))).await;
    let mut found: Vec<_> = letters
        .iter()
        .map(|letter| {
            let (_, body) = letter.message(0).unwrap();
            let number = u64::from_le_bytes(body[..].try_into().unwrap());
            (number, letter.letter().unwrap().reason.clone())
        })
        .collect();
    found.sort();
    found
}

async fn exists(log: &EmbeddedLog, stream: &StreamName) -> bool {
    log.info(stream).await.unwrap().is_some()
}

#[tokio::test(start_paused = true)]
async fn tells_to_the_gone_are_buried_and_asks_are_answered() {
    let (log, cluster) = (old_log(), Cluster::new());
    let (caller, dying) = (cluster.join(log.clone()).await, cluster.join(log.clone()).await);
    let kept = Kept::default();
    let _reads = dying.open_inbox(kept.intake()).await.unwrap();
    let gone = dying.incarnation();
    caller.tell_actor(gone, ACTOR, number(1)).await.unwrap();
    let read = caller.start_ask(gone, ACTOR, patient(2)).unwrap();
    until("both were read", async || kept.values().len() == 2).await;
    // The caller has seen it alive by then, and so misses it at once.
    sleep(Duration::from_secs(20)).await;
    cluster.kill(&dying);
    caller.tell_actor(gone, ACTOR, number(3)).await.unwrap();
    let unread = caller.start_ask(gone, ACTOR, patient(4)).unwrap();
    let died = Instant::now();
    let (read, unread) = (read.await.unwrap_err(), unread.await.unwrap_err());
    let after = died.elapsed();
    assert!(after > Duration::from_secs(25) && after < Duration::from_secs(80), "after {after:?}");
    assert_eq!(read.delivery(), Delivery::Unknown);
    assert_eq!(unread.delivery(), Delivery::NotDelivered);
    assert!(unread.to_string().contains("has stopped"), "{unread}");
    until("the inbox ends", async || !exists(&log, &inbox_of(&dying)).await).await;
    assert!(!exists(&log, &Destination::Replies(gone).stream(&name("test"))).await);
    let letters = letters_of_nodes(&log).await;
    assert_eq!(letters.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 3]);
    assert!(letters.iter().all(|(_, reason)| reason.starts_with("node_gone")), "{letters:?}");
    let late = caller.tell_actor(gone, ACTOR, number(5)).await.unwrap_err();
    assert_eq!(late.delivery(), Delivery::NotDelivered);
}

#[tokio::test(start_paused = true)]
async fn what_sweepers_end_adds_up_and_is_ended_once() {
    let (log, cluster) = (old_log(), Cluster::new());
    let may_end = Arc::new(AtomicBool::new(false));
    let gate = may_end.clone();
    // The account of the inbox is looked at before that is removed.
    let keeping = FaultyLog::new(log.clone(), move |name| {
        if name == "delete" && !gate.load(Relaxed) { Fault::Before } else { Fault::None }
    });
    let caller = cluster.join(Arc::new(keeping.clone())).await;
    let dying = cluster.join(log.clone()).await;
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(cluster.join(Arc::new(keeping.clone())).await);
    }
    let hold = Kept::default();
    let _reads = dying.open_inbox(hold.intake()).await.unwrap();
    for value in 0..50 {
        caller.tell_actor(dying.incarnation(), ACTOR, number(value)).await.unwrap();
    }
    until("all were read", async || hold.values().len() == 50).await;
    hold.handle_first();
    sleep(Duration::from_secs(3)).await;
    cluster.kill(&dying);
    for value in 50..100 {
        caller.tell_actor(dying.incarnation(), ACTOR, number(value)).await.unwrap();
    }
    let inbox = inbox_of(&dying);
    until("it is empty", async || info(&log, &inbox).await.length == 0).await;
    let accounting = info(&log, &inbox).await.accounting;
    assert_eq!((accounting.appended, accounting.handled, accounting.dead), (100, 1, 99));
    let letters = letters_of_nodes(&log).await;
    let numbers: Vec<_> = letters.into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, (1..100).collect::<Vec<_>>());
    may_end.store(true, Relaxed);
    until("the inbox ends", async || !exists(&log, &inbox).await).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_lives_without_its_lease_keeps_its_inbox() {
    let (log, cluster) = (old_log(), Cluster::new());
    let (caller, cut_off) = (cluster.join(log.clone()).await, cluster.join(log.clone()).await);
    let empty = cluster.join(log.clone()).await;
    let kept = Kept::default();
    let _reads = cut_off.open_inbox(kept.intake()).await.unwrap();
    let _empty_reads = empty.open_inbox(kept.intake()).await.unwrap();
    cluster.forget(&cut_off);
    cluster.forget(&empty);
    caller.tell_actor(cut_off.incarnation(), ACTOR, number(1)).await.unwrap();
    let ask = caller.start_ask(cut_off.incarnation(), ACTOR, patient(2)).unwrap();
    sleep(MINUTE * 15).await;
    assert_eq!(kept.values(), [1, 2]);
    kept.handle_first();
    kept.0.lock().remove(0).delivery.conclude(replied(b"yes"));
    assert_eq!(&ask.await.unwrap().body[..], b"yes");
    assert!(letters_of_nodes(&log).await.is_empty());
    assert!(exists(&log, &inbox_of(&empty)).await);
    assert_eq!((caller.stats().entries_swept, cut_off.stats().entries_disowned), (0, 0));
}

/// A process without its lease that reads nothing for `pause`, and is told something at its beginning.
async fn told_while_not_reading(holds: bool, pause: Duration) -> (u64, Vec<u64>) {
    let (log, cluster) = (old_log(), Cluster::new());
    let is_reading = Arc::new(AtomicBool::new(true));
    let gate = is_reading.clone();
    let faulty = FaultyLog::new(log.clone(), move |name| {
        if name == "read_group" && !gate.load(Relaxed) { Fault::Before } else { Fault::None }
    });
    let caller = cluster.join(log.clone()).await;
    let slow = cluster.join(Arc::new(faulty)).await;
    let kept = Kept::default();
    let _reads = slow.open_inbox(kept.intake()).await.unwrap();
    let tell = async |value| caller.tell_actor(slow.incarnation(), ACTOR, number(value)).await;
    if holds {
        tell(1).await.unwrap();
        until("it was read", async || kept.values() == [1]).await;
    }
    sleep(Duration::from_secs(20)).await;
    cluster.forget(&slow);
    sleep(MINUTE).await;
    is_reading.store(false, Relaxed);
    // The read that waits is let go first.
    sleep(Duration::from_secs(10)).await;
    tell(2).await.unwrap();
    sleep(pause).await;
    is_reading.store(true, Relaxed);
    sleep(MINUTE).await;
    (caller.stats().entries_swept, kept.values())
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_slow_to_read_keeps_its_inbox() {
    assert_eq!(told_while_not_reading(false, Duration::from_secs(25)).await, (0, vec![2]));
    // However slow, while it touches what it holds.
    assert_eq!(told_while_not_reading(true, MINUTE * 5).await, (0, vec![1, 2]));
    // One that does neither can't be told from a dead one.
    assert_eq!(told_while_not_reading(false, MINUTE * 5).await, (1, vec![]));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_swept_by_those_who_lost_their_own_leases_lately() {
    let (log, cluster) = (old_log(), Cluster::new());
    let (caller, dying) = (cluster.join(log.clone()).await, cluster.join(log.clone()).await);
    let kept = Kept::default();
    let _reads = dying.open_inbox(kept.intake()).await.unwrap();
    caller.tell_actor(dying.incarnation(), ACTOR, number(1)).await.unwrap();
    until("it was read", async || kept.values() == [1]).await;
    cluster.kill(&dying);
    for _ in 0..20 {
        sleep(Duration::from_secs(9)).await;
        cluster.renew();
    }
    assert_eq!(caller.stats().entries_swept, 0);
    until("it is swept", async || caller.stats().entries_swept == 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_inbox_without_messages_ends_a_while_after_its_process() {
    let (log, cluster) = (old_log(), Cluster::new());
    let (caller, dying) = (cluster.join(log.clone()).await, cluster.join(log.clone()).await);
    let _reads = dying.open_inbox(Kept::default().intake()).await.unwrap();
    cluster.kill(&dying);
    sleep(MINUTE * 9).await;
    assert!(exists(&log, &inbox_of(&dying)).await);
    sleep(MINUTE * 4).await;
    assert!(!exists(&log, &inbox_of(&dying)).await);
    drop(caller);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_lost_an_answer_is_finished_by_a_later_one() {
    let (log, cluster) = (old_log(), Cluster::new());
    let failures = parking_lot::Mutex::new(fastrand::Rng::with_seed(7));
    let faulty = FaultyLog::new(log.clone(), move |name| match name {
        "claim" | "read_group" | "info" | "streams" | "delete" | "bury" | "settle"
            if failures.lock().u32(..100) < 30 =>
        {
            Fault::After
        }
        _ => Fault::None,
    });
    let (sender, dying) = (cluster.join(log.clone()).await, cluster.join(log.clone()).await);
    let kept = Kept::default();
    let _reads = dying.open_inbox(kept.intake()).await.unwrap();
    for value in 0..30 {
        sender.tell_actor(dying.incarnation(), ACTOR, number(value)).await.unwrap();
    }
    until("all were read", async || kept.values().len() == 30).await;
    cluster.kill(&dying);
    for value in 30..60 {
        sender.tell_actor(dying.incarnation(), ACTOR, number(value)).await.unwrap();
    }
    // The only one that sweeps from now on.
    cluster.kill(&sender);
    let sweeper = cluster.join(Arc::new(faulty)).await;
    let inbox = inbox_of(&dying);
    until("the inbox ends", async || !exists(&log, &inbox).await).await;
    let numbers: Vec<_> = letters_of_nodes(&log).await.iter().map(|letter| letter.0).collect();
    assert_eq!(numbers, (0..60).collect::<Vec<_>>());
    assert!(sweeper.stats().recoveries_failed > 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_gone_were_to_streams_that_live_is_removed() {
    let (log, cluster) = (old_log(), Cluster::new());
    let (living, dying) = (cluster.join(log.clone()).await, cluster.join(log.clone()).await);
    let seen = Seen::default();
    let service = name("adder");
    let _living_reads = living.consume_service(&service, seen.intake()).await.unwrap();
    let _dying_reads = dying.consume_service(&service, seen.intake()).await.unwrap();
    let who = Subscriber::Instance(name("ear"));
    let topic = name("news");
    let _topic = dying.subscribe(&topic, who, Start::New, seen.intake()).await.unwrap();
    let producer = Incarnation::fresh();
    cluster.add(producer);
    let stream = service_stream("adder");
    let frame = AppendRequest {
        stream: stream.clone(),
        producer,
        lane: 1,
        first: 1,
        count: 1,
        frame: Bytes::from_static(b"not a frame at all"),
        must_exist: false,
        backlog_max: None,
        dedup: Vec::new(),
    };
    log.append(frame.clone()).await.unwrap();
    sleep(Duration::from_secs(20)).await;
    let consumers = async || {
        let info = info(&log, &stream).await;
        info.groups.into_iter().flat_map(|group| group.consumers).map(|(name, _)| name)
    };
    assert_eq!(consumers().await.count(), 2);
    cluster.kill(&dying);
    cluster.remove(producer);
    sleep(MINUTE).await;
    let left: Vec<_> = consumers().await.collect();
    assert_eq!(left, [living.incarnation().to_string()]);
    let topic = Destination::Topic(topic).stream(&name("test"));
    assert!(info(&log, &topic).await.groups.is_empty());
    sleep(MINUTE * 8).await;
    assert_eq!(log.append(frame.clone()).await.unwrap(), Append::Duplicate { last: 1 });
    sleep(MINUTE * 2).await;
    assert_eq!(log.append(frame).await.unwrap(), Append::Forgotten);
}
