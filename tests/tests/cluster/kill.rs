//! A process that is killed while it has messages in hand.

use std::{collections::BTreeSet, time::Duration};

use callboard::{
    Incarnation, Name,
    bus::{codec, frame::Frame, keys},
    letters::Selection,
    log::{Consumer, MessageLog, Owner, RedisLog, RedisOptions},
    prelude::*,
};
use callboard_tests::{
    servers::wait_until,
    tier,
    worker::{Crash, Put, Worker},
};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::support::{Cluster, PATIENCE, order, sees};

const TELLS: u64 = 10_000;

/// Tells all of them, with so many on their way at a time.
async fn tell_all(service: &ServiceRef<Worker>, ids: std::ops::Range<u64>, micros: u64) {
    stream::iter(ids)
        .map(|id| service.tell(Put { id, micros }).into_future())
        .buffered(64)
        .try_collect::<Vec<()>>()
        .await
        .expect("no tell fails");
}

/// What of a service's stream lies with this consumer and is not recorded as done.
async fn undone_of(cluster: &Cluster, service: &str, consumer: Incarnation) -> BTreeSet<u64> {
    let log = RedisLog::connect(RedisOptions::new(cluster.redis.url())).await.expect("it runs");
    let name = |text: &str| Name::new(text).expect("a name");
    let stream = keys::service(&name(&cluster.name), &name(service), 0);
    let info = log.info(&stream).await.expect("it runs").expect("it exists");
    let group = info.groups.first().expect("it is read by a group").name.clone();
    let consumer = Consumer { group, name: consumer.to_string() };
    let pending = log.pending_of(&stream, &consumer, 10_000).await.expect("it runs");
    let ids: Vec<_> = pending.iter().map(|entry| entry.id).collect();
    let owner = Owner::Consumer(consumer);
    let recorded = log.recorded(&stream, &owner, &ids).await.expect("it runs");
    let mut undone = BTreeSet::new();
    for (entry, recorded) in pending.into_iter().zip(recorded) {
        let done = recorded.expect("the entry is there").done;
        let frame = Frame::parse(entry.frame).expect("a good frame");
        for index in (0..frame.count()).filter(|index| !done.contains(*index)) {
            let (message, body) = frame.message(index).expect("within the count");
            let put: Put = codec::decode(message.codec, &body).expect("a good body");
            undone.insert(put.id);
        }
    }
    undone
}

