//! A consumer that comes to a long backlog: its memory stays flat, and it reads no more than it can
//! take.

use callboard::prelude::*;
use callboard_tests::{
    jobs::{End, Job},
    servers::wait_until,
    tier,
    worker::Narrow,
};
use tokio::time::{Instant, sleep};

use crate::{
    campaign::Stream,
    support::{Cluster, is_long, order},
};

/// Of the mailboxes of `Narrow`.
const CAPACITY: u64 = 100;
const INSTANCES: u64 = 2;
/// Messages that travel alone.
const ALONE: u64 = 2000;
/// Messages that are handled while a settle is on its way, for a machine that is busy with other tests.
/// On a paused clock `bus::receiving` shows the bound itself.
const UNSETTLED: u64 = 10 * CAPACITY * INSTANCES;
/// A busy runtime and its allocator take some.
const GROWTH_KIB_MAX: u64 = 24 * 1024;

fn field(info: &str, name: &str) -> u64 {
    let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.expect("it is there").trim().parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_backlog_is_worked_off_in_flat_memory_one_frame_at_a_time() {
    let total: u64 = if is_long() { 1_000_000 } else { 50_000 };
    let cluster = Cluster::start().await;
    let system = cluster.system("test").await;
    let definition = callboard::directory::ServiceDef::default();
    system.define("jobs", definition).await.expect("the servers run");
    let (jobs, stream): (ServiceRef<Narrow>, _) =
        (system.service("jobs"), Stream::of(&cluster, "jobs").await);
    let memory = async || {
        let info = cluster.redis.cli(&["INFO", "memory"]).await;
        field(&info.unwrap_or_else(|trouble| panic!("{trouble}")), "used_memory")
    };
    let empty = memory().await;
    // One after the other, so that each travels alone.
    for id in total..total + ALONE {
        jobs.tell(Job { id, micros: 0, end: End::Good }).await.expect("it runs");
    }
    let with_single = memory().await;
    let begun = Instant::now();
    for id in 0..total - 1 {
        jobs.tell(Job { id, micros: 0, end: End::Good }).buffered().await.expect("it runs");
    }
    let last = Job { id: total - 1, micros: 0, end: End::Good };
    jobs.tell(last).await.expect("it runs");
    let (stored, full) = (begun.elapsed(), memory().await);
    let length = stream.info().await.expect("it exists").length - ALONE;

    let mut worker = cluster.worker("w1").await;
    order(&mut worker, &format!("serve-narrow jobs {INSTANCES}")).await;
    let per_frame = total / length;
    let incarnation = order(&mut worker, "incarnation").await.parse().expect("an incarnation");
    let (mut sizes, mut between_max) = (Vec::new(), 0);
    let begun = Instant::now();
    wait_until("all is done", Duration::from_secs(1200), async || {
        // The first frame is partly done, the last one partly given out: what lies between them is
        // in mailboxes, or waits to be settled.
        let frames = stream.pending_of(incarnation).await;
        let between = frames.get(1..frames.len().saturating_sub(1)).unwrap_or_default();
        between_max = between_max.max(between.iter().sum());
        sizes.push(worker.resident_kib());
        sleep(Duration::from_millis(if is_long() { 200 } else { 20 })).await;
        stream.info().await.expect("it exists").accounting.handled == total + ALONE
    })
    .await
    .unwrap_or_else(|trouble| panic!("{trouble}"));
    let worked_off = begun.elapsed();
    // From where the mailboxes are full for the first time.
    let settled = sizes.get(sizes.len() / 10).copied().expect("it was sampled");
    let largest = sizes.iter().copied().max().expect("it was sampled");
    let figures = format!(
        "{total} messages in {length} frames, {per_frame} in each: stored in {stored:.1?}, {} bytes \
         of Redis's memory for one, {} for one alone in its frame; worked off in {worked_off:.1?}; the consumer had {settled} KiB \
         after a tenth of the time and {largest} KiB at most; at most {between_max} messages in frames \
         between the first and the last in hand",
        full.saturating_sub(with_single) / total,
        with_single.saturating_sub(empty) / ALONE,
    );
    println!("{figures}");
    tier::record_figure("A backlog", &format!("{figures}."));
    assert!(between_max <= CAPACITY * INSTANCES + UNSETTLED, "{figures}");
    assert!(largest.saturating_sub(settled) < GROWTH_KIB_MAX, "{figures}");
    stream.all_add_up().await;
    system.shutdown().await.expect("the servers run");
}
