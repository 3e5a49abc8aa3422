use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use callboard::{
    Incarnation,
    log::{
        Append, AppendRequest, Consumer, EmbeddedLog, EntryId, MessageLog, Owner, Ownership,
        ReadGroupRequest, Settle, StreamKind, StreamName, Totals,
    },
};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

const FRAMES: u64 = 600;
/// Longer than the test may take: a read that gets there has missed its wake-up.
const BLOCK: Duration = Duration::from_secs(20);

fn streams() -> Vec<StreamName> {
    let name = |at| StreamName::new(StreamKind::Service, format!("cb:threads:{{s:orders:{at}}}"));
    (0..3).map(name).collect()
}

async fn produce(log: EmbeddedLog, stream: StreamName, lane: u32, pause: bool) {
    for first in 1..=FRAMES {
        let request = AppendRequest {
            stream: stream.clone(),
            producer: Incarnation::from_u128(1),
            lane,
            first,
            count: 1,
            frame: Bytes::from_static(b"frame"),
            must_exist: false,
            backlog_max: None,
            dedup: Vec::new(),
        };
        let answer = log.append(request).await.unwrap();
        assert!(matches!(answer, Append::Stored(_)), "{answer:?}");
        // Every now and then all consumers are asleep.
        if pause && first.is_multiple_of(50) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn settle(log: &EmbeddedLog, stream: &StreamName, consumer: &Consumer, id: EntryId) -> u64 {
    let totals = Totals { handled: 1, ..Totals::default() };
    let end = Settle { id, count: 1, totals, retain: None };
    let owner = Owner::Consumer(consumer.clone());
    u64::from(log.settle(stream, &owner, &[end]).await.unwrap() == [Ownership::Done])
}

/// Reads one entry at a time, and drops some of its reads while they block.
async fn consume(log: EmbeddedLog, at: u64, settled: Arc<AtomicU64>, total: u64) {
    let consumer = Consumer { group: "g".into(), name: format!("c{at}") };
    let mut rng = fastrand::Rng::with_seed(at);
    while settled.load(Ordering::SeqCst) < total {
        let request = ReadGroupRequest {
            streams: streams(),
            consumer: consumer.clone(),
            count: 1,
            block: BLOCK,
        };
        let read = log.read_group(request);
        let read = if at.is_multiple_of(2) && rng.u32(..4) == 0 {
            timeout(Duration::from_micros(rng.u64(..2000)), read).await
        } else {
            Ok(read.await)
        };
        for batch in read.into_iter().flat_map(Result::unwrap) {
            for entry in batch.entries {
                let done = settle(&log, &batch.stream, &consumer, entry.id).await;
                settled.fetch_add(done, Ordering::SeqCst);
            }
        }
    }
}

/// Ends the reads that wait when all is settled; again and again, since one who looked at the count
/// just before is about to block still.
async fn release(log: EmbeddedLog, settled: Arc<AtomicU64>, total: u64) {
    loop {
        tokio::time::sleep(Duration::from_millis(1)).await;
        for at in (0..8).filter(|_| settled.load(Ordering::SeqCst) == total) {
            log.unblock(&format!("c{at}")).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn blocked_reads_on_several_threads_miss_no_entry() {
    let log = EmbeddedLog::new();
    let (settled, started) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let mut tasks = JoinSet::new();
    let total = FRAMES * 6;
    for at in 0..8 {
        tasks.spawn(consume(log.clone(), at, Arc::clone(&settled), total));
    }
    for lane in 0..2 {
        for stream in streams() {
            tasks.spawn(produce(log.clone(), stream, lane, lane == 0));
        }
    }
    let releasing = tokio::spawn(release(log.clone(), Arc::clone(&settled), total));
    while let Some(ended) = timeout(BLOCK, tasks.join_next()).await.expect("a wake-up was missed") {
        ended.unwrap();
    }
    releasing.abort();
    assert!(started.elapsed() < BLOCK, "a read blocked to its end");
    assert_eq!(settled.load(Ordering::SeqCst), total);
    for stream in streams() {
        let info = log.info(&stream).await.unwrap().unwrap();
        info.check().unwrap();
        assert_eq!((info.length, info.accounting.handled), (0, FRAMES * 2));
    }
    assert_eq!(log.memory_bytes(), 0);
}

/// One frame at a time, appended just when the consumer has looked and is about to block: from
/// another thread, which does not sleep so as to be there in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_append_between_looking_and_blocking_is_not_missed() {
    const ROUNDS: u64 = 5000;
    let log = EmbeddedLog::new();
    let stream = streams().remove(0);
    let taken = Arc::new(AtomicU64::new(0));
    let producer = {
        let (log, stream, taken) = (log.clone(), stream.clone(), Arc::clone(&taken));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut rng = fastrand::Rng::with_seed(1);
            for first in 1..=ROUNDS {
                let mut spins = 0_u32;
                while taken.load(Ordering::SeqCst) + 1 < first {
                    std::hint::spin_loop();
                    spins += 1;
                    if spins.is_multiple_of(2000) {
                        // On a busy machine the consumer needs this core.
                        std::thread::yield_now();
                    }
                }
                (0..rng.u32(..400)).for_each(|_| std::hint::spin_loop());
                let request = AppendRequest {
                    stream: stream.clone(),
                    producer: Incarnation::from_u128(1),
                    lane: 1,
                    first,
                    count: 1,
                    frame: Bytes::from_static(b"frame"),
                    must_exist: false,
                    backlog_max: None,
                    dedup: Vec::new(),
                };
                let answer = runtime.block_on(log.append(request)).unwrap();
                assert!(matches!(answer, Append::Stored(_)), "{answer:?}");
            }
        })
    };
    let consumer = Consumer { group: "g".into(), name: "c0".into() };
    for round in 1..=ROUNDS {
        let streams = vec![stream.clone()];
        let request =
            ReadGroupRequest { streams, consumer: consumer.clone(), count: 1, block: BLOCK };
        let read = timeout(BLOCK / 4, log.read_group(request)).await;
        let read = read.unwrap_or_else(|_| {
            // Lets the producer end before the test does.
            taken.store(ROUNDS, Ordering::SeqCst);
            panic!("the wake-up of round {round} was missed")
        });
        assert_eq!(read.unwrap().len(), 1);
        taken.store(round, Ordering::SeqCst);
    }
    producer.join().unwrap();
}
