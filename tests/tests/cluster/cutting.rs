//! A network that cuts connections to Redis amid a write, lets them go silent, or holds them up.

use callboard::prelude::*;
use callboard_tests::{
    jobs::Told,
    servers::{BadNetwork, Persistence, wait_until},
    tier,
};
use tokio::time::{Instant, sleep};

use crate::{
    campaign::Stream,
    support::{Cluster, PATIENCE, is_long, order, worker_sees},
};

const CONSUMERS: [&str; 2] = ["c1", "c2"];
const PRODUCERS: [&str; 2] = ["p1", "p2"];
/// Jobs for one producer.
const IDS: u64 = 1_000_000;
/// Between two faults of one connection, on average.
const EVERY_BYTES: u64 = 30_000;

async fn run(seed: u64, bad_for: Duration) -> String {
    let mut cluster = Cluster::with(Persistence::None).await;
    let network = BadNetwork::before(cluster.redis.port(), seed, EVERY_BYTES).await;
    let stream = Stream::of(&cluster, "jobs").await;
    // Workers start over the good line: a start that fails is no news.
    let start = Instant::now();
    cluster.redis_url = Some(format!("redis://{}", network.address()));
    let mut workers = Vec::new();
    for node in CONSUMERS.into_iter().chain(PRODUCERS) {
        let until = Instant::now() + PATIENCE;
        workers.push(loop {
            match callboard_tests::worker::WorkerProcess::start(cluster.setup(node)).await {
                Ok(worker) => break worker,
                Err(trouble) => assert!(Instant::now() < until, "{trouble}"),
            }
        });
    }
    let (consumers, producers) = workers.split_at_mut(2);
    for worker in consumers.iter_mut() {
        // A group that can't be made in a few attempts fails the order, not the process.
        while let Err(trouble) = worker.order("serve jobs 2").await {
            assert!(start.elapsed() < PATIENCE, "{trouble}");
        }
    }
    for (first, worker) in (0..).zip(producers.iter_mut()) {
        worker_sees(worker, "jobs", 1).await;
        order(worker, &format!("produce jobs {}", first * IDS)).await;
    }
    sleep(bad_for).await;
    network.heal();
    let mut told = Told::default();
    for (node, worker) in PRODUCERS.into_iter().zip(producers.iter_mut()) {
        // An ask that did not end would hold this up.
        let counts = order(worker, "produce end").await;
        assert_eq!(counts, "0 0", "no tell fails, and nothing is said to be lost");
        told.add(&cluster.setup(node).told());
    }
    wait_until("all is done", PATIENCE * 2, async || {
        sleep(Duration::from_millis(100)).await;
        stream.is_done().await
    })
    .await
    .unwrap_or_else(|trouble| panic!("{trouble}"));
    let (handled, letters) = (cluster.handled(&CONSUMERS), stream.letters().await);
    let is_ended = |id: &&u64| handled.contains_key(id) || letters.contains_key(id);
    let lost: Vec<_> = told.acknowledged.iter().filter(|id| !is_ended(id)).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    let twice: Vec<_> = handled.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "nobody died, and yet handled twice: {twice:?}");
    assert_eq!(told.acknowledged, told.tried, "each tell was acknowledged in the end");
    let appended = stream.info().await.expect("it exists").accounting.appended;
    assert_eq!(appended, told.tried.len() as u64, "each tell is stored once");
    stream.all_add_up().await;
    let (answered, unanswered) = told.asked;
    assert!(answered > 0, "no ask came through");
    format!(
        "{:?}: {} tells, {answered} asks answered and {unanswered} that ended at their deadline",
        network.befallen(),
        told.acknowledged.len()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_at_random_bytes_lose_and_double_nothing() {
    let (trials, bad_for) = if is_long() { (20, 15) } else { (1, 5) };
    let seed = tier::seed();
    let mut figures = String::new();
    for trial in 0..trials {
        let outcome = run(seed.wrapping_add(trial), Duration::from_secs(bad_for)).await;
        println!("trial {trial}: {outcome}");
        figures.push_str(&format!("- {outcome}\n"));
    }
    tier::record_figure("Connections to Redis cut at random bytes", &figures);
}
