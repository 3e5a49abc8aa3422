//! The same worlds on a real Redis, which is killed, left without memory, and cut off its end.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use callboard::log::{
    EntryId, LogError, MessageLog, RedisLog, RedisOptions, StreamKind, StreamName,
};
use callboard_tests::{
    servers::{Persistence, RedisServer, RedisSetup},
    tier,
};
use tokio::time::Instant;

use super::{
    keyed::{self, Care},
    meddle::Meddle,
    world::{Checked, World},
};

const STEPS: usize = 300;
/// A second of the paused worlds.
const TICK: Duration = Duration::from_millis(15);
/// Redis counts milliseconds.
const GRAIN: Duration = Duration::from_millis(3);
const PATIENCE: Duration = Duration::from_secs(30);

struct OnRedis {
    server: RedisServer,
    log: RedisLog,
}

impl OnRedis {
    async fn config(&self, setting: &str, value: &str) {
        let answer = self.server.cli(&["CONFIG", "SET", setting, value]).await;
        assert_eq!(answer.expect("it runs"), "OK");
    }

    /// Until each of the log's connections is one to the server that runs now.
    async fn reconnected(&self) {
        let stream = StreamName::new(StreamKind::Service, "cb:nobody:{s:none:0}");
        let until = Instant::now() + PATIENCE;
        let reads = [(stream.clone(), EntryId::MIN)];
        let calls = async || {
            self.log.now_ms().await?;
            self.log.cancel_delayed(&stream, "none").await?;
            self.log.read_from(&reads, "nobody", 1, Duration::ZERO).await?;
            Ok::<_, LogError>(())
        };
        while let Err(error) = calls().await {
            assert!(Instant::now() < until, "{error}");
        }
    }
}

#[async_trait::async_trait(?Send)]
impl Meddle for OnRedis {
    async fn fill(&mut self, is_full: bool) {
        self.config("maxmemory", if is_full { "1" } else { "0" }).await;
    }

    async fn kill(&mut self) {
        self.server.restart().await;
        self.reconnected().await;
    }

    async fn cut(&mut self, bytes: u64) {
        self.server.restart_without_end(bytes).await;
        // Redis 7.0 would run what was cut off in the middle of a script at the next start.
        self.server.rewrite_file().await;
        self.reconnected().await;
    }
}

async fn run(seed: u64) -> Checked<BTreeMap<&'static str, u64>> {
    let setup = RedisSetup { persistence: Persistence::Always, ..RedisSetup::default() };
    let server = RedisServer::with(setup).await;
    let options = RedisOptions { claim_grace: Duration::ZERO, ..RedisOptions::new(server.url()) };
    let log = RedisLog::connect(options).await.expect("it runs");
    let mut world = World::new(Arc::new(log.clone()), seed);
    (world.tick, world.grain) = (TICK, GRAIN);
    world.meddler = Some(Box::new(OnRedis { server, log }));
    for step in 0..STEPS {
        world.step().await.map_err(|why| format!("seed {seed}, step {step}: {why}"))?;
    }
    world.fill(false).await;
    world.drain().await.map_err(|why| format!("seed {seed}, draining: {why}"))?;
    Ok(world.tally)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_interleavings_on_a_redis_that_is_killed_filled_and_cut_lose_nothing() {
    let (seed, mut tally) = (tier::seed(), BTreeMap::<_, u64>::new());
    let seeds = if tier::trials() >= 100 { u64::from(tier::trials()) } else { 2 };
    for seed in (0..seeds).map(|offset| seed.wrapping_add(offset)) {
        for (what, times) in run(seed).await.unwrap_or_else(|why| panic!("{why}")) {
            *tally.entry(what).or_default() += times;
        }
    }
    println!("{tally:#?}");
    let figures: Vec<_> = tally.iter().map(|(what, times)| format!("{what}: {times}")).collect();
    let figures = format!("{seeds} seeds of {STEPS} steps; {}.", figures.join(", "));
    tier::record_figure("The model of the log on Redis", &figures);
    if seeds >= 100 {
        let rare: Vec<_> = tally.iter().filter(|(_, times)| **times < 20).collect();
        assert!(tally.len() == 20 && rare.is_empty(), "too little happened: {tally:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_that_change_leave_a_prefix_of_each_key_on_redis() {
    let server = RedisServer::start().await;
    let log = RedisLog::connect(RedisOptions::new(server.url())).await.expect("it runs");
    let (log, seed): (Arc<dyn MessageLog>, _) = (Arc::new(log), tier::seed());
    let seeds = if tier::trials() >= 100 { 200 } else { 3 };
    for seed in (0..seeds).map(|offset| seed.wrapping_add(offset)) {
        keyed::run(log.clone(), seed, Care::All).await.unwrap_or_else(|why| panic!("{why}"));
    }
}
