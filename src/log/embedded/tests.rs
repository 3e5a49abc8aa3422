use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::{
    Incarnation,
    log::{
        Append, AppendRequest, Consumer, EntryId, LogError, MessageLog, Owner, Ownership,
        ReadGroupRequest, Settle, StreamKind, Totals,
    },
};

pub(super) fn stream(label: &str) -> StreamName {
    StreamName::new(StreamKind::Service, format!("cb:test:{{s:{label}:0}}"))
}

pub(super) fn frame(stream: &StreamName, first: u64, bytes: usize) -> AppendRequest {
    AppendRequest {
        stream: stream.clone(),
        producer: Incarnation::from_u128(1),
        lane: 1,
        first,
        count: 1,
        frame: Bytes::from(vec![7; bytes]),
        must_exist: false,
        backlog_max: None,
        dedup: Vec::new(),
    }
}

fn read(streams: &[StreamName], block: Duration) -> ReadGroupRequest {
    let consumer = Consumer { group: "g".into(), name: "c".into() };
    ReadGroupRequest { streams: streams.to_vec(), consumer, count: 10, block }
}

async fn settle(log: &EmbeddedLog, stream: &StreamName, id: EntryId) -> Ownership {
    let owner = Owner::Consumer(Consumer { group: "g".into(), name: "c".into() });
    let totals = Totals { handled: 1, ..Totals::default() };
    let ends = [Settle { id, count: 1, totals, retain: None }];
    log.settle(stream, &owner, &ends).await.expect("settle answers")[0]
}

#[tokio::test(start_paused = true)]
async fn memory_is_given_back_by_settling_trimming_and_deleting() {
    let log = EmbeddedLog::new();
    let orders = stream("orders");
    for first in 1..=3 {
        log.append(frame(&orders, first, 1000)).await.expect("there is memory");
    }
    assert!(log.memory_bytes() >= 3000);
    let read = log.read_group(read(std::slice::from_ref(&orders), Duration::ZERO)).await;
    let entries = read.expect("the read answers").remove(0).entries;
    assert_eq!(settle(&log, &orders, entries[0].id).await, Ownership::Done);
    assert!((2000..3000).contains(&log.memory_bytes()));
    assert!(log.delete(&orders).await.expect("delete answers"));
    assert_eq!(log.memory_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_log_takes_frames_again_once_it_was_drained() {
    let options = EmbeddedLogOptions { memory_bytes_max: 5000, ..EmbeddedLogOptions::default() };
    let log = EmbeddedLog::with_options(options);
    let orders = stream("orders");
    let stored = log.append(frame(&orders, 1, 4000)).await;
    let Ok(Append::Stored(id)) = stored else { panic!("{stored:?}") };
    let refused = log.append(frame(&orders, 2, 4000)).await;
    assert!(matches!(refused, Err(LogError::OutOfMemory)), "{refused:?}");
    log.read_group(read(std::slice::from_ref(&orders), Duration::ZERO))
        .await
        .expect("a full log reads");
    assert_eq!(settle(&log, &orders, id).await, Ownership::Done);
    let stored = log.append(frame(&orders, 2, 4000)).await;
    assert!(matches!(stored, Ok(Append::Stored(_))), "{stored:?}");
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_stream_leaves_nothing_behind() {
    let log = EmbeddedLog::new();
    let streams = [(stream("absent"), EntryId::MIN)];
    let read = log.read_from(&streams, "r", 1, Duration::from_secs(1)).await;
    assert!(read.expect("the read answers").is_empty());
    assert!(log.shared.names().is_empty());
    drop(log.read_from(&streams, "r", 1, Duration::from_secs(1)));
    assert!(log.shared.names().is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_entry_wakes_one_of_many_blocked_consumers_and_no_other_stream() {
    let log = EmbeddedLog::new();
    let (orders, other) = (stream("orders"), stream("other"));
    let mut blocked = tokio::task::JoinSet::new();
    for name in 0..20 {
        let (log, streams) =
            (log.clone(), vec![if name < 10 { orders.clone() } else { other.clone() }]);
        blocked.spawn(async move {
            let consumer = Consumer { group: "g".into(), name: format!("c{name}") };
            let block = Duration::from_secs(60);
            let request = ReadGroupRequest { streams, consumer, count: 1, block };
            log.read_group(request).await.expect("the read answers")
        });
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    let woken = |name| {
        let stream = log.shared.find(name).expect("it is there");
        let stream = stream.lock();
        stream.waiters.woken()
    };
    log.append(frame(&orders, 1, 10)).await.expect("there is memory");
    assert_eq!((woken(&orders), woken(&other)), (1, 0));
    let first = blocked.join_next().await.expect("one returns").expect("it does not panic");
    assert_eq!(first[0].entries.len(), 1);
    let started = Instant::now();
    log.append(frame(&orders, 2, 10)).await.expect("there is memory");
    blocked.join_next().await.expect("one returns").expect("it does not panic");
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_woken_consumer_that_is_dropped_passes_the_entry_on() {
    let log = EmbeddedLog::new();
    let orders = stream("orders");
    let spawn = |name: &str| {
        let (log, streams) = (log.clone(), vec![orders.clone()]);
        let consumer = Consumer { group: "g".into(), name: name.into() };
        let block = Duration::from_secs(60);
        let request = ReadGroupRequest { streams, consumer, count: 1, block };
        tokio::spawn(async move { log.read_group(request).await.expect("the read answers") })
    };
    let first = spawn("first");
    tokio::time::sleep(Duration::from_millis(1)).await;
    let second = spawn("second");
    tokio::time::sleep(Duration::from_millis(1)).await;
    log.append(frame(&orders, 1, 10)).await.expect("there is memory");
    first.abort();
    let started = Instant::now();
    let found = second.await.expect("it does not panic");
    assert_eq!(found.len(), 1);
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[test]
fn threads_append_to_many_streams_at_once() {
    let log = EmbeddedLog::new();
    std::thread::scope(|scope| {
        for lane in 0..8u32 {
            let log = log.clone();
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build();
                runtime.expect("a runtime starts").block_on(async {
                    for first in 1..=200 {
                        let own = frame(&stream(&format!("s{lane}")), first, 10);
                        let shared = AppendRequest { lane, ..frame(&stream("shared"), first, 10) };
                        for request in [own, shared] {
                            let stored = log.append(request).await;
                            assert!(matches!(stored, Ok(Append::Stored(_))), "{stored:?}");
                        }
                    }
                });
            });
        }
    });
    let shared = log.shared.find(&stream("shared")).expect("it is there");
    assert_eq!(shared.lock().info().accounting.held, 1600);
}
