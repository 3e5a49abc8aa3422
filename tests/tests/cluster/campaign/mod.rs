//! Kills at random moments under load: consumers, producers, Redis. At the end each message that was
//! acknowledged was handled or lies in the dead letters, none was handled twice that was not undone at
//! the end of its process, and the log's account adds up.

mod check;
mod stream;

use std::collections::BTreeMap;

use callboard::{Incarnation, prelude::*};
use callboard_tests::{
    jobs::Told,
    servers::{Persistence, wait_until},
    tier,
    worker::WorkerProcess,
};
use tokio::time::{Instant, sleep};

pub use self::stream::Stream;

use self::check::Verdict;
use crate::support::{Cluster, is_long, order, worker_sees};

const CONSUMERS: usize = 3;
const PRODUCERS: usize = 2;
/// Numbers of jobs for one producer.
const IDS: u64 = 1_000_000;
/// What a killed process had sent may be on its way to Redis still.
const ARRIVED: Duration = Duration::from_millis(200);
/// How long until all is done after the load has ended: what was left is tried one by one.
const DRAINED_WITHIN: Duration = Duration::from_secs(600);
/// In a short run, in place of the usual time of grace: Redis is down for less than a second, and
/// owners touch what they hold every five.
const SHORT_GRACE: Duration = Duration::from_secs(6);

/// How many kills of what.
#[derive(Debug, Clone, Copy)]
struct Plan {
    consumers: usize,
    redis: usize,
    producers: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kill {
    Consumer,
    Redis,
    /// One right after the other.
    Both,
    Producer,
}

impl Plan {
    /// In a random order.
    fn shuffled(self) -> Vec<Kill> {
        let both = self.redis.min(self.consumers) / 5;
        let mut kills = vec![Kill::Both; both];
        kills.extend(vec![Kill::Consumer; self.consumers - both]);
        kills.extend(vec![Kill::Redis; self.redis - both]);
        kills.extend(vec![Kill::Producer; self.producers]);
        fastrand::shuffle(&mut kills);
        kills
    }
}

struct Campaign {
    cluster: Cluster,
    stream: Stream,
    consumers: Vec<(WorkerProcess, Incarnation)>,
    producers: Vec<WorkerProcess>,
    /// All that there ever were.
    consumer_nodes: Vec<String>,
    producer_nodes: Vec<String>,
    /// How often each job was undone when a process that had it was killed.
    undone: BTreeMap<u64, u32>,
}

impl Campaign {
    async fn begin(persistence: Persistence) -> Self {
        let mut cluster = Cluster::with(persistence).await;
        cluster.claim_grace = (!is_long()).then_some(SHORT_GRACE);
        let stream = Stream::of(&cluster, "jobs").await;
        let mut campaign = Self {
            cluster,
            stream,
            consumers: Vec::new(),
            producers: Vec::new(),
            consumer_nodes: Vec::new(),
            producer_nodes: Vec::new(),
            undone: BTreeMap::new(),
        };
        for _ in 0..CONSUMERS {
            campaign.add_consumer().await;
        }
        for _ in 0..PRODUCERS {
            campaign.add_producer().await;
        }
        campaign
    }

    async fn add_consumer(&mut self) {
        let node = format!("consumer-{}", self.consumer_nodes.len());
        let mut worker = self.cluster.worker(&node).await;
        let incarnation = order(&mut worker, "incarnation").await.parse().expect("an incarnation");
        order(&mut worker, "serve jobs 2").await;
        self.consumers.push((worker, incarnation));
        self.consumer_nodes.push(node);
    }

    async fn add_producer(&mut self) {
        let number = self.producer_nodes.len() as u64;
        let node = format!("producer-{number}");
        let mut worker = self.cluster.worker(&node).await;
        worker_sees(&mut worker, "jobs", 1).await;
        order(&mut worker, &format!("produce jobs {}", number * IDS)).await;
        self.producers.push(worker);
        self.producer_nodes.push(node);
    }

    async fn carry_out(&mut self, kill: Kill) {
        match kill {
            Kill::Consumer => self.kill_consumer(false).await,
            Kill::Both => self.kill_consumer(true).await,
            Kill::Redis => self.cluster.redis.restart().await,
            Kill::Producer => {
                let at = fastrand::usize(..self.producers.len());
                self.producers.swap_remove(at).kill();
                self.add_producer().await;
            }
        }
    }

    async fn kill_consumer(&mut self, redis_too: bool) {
        let at = fastrand::usize(..self.consumers.len());
        let (mut worker, incarnation) = self.consumers.swap_remove(at);
        worker.kill();
        if redis_too {
            sleep(Duration::from_millis(fastrand::u64(..20))).await;
            self.cluster.redis.restart().await;
        }
        sleep(ARRIVED).await;
        for id in self.stream.undone_of(incarnation).await {
            *self.undone.entry(id).or_default() += 1;
        }
        self.add_consumer().await;
    }

    /// Ends the load, lets all that is there be done, and looks.
    async fn end(mut self) -> Verdict {
        for worker in &mut self.producers {
            let counts = order(worker, "produce end").await;
            assert!(counts.starts_with("0 "), "tells wait for Redis: {counts}");
        }
        wait_until("all is done", DRAINED_WITHIN, async || {
            sleep(Duration::from_millis(100)).await;
            self.stream.is_done().await
        })
        .await
        .unwrap_or_else(|trouble| panic!("{trouble}"));
        let mut told = Told::default();
        for node in &self.producer_nodes {
            told.add(&self.cluster.setup(node).told());
        }
        let nodes: Vec<&str> = self.consumer_nodes.iter().map(String::as_str).collect();
        let handled = self.cluster.handled(&nodes);
        Verdict::of(&told, &handled, &self.undone, &self.stream).await
    }
}

async fn run(persistence: Persistence, plan: Plan) -> Verdict {
    fastrand::seed(tier::seed());
    let begun = Instant::now();
    let mut campaign = Campaign::begin(persistence).await;
    for kill in plan.shuffled() {
        sleep(Duration::from_millis(fastrand::u64(200..1200))).await;
        campaign.carry_out(kill).await;
    }
    sleep(Duration::from_millis(500)).await;
    let verdict = campaign.end().await;
    println!("{plan:?}, {persistence:?}, {:?}: {verdict}", begun.elapsed());
    verdict
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_under_load_lose_no_acknowledged_message_and_double_only_what_was_undone() {
    let plan = if is_long() {
        Plan { consumers: 100, redis: 30, producers: 20 }
    } else {
        Plan { consumers: 2, redis: 1, producers: 1 }
    };
    let verdict = run(Persistence::Always, plan).await;
    tier::record_figure("Kills under load, appendfsync always", &format!("{plan:?}: {verdict}."));
    verdict.assert_nothing_is_wrong();
}

/// What `everysec` loses by a kill is what waited for a running fsync. It is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_of_a_redis_that_syncs_every_second_are_counted() {
    let plan = if is_long() {
        Plan { consumers: 10, redis: 30, producers: 5 }
    } else {
        Plan { consumers: 1, redis: 1, producers: 0 }
    };
    let verdict = run(Persistence::EverySecond, plan).await;
    tier::record_figure("Kills under load, appendfsync everysec", &format!("{plan:?}: {verdict}."));
    verdict.assert_the_account_adds_up();
}