/// Kills one of three workers in the middle. False when it had nothing in hand.
async fn kill_one_of_three(cluster: &mut Cluster, trial: u32) -> bool {
    cluster.rename(format!("kill-{trial}"));
    let system = cluster.system("test").await;
    let nodes = ["a", "b", "c"].map(|letter| format!("kill-{trial}{letter}"));
    let nodes = [&*nodes[0], &*nodes[1], &*nodes[2]];
    let mut workers = Vec::new();
    for node in nodes {
        let mut worker = cluster.worker(node).await;
        order(&mut worker, "serve jobs 2").await;
        workers.push(worker);
    }
    sees(&system, "jobs", 6).await;
    let service: ServiceRef<Worker> = system.service("jobs");
    let nodes_known = system.directory().nodes();
    let victim = nodes_known.iter().find(|node| node.node.as_str() == nodes[0]);
    let victim = victim.expect("it is registered").incarnation;

    let kill_at = fastrand::usize(200..2000);
    let telling = tell_all(&service, 0..TELLS, 1000);
    let killing = async {
        let enough = async || workers[0].handled().times.len() >= kill_at;
        wait_until("enough handled", PATIENCE, enough).await.expect("it gets its part");
        workers[0].kill();
        // What it had sent may be on its way to Redis still.
        tokio::time::sleep(Duration::from_millis(200)).await;
        undone_of(cluster, "jobs", victim).await
    };
    let ((), undone) = tokio::join!(telling, killing);

    let handled = cluster.all_handled(&nodes, TELLS as usize).await;
    let killed = workers[0].handled();
    let had_in_hand = !undone.is_empty();
    println!(
        "trial {trial}: killed after {} were handled, {} in hand, {} undone, {} handled twice",
        killed.times.len(),
        killed.in_hand.len(),
        undone.len(),
        handled.values().filter(|times| **times > 1).count()
    );
    for (id, times) in &handled {
        assert!(*times == 1 || undone.contains(id), "{id} was done, and handled {times} times");
        assert!(*times <= 2, "{id} was handled {times} times");
    }
    workers.clear();
    system.shutdown().await.expect("the servers run");
    had_in_hand
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_worker_had_in_hand_is_handled_by_the_others() {
    fastrand::seed(tier::seed());
    let mut cluster = Cluster::start().await;
    cluster.grace_over().await;
    let (mut counted, mut tried) = (0, 0);
    while counted < tier::trials().div_ceil(2) {
        tried += 1;
        counted += u32::from(kill_one_of_three(&mut cluster, tried).await);
        assert!(tried < 10 + 2 * tier::trials(), "it has messages in hand too rarely: {counted}");
    }
    let figures = format!("{counted} kills of {tried} with messages in hand; none was lost.");
    tier::record_figure("Killed workers", &figures);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ask_to_a_killed_worker_ends_and_others_answer_again() {
    let cluster = Cluster::start().await;
    let system = cluster.system("test").await;
    let mut worker = cluster.worker("w1").await;
    order(&mut worker, "serve echo 1").await;
    sees(&system, "echo", 1).await;
    let service: ServiceRef<Worker> = system.service("echo");
    service.tell(Crash).await.expect("it is stored");
    let mut other = cluster.worker("w2").await;
    order(&mut other, "serve others 1").await;
    sees(&system, "others", 1).await;
    // It leaves the directory within its lease's time and a little more.
    sees(&system, "echo", 0).await;
    let ask = callboard_tests::worker::Echo { n: 1, micros: 0 };
    let error = service.ask(ask).timeout(Duration::from_secs(5)).await.expect_err("nobody serves");
    assert_eq!(error.delivery(), Delivery::NotDelivered, "{error}");
    let others: ServiceRef<Worker> = system.service("others");
    assert_eq!(others.ask(ask).await.expect("it lives"), (1, "w2".to_owned()));
    system.shutdown().await.expect("the servers run");
}

/// Kills a worker in the middle of its replay of dead letters, again and again; another one finishes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_in_the_middle_of_a_replay_loses_and_doubles_nothing() {
    const LETTERS: u64 = 2_000;
    fastrand::seed(tier::seed());
    let mut cluster = Cluster::start().await;
    let log = RedisLog::connect(RedisOptions::new(cluster.redis.url())).await.expect("it runs");
    let mut kills_in_the_middle = 0;
    for trial in 0..tier::trials().div_ceil(5) {
        cluster.rename(format!("replay-{trial}"));
        let system = cluster.system("test").await;
        let node = format!("handles-{trial}");
        let name = |text: &str| Name::new(text).expect("a name");
        let stream = keys::service(&name(&cluster.name), &name("jobs"), 0);
        let put = |id| Put { id, micros: 0 };
        callboard_tests::letters::bury(&log, &stream, "Put", 0..LETTERS, put).await;
        let mut handles = cluster.worker(&node).await;
        order(&mut handles, "serve jobs 2").await;
        let letters = system.dead_letters("jobs").expect("a name");
        let mut left = LETTERS;
        for round in 0..3 {
            let mut killed = cluster.worker(&format!("replays-{trial}-{round}")).await;
            order(&mut killed, "replay jobs 1000").await;
            tokio::time::sleep(Duration::from_millis(fastrand::u64(100..600))).await;
            killed.kill();
            let now = letters.count().await.expect("it runs");
            kills_in_the_middle += u32::from(0 < now && now < left);
            left = now;
        }
        let report = letters.replay(Selection::all()).rate(10_000).await.expect("it runs");
        assert!(report.is_complete(), "{report:?}");
        let handled = cluster.all_handled(&[&node], LETTERS as usize).await;
        assert!(handled.values().all(|times| *times == 1), "each once");
        system.accounting("jobs").await.expect("it runs").check().expect("it adds up");
        drop(handles);
        system.shutdown().await.expect("the servers run");
    }
    assert!(kills_in_the_middle > 0, "no replay was killed in the middle");
    let figures =
        format!("{kills_in_the_middle} kills within a replay; none lost or doubled a letter.");
    tier::record_figure("Killed replays", &figures);
}
