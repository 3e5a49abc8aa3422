//! The suite on a real Redis, and what is true of that adapter alone.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use callboard::{
    BoxError, Incarnation,
    log::{
        Append, AppendRequest, BuryEntryRequest, Consumer, LogError, MessageLog, Owner, Ownership,
        ReadGroupRequest, RedisLog, RedisOptions, StreamKind, StreamName,
    },
    testing::log_suite::{self, GraceState, LogFactory, Setup, Timing},
};
use callboard_tests::servers::{Persistence, RedisServer, RedisSetup};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{Instant, timeout},
};

/// Logs on one server; those of the case that limits the memory on another.
#[derive(Debug)]
struct OnRedis {
    server: RedisServer,
    limited: RedisServer,
}

impl OnRedis {
    async fn start() -> Self {
        let (server, limited) = (RedisServer::start().await, RedisServer::start().await);
        for server in [&server, &limited] {
            let answer = server.cli(&user_of_the_book()).await.expect("it runs");
            assert_eq!(answer, "OK");
        }
        Self { server, limited }
    }
}

/// The command by which the book makes the user of callboard: it has what callboard needs, and the
/// suite sees whether that is all.
fn user_of_the_book() -> Vec<String> {
    let page = include_str!("../../../../book/src/running-redis.md");
    let line = page.lines().find_map(|line| line.strip_prefix("redis-cli ACL SETUSER callboard "));
    let words = line.expect("the book makes a user").split(' ');
    let words = words.map(|word| word.trim_matches('\'').to_owned());
    ["ACL", "SETUSER", "callboard"].map(String::from).into_iter().chain(words).collect()
}

fn as_user(server: &RedisServer) -> String {
    format!("redis://callboard:secret@127.0.0.1:{}", server.port())
}

#[async_trait::async_trait]
impl LogFactory for OnRedis {
    async fn make(&self, setup: Setup) -> Result<Arc<dyn MessageLog>, BoxError> {
        let mut url = as_user(&self.server);
        if let Some(bytes) = setup.memory_bytes_max {
            limit_memory(&self.limited, bytes).await?;
            url = as_user(&self.limited);
        }
        let claim_grace = match setup.grace {
            GraceState::Over => Duration::ZERO,
            GraceState::Running => Duration::from_secs(3600),
        };
        let options = RedisOptions { claim_grace, ..RedisOptions::new(url) };
        Ok(Arc::new(RedisLog::connect(options).await?))
    }

    fn timing(&self) -> Timing {
        Timing { tick: Duration::from_millis(50), patience: Duration::from_secs(5) }
    }
}

