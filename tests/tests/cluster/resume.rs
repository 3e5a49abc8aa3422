//! How soon what a dead process had in hand goes on, and that what a living one has does not.

use callboard::prelude::*;
use callboard_tests::{
    jobs::{End, Job},
    servers::wait_until,
    tier,
    worker::{Put, Worker},
};
use tokio::time::{Instant, sleep};

use crate::{
    campaign::Stream,
    support::{Cluster, PATIENCE, ROWS, is_long, order, row, sees},
};

/// The lease's time and eight seconds.
const RESUMED_WITHIN: Duration = Duration::from_secs(5 + 8);
/// On a machine that is busy with other tests.
const MARGIN: Duration = Duration::from_secs(7);
/// Longer than any trial.
const LONG_US: u64 = 300_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_had_in_hand_goes_on_within_its_lease_and_eight_seconds() {
    fastrand::seed(tier::seed());
    let mut cluster = Cluster::start().await;
    // Redis has just started, and nobody is to be mistaken for dead here.
    cluster.claim_grace = Some(Duration::ZERO);
    let system = cluster.system("test").await;
    let mut times = Vec::new();
    for trial in 0..tier::trials().div_ceil(4).min(if is_long() { 25 } else { 1 }) {
        let (service, node) = (format!("jobs-{trial}"), format!("victim-{trial}"));
        let mut victim = cluster.worker(&node).await;
        order(&mut victim, &format!("serve {service} 1")).await;
        sees(&system, &service, 1).await;
        let jobs: ServiceRef<Worker> = system.service(&*service);
        let put = Put { id: u64::from(trial), micros: LONG_US };
        jobs.tell(put).await.expect("it runs");
        wait_until("it is in hand", PATIENCE, async || !victim.handled().in_hand.is_empty())
            .await
            .unwrap_or_else(|trouble| panic!("{trouble}"));
        let heir_node = format!("heir-{trial}");
        let mut heir = cluster.worker(&heir_node).await;
        order(&mut heir, &format!("serve {service} 1")).await;
        // Anywhere between two touches and two renewals of the lease.
        let from_ms = if is_long() { 5_000 } else { 500 };
        sleep(Duration::from_millis(from_ms + fastrand::u64(..from_ms))).await;
        victim.kill();
        let since = Instant::now();
        wait_until("it goes on", PATIENCE, async || !heir.handled().in_hand.is_empty())
            .await
            .unwrap_or_else(|trouble| panic!("{trouble}"));
        times.push(since.elapsed());
        println!("{node}: {:?}", since.elapsed());
        heir.kill();
    }
    let figures = row("SIGKILL to the next handler, lease 5 s", &mut times);
    println!("{figures}");
    tier::record_figure("What the dead had in hand", &format!("{ROWS}\n{figures}"));
    let limit = RESUMED_WITHIN + if is_long() { Duration::ZERO } else { MARGIN };
    assert!(times.iter().all(|time| *time <= limit), "{times:?}");
    system.shutdown().await.expect("the servers run");
}

/// With real time: on a paused clock `bus::recovery` shows the same in each run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_of_minutes_runs_once_while_its_node_lives_with_or_without_etcd() {
    // Longer than a lease and than the time after which entries of the gone are taken, or minutes.
    let (handler_s, before_s, outage_s) = if is_long() { (50, 20, 30) } else { (9, 2, 8) };
    let mut cluster = Cluster::start().await;
    cluster.claim_grace = Some(Duration::ZERO);
    let system = cluster.system("test").await;
    let mut owner = cluster.worker("owner").await;
    order(&mut owner, "serve jobs 1").await;
    sees(&system, "jobs", 1).await;
    let jobs: ServiceRef<Worker> = system.service("jobs");
    for id in 0..3 {
        jobs.tell(Put { id, micros: handler_s * 1_000_000 }).await.expect("it runs");
    }
    wait_until("it is in hand", PATIENCE, async || !owner.handled().in_hand.is_empty())
        .await
        .unwrap_or_else(|trouble| panic!("{trouble}"));
    let mut other = cluster.worker("other").await;
    order(&mut other, "serve jobs 1").await;
    sleep(Duration::from_secs(before_s)).await;
    // All leases are lost meanwhile.
    cluster.etcd.stop();
    sleep(Duration::from_secs(outage_s)).await;
    cluster.etcd.cont();
    wait_until("all are handled", Duration::from_secs(200), async || {
        sleep(Duration::from_millis(100)).await;
        owner.handled().times.len() == 3
    })
    .await
    .unwrap_or_else(|trouble| panic!("{trouble}"));
    let handled = owner.handled();
    assert!(handled.begun.values().all(|times| *times == 1), "{handled:?}");
    assert!(other.handled().begun.is_empty(), "{:?}", other.handled());
    system.shutdown().await.expect("the servers run");
}

/// Five deaths take a minute: the directory has to miss each process first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_aborts_its_process_is_buried_alone_after_five_deaths() {
    const POISON: u64 = 17;
    let mut cluster = Cluster::start().await;
    cluster.claim_grace = Some(Duration::ZERO);
    let system = cluster.system("test").await;
    system.define("jobs", Default::default()).await.expect("the servers run");
    let (jobs, stream): (ServiceRef<Worker>, _) =
        (system.service("jobs"), Stream::of(&cluster, "jobs").await);
    // More than one frame, and several messages in each.
    let job = |id| {
        let end = if id == POISON { End::Aborts } else { End::Good };
        Job { id, micros: 0, end }
    };
    for id in 0..100 {
        jobs.tell(job(id)).buffered().await.expect("there is room");
    }
    sleep(Duration::from_millis(500)).await;
    for id in 100..200 {
        jobs.tell(job(id)).buffered().await.expect("there is room");
    }
    jobs.tell(job(200)).await.expect("it runs");
    let before = stream.info().await.expect("it exists");
    assert!((3..20).contains(&before.length), "{before:?}");
    let (mut deaths, mut nodes) = (0, Vec::new());
    while !stream.is_done().await {
        let node = format!("mortal-{}", nodes.len());
        let mut worker = cluster.worker(&node).await;
        // It may die before it has answered.
        worker.send("serve jobs 1").expect("it lives");
        nodes.push(node);
        wait_until("it dies or all is done", PATIENCE * 2, async || {
            sleep(Duration::from_millis(50)).await;
            worker.has_ended() || stream.is_done().await
        })
        .await
        .unwrap_or_else(|trouble| panic!("{trouble}"));
        deaths += u32::from(worker.has_ended());
        assert!(deaths < 8, "it goes on killing");
    }
    assert_eq!(deaths, 5);
    let letters = stream.letters().await;
    assert_eq!(letters.keys().collect::<Vec<_>>(), [&POISON]);
    assert!(letters[&POISON].contains("its process ended"), "{letters:?}");
    let nodes: Vec<_> = nodes.iter().map(String::as_str).collect();
    let handled = cluster.handled(&nodes);
    assert_eq!(handled.len(), 200);
    let twice = handled.values().filter(|times| **times > 1).count();
    println!("{twice} handled twice over {deaths} deaths");
    stream.all_add_up().await;
    system.shutdown().await.expect("the servers run");
}
