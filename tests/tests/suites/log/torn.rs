//! An append-only file that ends in the middle of a script, as a power cut may leave it.

use std::time::Duration;

use bytes::Bytes;
use callboard::{
    Incarnation,
    log::{
        Append, AppendRequest, MessageLog, RedisLog, RedisOptions, StreamInfo, StreamKind,
        StreamName,
    },
};
use callboard_tests::servers::{Persistence, RedisServer, RedisSetup};

/// More than one append writes.
const CUTS: [u64; 6] = [1, 7, 40, 90, 150, 220];

fn frame(stream: &StreamName, first: u64) -> AppendRequest {
    AppendRequest {
        stream: stream.clone(),
        producer: Incarnation::from_u128(7),
        lane: 1,
        first,
        count: 1,
        frame: Bytes::from_static(b"one message"),
        must_exist: false,
        backlog_max: None,
        dedup: Vec::new(),
    }
}

async fn connect(server: &RedisServer) -> RedisLog {
    let options = RedisOptions {
        connect_timeout: Duration::from_secs(20),
        ..RedisOptions::new(server.url())
    };
    RedisLog::connect(options).await.expect("a Redis that just started")
}

async fn info(server: &RedisServer, stream: &StreamName) -> StreamInfo {
    connect(server).await.info(stream).await.expect("it runs").expect("it exists")
}

/// Cut off its end and started: what it has then, and after one more append and a restart.
async fn cut(bytes: u64, cured: bool) -> (StreamInfo, StreamInfo) {
    let setup = RedisSetup { persistence: Persistence::Always, ..RedisSetup::default() };
    let mut server = RedisServer::with(setup).await;
    let stream = StreamName::new(StreamKind::Service, "cb:torn:{s:orders:0}");
    let log = connect(&server).await;
    for first in 1..=3 {
        log.append(frame(&stream, first)).await.expect("it runs");
    }
    server.restart_without_end(bytes).await;
    if cured {
        server.rewrite_file().await;
    }
    let log = connect(&server).await;
    let left = info(&server, &stream).await;
    assert!(left.accounting.adds_up(), "{left:?}");
    let frames = left.accounting.frames_in - left.accounting.frames_out;
    assert_eq!(frames, left.length, "no script is done by half: {left:?}");
    let next = left.accounting.appended + 1;
    let answer = log.append(frame(&stream, next)).await.expect("it runs");
    assert!(matches!(answer, Append::Stored(_)), "{answer:?}");
    let before = info(&server, &stream).await;
    server.restart().await;
    (before, info(&server, &stream).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_ends_within_a_script_is_cured_by_writing_it_anew() {
    for bytes in CUTS {
        let (before, after) = cut(bytes, true).await;
        assert_eq!(before, after, "{bytes} bytes were cut off");
    }
}

/// Redis 7.0.15 runs what was left of the script when it starts for the second time: an entry that no
/// account knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_uncured_file_adds_is_noticed_by_the_quick_check() {
    let mut noticed = 0;
    for bytes in CUTS {
        let (before, after) = cut(bytes, false).await;
        let frames = after.accounting.frames_in - after.accounting.frames_out;
        let is_noticed = frames != after.length;
        assert!(before == after || is_noticed, "{bytes}: {before:?}, {after:?}");
        noticed += u32::from(is_noticed);
    }
    println!("{noticed} of {} had something added", CUTS.len());
}