/// So many bytes more than it takes now.
async fn limit_memory(server: &RedisServer, bytes: u64) -> Result<(), BoxError> {
    let memory = server.cli(&["INFO", "memory"].map(String::from)).await?;
    let used = memory.lines().find_map(|line| line.strip_prefix("used_memory:"));
    let used: u64 = used.ok_or("no used_memory")?.trim().parse()?;
    let command = format!("CONFIG SET maxmemory {}", used + bytes);
    let command: Vec<_> = command.split(' ').map(String::from).collect();
    let answer = server.cli(&command).await?;
    if answer == "OK" { Ok(()) } else { Err(answer.into()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_passes_the_suite() {
    let factory = Arc::new(OnRedis::start().await);
    let mut running = JoinSet::new();
    for case in log_suite::cases() {
        let factory = Arc::clone(&factory);
        running.spawn(async move { (case.name, log_suite::run_case(&*factory, case.name).await) });
    }
    let verdicts = running.join_all().await;
    let failed: Vec<_> = verdicts.iter().filter(|(_, verdict)| verdict.is_err()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

async fn connect(server: &RedisServer) -> RedisLog {
    RedisLog::connect(RedisOptions::new(server.url())).await.expect("a Redis that just started")
}

fn stream(label: &str) -> StreamName {
    StreamName::new(StreamKind::Service, format!("cb:own:{{s:{label}:0}}"))
}

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

fn blocked(stream: &StreamName, block: Duration) -> ReadGroupRequest {
    let consumer = Consumer { group: "g".into(), name: "a".into() };
    ReadGroupRequest { streams: vec![stream.clone()], consumer, count: 10, block }
}

async fn recovers(log: &RedisLog, stream: &StreamName, first: u64) -> Append {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        match log.append(frame(stream, first)).await {
            Ok(answer) => return answer,
            Err(error) => {
                assert!(matches!(error, LogError::Unavailable { .. }), "{error}");
                assert!(Instant::now() < until, "it does not recover: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Calls fail in a bounded time, with a text, and go on by themselves once the server does.
#[tokio::test]
async fn a_stopped_redis_holds_no_call_and_no_read() {
    let server = RedisServer::start().await;
    let (log, stream) = (connect(&server).await, stream("orders"));
    log.append(frame(&stream, 1)).await.expect("it runs");
    let none = log.read_group(blocked(&stream, Duration::ZERO)).await.expect("it runs");
    assert_eq!(none[0].entries.len(), 1);
    let reading = log.read_group(blocked(&stream, Duration::from_secs(60)));
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.stop();
        log.append(frame(&stream, 2)).await
    };
    let before = Instant::now();
    let (read, appended) = tokio::join!(reading, stopping);
    for error in [read.map(drop).expect_err("stopped"), appended.map(drop).expect_err("stopped")] {
        assert!(matches!(error, LogError::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("no answer within"), "{error}");
    }
    assert!(before.elapsed() < Duration::from_secs(20), "{:?}", before.elapsed());
    server.cont();
    // The call that had no answer was made all the same, once.
    let answer = recovers(&log, &stream, 2).await;
    assert!(matches!(answer, Append::Stored(_) | Append::Duplicate { last: 2 }), "{answer:?}");
    assert_eq!(log.info(&stream).await.expect("it runs").expect("it exists").length, 2);
}

#[tokio::test]
async fn a_killed_redis_ends_reads_and_is_found_again_with_what_it_acknowledged() {
    let persistence = Persistence::Always;
    let mut server = RedisServer::with(RedisSetup { persistence, ..RedisSetup::default() }).await;
    let (log, stream) = (connect(&server).await, stream("orders"));
    let first = log.append(frame(&stream, 1)).await.expect("it runs");
    log.read_group(blocked(&stream, Duration::ZERO)).await.expect("it runs");
    let reading = log.read_group(blocked(&stream, Duration::from_secs(60)));
    let killing = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.kill();
    };
    let before = Instant::now();
    let (read, ()) = tokio::join!(reading, killing);
    assert!(matches!(read, Err(LogError::Unavailable { .. })), "{read:?}");
    assert!(before.elapsed() < Duration::from_secs(10), "a closed connection is noticed at once");
    log.append(frame(&stream, 2)).await.expect_err("it is gone");
    server.restart().await;
    // A server that was started anew has forgotten the scripts too.
    assert_eq!(recovers(&log, &stream, 1).await, Append::Duplicate { last: 1 });
    assert!(matches!(recovers(&log, &stream, 2).await, Append::Stored(_)));
    let consumer = blocked(&stream, Duration::ZERO).consumer;
    // Calls of another kind have another connection, which finds out now that it is closed.
    log.pending_of(&stream, &consumer, 10).await.expect_err("the connection was closed");
    let pending = log.pending_of(&stream, &consumer, 10).await.expect("it runs");
    let ids: Vec<_> = pending.iter().map(|entry| Append::Stored(entry.id)).collect();
    assert_eq!(ids, [first], "what was given out is pending still");
}

/// Forwards connections to a server. Those that it has go silent when it is told so: nothing is closed,
/// nothing comes through, as when a network goes away.
struct Proxy {
    address: String,
    generation: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Proxy {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let (generation, seen) = watch::channel(0);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let mut seen = seen.clone();
                seen.mark_unchanged();
                connections.spawn(async move {
                    let far = TcpStream::connect(("127.0.0.1", port)).await;
                    let mut far = far.expect("the server runs");
                    let copied = tokio::io::copy_bidirectional(&mut near, &mut far);
                    tokio::select! {
                        _ = copied => {}
                        _ = seen.changed() => std::future::pending().await,
                    }
                });
            }
        });
        Self { address, generation, task }
    }

    fn silence(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Also when the caller's patience is shorter than the adapter's.
#[tokio::test]
async fn a_connection_that_went_silent_is_replaced() {
    let server = RedisServer::start().await;
    let proxy = Proxy::to(server.port()).await;
    let call_timeout = Duration::from_millis(800);
    let url = format!("redis://{}", proxy.address);
    let options = RedisOptions { call_timeout, ..RedisOptions::new(url) };
    let (log, stream) = (RedisLog::connect(options).await.expect("it runs"), stream("orders"));
    for first in 1..4 {
        recovers(&log, &stream, first).await;
        proxy.silence();
        let patience = call_timeout.mul_f64(0.7);
        let silent = timeout(patience, log.append(frame(&stream, first + 1))).await;
        assert!(silent.is_err(), "nothing comes through: {silent:?}");
        let answer = timeout(patience, log.append(frame(&stream, first + 1))).await;
        let answer = answer.expect("another connection").expect("it runs");
        assert!(matches!(answer, Append::Stored(_)), "{answer:?}");
    }
}

#[tokio::test]
async fn scripts_that_were_flushed_are_loaded_again() {
    let server = RedisServer::start().await;
    let (log, stream) = (connect(&server).await, stream("orders"));
    for first in 1..4 {
        let answer = log.append(frame(&stream, first)).await.expect("it runs");
        assert!(matches!(answer, Append::Stored(_)), "{answer:?}");
        server.cli(&["SCRIPT", "FLUSH"]).await.expect("it runs");
    }
}

async fn refused(options: RedisOptions) -> String {
    let before = Instant::now();
    let error = RedisLog::connect(options).await.expect_err("no Redis that will do");
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
    let text = error.to_string();
    assert!(text.contains("CALLBOARD_REDIS"), "{text}");
    text
}

#[tokio::test]
async fn a_wrong_address_or_password_fails_in_seconds_with_the_address_and_the_settings_name() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = nobody.local_addr().expect("bound").to_string();
    drop(nobody);
    assert!(refused(RedisOptions::new(format!("redis://{address}"))).await.contains(&address));
    assert!(refused(RedisOptions::new("no address")).await.contains("redis://host:port"));

    let password = Some("open sesame".to_owned());
    let server = RedisServer::with(RedisSetup { password, ..RedisSetup::default() }).await;
    let place = format!("127.0.0.1:{}", server.port());
    for url in [format!("redis://{place}"), format!("redis://:wr0ng@{place}")] {
        let text = refused(RedisOptions::new(url)).await;
        assert!(text.contains(&place) && text.contains("password"), "{text}");
        assert!(!text.contains("wr0ng"), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_or_is_no_redis_fails_in_seconds() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("bound").to_string();
    let accepting = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            held.push(stream);
        }
    });
    assert!(refused(RedisOptions::new(format!("redis://{address}"))).await.contains(&address));
    accepting.abort();

    let other = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = other.local_addr().expect("bound").to_string();
    let answering = tokio::spawn(async move {
        while let Ok((stream, _)) = other.accept().await {
            stream.try_write(b"220 a mail server\r\n").ok();
        }
    });
    assert!(refused(RedisOptions::new(format!("redis://{address}"))).await.contains(&address));
    answering.abort();
}

/// What `redis-cli` can put where a stream is.
#[tokio::test]
async fn what_others_have_written_is_an_error_or_an_entry_that_can_be_buried() {
    let server = RedisServer::start().await;
    let (log, orders) = (connect(&server).await, stream("orders"));
    let none = log.read_group(blocked(&orders, Duration::ZERO)).await.expect("it runs");
    assert!(none.is_empty());
    let key = orders.to_string();
    server.cli(&["XADD", &key, "*", "greeting", "hello"]).await.expect("it runs");
    log.append(frame(&orders, 1)).await.expect("it runs");
    let read = log.read_group(blocked(&orders, Duration::ZERO)).await.expect("it runs");
    let entries = &read[0].entries;
    assert_eq!(&entries[0].frame[..], b"greeting hello ");
    assert_eq!(&entries[1].frame[..], b"one message");
    let owner = Owner::Consumer(blocked(&orders, Duration::ZERO).consumer);
    let letter = Bytes::from_static(b"a letter");
    let request = BuryEntryRequest { id: entries[0].id, letter, into: None };
    let answer = log.bury_entry(&orders, &owner, request).await.expect("it runs");
    assert_eq!(answer, Ownership::Done);
    let info = log.info(&orders).await.expect("it runs").expect("it exists");
    let accounting = info.accounting;
    accounting.check().unwrap();
    assert_eq!((info.dead_letters, info.length, accounting.held), (1, 1, 1));
    assert_eq!(accounting.frames_in - accounting.frames_out, info.length);

    let others = stream("others");
    server.cli(&["SET", &others.to_string(), "garbage"]).await.expect("it runs");
    let error = log.append(frame(&others, 1)).await.expect_err("it is no stream");
    assert!(matches!(error, LogError::Foreign { .. }), "{error}");
    let error = log.read_group(blocked(&others, Duration::ZERO)).await.expect_err("no stream");
    assert!(error.to_string().contains(&others.to_string()), "{error}");
    let third = stream("third");
    let counters = format!("{}:hw", third.unit());
    server.cli(&["HSET", &counters, "appended", "many"]).await.expect("it runs");
    let error = log.append(frame(&third, 1)).await.expect_err("it is no number");
    assert!(matches!(error, LogError::Foreign { .. }), "{error}");
}

/// Keeps the warnings and notes of a thread.
#[derive(Clone, Default)]
struct Said(Arc<parking_lot::Mutex<Vec<(tracing::Level, String)>>>);

struct Text(String);

impl tracing::field::Visit for Text {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl tracing::Subscriber for Said {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("callboard") && *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().push((*event.metadata().level(), text.0));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn a_start_says_what_this_redis_may_lose_and_what_to_do() {
    let said = Said::default();
    let _guard = tracing::subscriber::set_default(said.clone());
    let args = ["--maxmemory-policy", "allkeys-lru"].map(String::from).to_vec();
    let careless = RedisServer::with(RedisSetup { args, ..RedisSetup::default() }).await;
    connect(&careless).await;
    let lines = std::mem::take(&mut *said.0.lock());
    let warned: Vec<_> = lines.iter().filter(|line| line.0 == tracing::Level::WARN).collect();
    assert_eq!(warned.len(), 1, "{lines:?}");
    assert!(warned[0].1.contains("CONFIG SET maxmemory-policy noeviction"), "{lines:?}");
    let notes = lines.iter().filter(|line| line.0 == tracing::Level::INFO);
    assert!(notes.clone().any(|line| line.1.contains("appendonly yes")), "{lines:?}");

    let setup = RedisSetup {
        persistence: Persistence::Always,
        memory_bytes_max: Some(1 << 30),
        ..RedisSetup::default()
    };
    connect(&RedisServer::with(setup).await).await;
    assert_eq!(*said.0.lock(), [], "nothing is to be said of this one");
}
