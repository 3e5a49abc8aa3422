//! Processes that leave in order, again and again, under load.

use callboard::prelude::*;
use callboard_tests::{tier, worker::WorkerProcess};
use tokio::time::Instant;

use crate::{
    load::Load,
    support::{Cluster, ROWS, gone_from_all, is_long, order, row, sees},
};

/// Who leaves in order is gone from every resolver within this, at the 99th percentile.
const VISIBLE_P99: Duration = Duration::from_millis(200);
/// Once, on a machine that is busy with other tests.
const VISIBLE_ONCE: Duration = Duration::from_secs(3);

/// Begins to leave, looks when the others see it, and waits for the end.
async fn leaves(
    (system, other): (&System, &mut WorkerProcess),
    worker: &mut WorkerProcess,
    node: &str,
    how: &str,
) -> Duration {
    let since = Instant::now();
    worker.send(how).expect("it runs");
    let gone = gone_from_all((system, other), ("jobs", node), since).await;
    worker.answer(how).await.unwrap_or_else(|trouble| panic!("{trouble}"));
    gone
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_in_order_fails_no_call_and_everybody_knows_at_once() {
    fastrand::seed(tier::seed());
    let cluster = Cluster::start().await;
    let system = cluster.system("test").await;
    // Looks on, and asks from a process of its own.
    let mut other = cluster.worker("other").await;
    let mut workers = Vec::new();
    for n in 0..3 {
        let mut worker = cluster.worker(&format!("w{n}")).await;
        order(&mut worker, "serve jobs 2").await;
        workers.push((format!("w{n}"), worker));
    }
    sees(&system, "jobs", 6).await;
    let load = Load::of(&system.service("jobs"));
    order(&mut other, "asks jobs").await;

    let rounds = if is_long() { 2 * tier::trials() } else { 4 };
    let (mut times, mut nodes) = (Vec::new(), 3);
    for round in 0..rounds {
        let at = fastrand::usize(..workers.len());
        let (node, worker) = &mut workers[at];
        if round % 2 == 0 {
            times.push(leaves((&system, &mut other), worker, node, "stop jobs").await);
        } else {
            times.push(leaves((&system, &mut other), worker, node, "shutdown").await);
            *node = format!("w{nodes}");
            *worker = cluster.worker(node).await;
            nodes += 1;
        }
        order(worker, "serve jobs 2").await;
        sees(&system, "jobs", 6).await;
    }

    let asked: u64 = order(&mut other, "asks end").await.parse().expect("a number");
    let (told, failed) = load.end().await;
    assert!(failed.is_empty(), "{} calls failed: {:?}", failed.len(), failed.first());
    assert!(asked > 200 && told > 200, "too little load: {asked} and {told}");
    let nodes: Vec<_> = (0..nodes).map(|n| format!("w{n}")).collect();
    let nodes: Vec<_> = nodes.iter().map(String::as_str).collect();
    let handled = cluster.all_handled(&nodes, told).await;
    assert!(handled.values().all(|times| *times == 1), "nothing was handled twice");

    let figures = row("order to leave until gone from the last resolver", &mut times);
    println!("{figures}; {told} told and {asked} asked by another process, none failed");
    let text =
        format!("{ROWS}\n{figures}\n\n{told} tells and {asked} asks under way; none failed.");
    tier::record_figure("Leaving in order", &text);
    if is_long() {
        let p99 = times[(times.len() * 99).div_ceil(100) - 1];
        assert!(p99 <= VISIBLE_P99, "{p99:?}");
    }
    assert!(times.iter().all(|time| *time <= VISIBLE_ONCE), "{times:?}");
    system.shutdown().await.expect("the servers run");
}
