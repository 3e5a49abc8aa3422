use std::{
    collections::BTreeSet,
    future::{pending, poll_fn},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use callboard::{
    Incarnation,
    directory::{Directory, DirectoryError, DirectoryOptions, FencingToken, Leadership},
    kv::{
        EmbeddedKv, KeyValue, KeyValueStore, KvError, Lease, LeaseId, Op, RangeRequest,
        RangeResponse, Revision, Txn, TxnResponse, WatchRequest, Watcher,
    },
    testing::{FaultyKv, KvFaults},
};
use tokio::{
    runtime::Handle,
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::cluster::{Cluster, Node, name};

/// Takes part until it is aborted, and tells of each time that it leads.
fn takes_part(node: &Node, told: &mpsc::UnboundedSender<(String, Leadership)>) -> JoinHandle<()> {
    let role = node.directory.role(name("billing"));
    let (own, told) = (node.directory.node().to_string(), told.clone());
    tokio::spawn(async move {
        loop {
            let led = role.lead(async |leadership: Leadership| {
                told.send((own.clone(), leadership)).unwrap();
                pending::<()>().await;
            });
            match led.await {
                Err(DirectoryError::LeadershipLost { .. }) => {}
                other => return drop(other),
            }
        }
    })
}

async fn next<T>(told: &mut mpsc::UnboundedReceiver<T>) -> T {
    timeout(Duration::from_secs(60), told.recv()).await.expect("somebody leads").unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_leads_at_a_time_and_the_tokens_rise() {
    let cluster = Cluster::default();
    let leading = Arc::new(AtomicUsize::new(0));
    let mut all = Vec::new();
    for number in 0..8 {
        let node = cluster.node(&format!("n{number}")).await;
        let leading = leading.clone();
        all.push(tokio::spawn(async move {
            let role = node.directory.role(name("billing"));
            let mut tokens = Vec::new();
            for _ in 0..3 {
                let work = async |leadership: Leadership| {
                    assert_eq!(leading.fetch_add(1, Ordering::SeqCst), 0, "the only one");
                    sleep(Duration::from_millis(300)).await;
                    assert_eq!(leading.fetch_sub(1, Ordering::SeqCst), 1);
                    (Instant::now(), leadership.token())
                };
                tokens.push(role.lead(work).await.unwrap());
            }
            tokens
        }));
    }
    let mut tokens = Vec::new();
    for one in all {
        tokens.extend(one.await.unwrap());
    }
    assert_eq!(tokens.len(), 24);
    tokens.sort_by_key(|(ended, _)| *ended);
    let tokens: Vec<FencingToken> = tokens.into_iter().map(|(_, token)| token).collect();
    assert!(tokens.is_sorted_by(|one, next| one < next), "{tokens:?}");
    assert!(cluster.keys("elect/").await.is_empty(), "nobody wants it any more");
}

#[tokio::test(start_paused = true)]
async fn they_follow_each_other_in_the_order_in_which_they_came() {
    let cluster = Cluster::default();
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut nodes = Vec::new();
    for number in 0..5 {
        let node = cluster.node(&format!("n{number}")).await;
        let part = takes_part(&node, &tell);
        while cluster.keys("elect/").await.len() <= number {
            sleep(Duration::from_millis(5)).await;
        }
        nodes.push((node, part));
    }
    let role = nodes[0].0.directory.role(name("billing"));
    let candidates = role.candidates().await.unwrap();
    let names: Vec<_> = candidates.iter().map(|candidate| candidate.node.to_string()).collect();
    assert_eq!(names, ["n0", "n1", "n2", "n3", "n4"]);
    assert_eq!(role.leader().await.unwrap(), candidates.first().cloned());
    assert_eq!(nodes[0].0.directory.roles().await.unwrap(), [name("billing")]);
    for (node, part) in &nodes {
        let (leader, leadership) = next(&mut told).await;
        assert_eq!(leader, node.directory.node().as_str());
        assert!(leadership.check().is_ok());
        // Dropped, its future gives the role up; a process that ends does so with its lease.
        part.abort();
        sleep(Duration::from_millis(200)).await;
        assert!(leadership.check().is_err(), "it is given up");
    }
    sleep(Duration::from_secs(10)).await;
    assert!(cluster.keys("elect/").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_stops_before_another_leads_and_can_write_nothing_then() {
    let cluster = Cluster::default();
    let (old, new) = (cluster.node("a").await, cluster.node("b").await);
    let (tell, mut told) = mpsc::unbounded_channel();
    let stopped = Arc::new(parking_lot::Mutex::new(None));
    let part = {
        let (role, tell, stopped) =
            (old.directory.role(name("billing")), tell.clone(), stopped.clone());
        tokio::spawn(async move {
            let led = role
                .lead(async |leadership: Leadership| {
                    tell.send(("a".to_owned(), leadership)).unwrap();
                    pending::<()>().await;
                })
                .await;
            *stopped.lock() = Some(Instant::now());
            led.unwrap_err()
        })
    };
    let (_, first) = next(&mut told).await;
    let record = |text: &str| Txn::new([Op::put("/app/total", text.to_owned(), None)]);
    assert!(first.write(record("by a")).await.unwrap().succeeded);
    let _second = takes_part(&new, &tell);
    sleep(Duration::from_secs(1)).await;
    old.line.freeze();
    let (leader, second) = next(&mut told).await;
    let now = Instant::now();
    assert_eq!(leader, "b");
    let stopped = stopped.lock().expect("the old one has stopped");
    assert!(stopped < now, "{:?} too late", stopped - now);
    assert!(second.token() > first.token());
    assert!(second.write(record("by b")).await.unwrap().succeeded);
    old.line.thaw();
    assert!(matches!(part.await.unwrap(), DirectoryError::LeadershipLost { .. }));
    let refused = first.write(record("by a")).await.unwrap_err();
    assert!(matches!(refused, DirectoryError::LeadershipLost { .. }), "{refused}");
    // Nor when it believes that it leads.
    let guarded = record("by a").when(first.guard());
    assert!(!cluster.kv.txn(guarded).await.unwrap().succeeded);
    assert_eq!(cluster.kv.get("/app/total").await.unwrap().unwrap().value, "by b");
}

#[tokio::test(start_paused = true)]
async fn a_candidacy_that_is_deleted_by_hand_ends_the_work_and_the_node_takes_part_anew() {
    let cluster = Cluster::default();
    let node = cluster.node("a").await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let _part = takes_part(&node, &tell);
    let (_, first) = next(&mut told).await;
    let key = cluster.keys("elect/").await.remove(0).key;
    cluster.delete(&key).await;
    let (_, second) = next(&mut told).await;
    assert!(second.token() > first.token());
    assert!(first.check().is_err());
    assert!(first.write(Txn::new([Op::put("/app/x", "1", None)])).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_ends_the_work_and_the_node_takes_part_anew() {
    let cluster = Cluster::default();
    let (node, other) = (cluster.node("a").await, cluster.node("b").await);
    let (tell, mut told) = mpsc::unbounded_channel();
    let _part = takes_part(&node, &tell);
    let (_, first) = next(&mut told).await;
    let _other = takes_part(&other, &tell);
    sleep(Duration::from_secs(1)).await;
    cluster.kv.lease_revoke(cluster.lease_of("a").await).await.unwrap();
    let (leader, second) = next(&mut told).await;
    assert_eq!(leader, "b", "whoever waited is next");
    assert!(second.token() > first.token());
    sleep(Duration::from_secs(10)).await;
    assert!(first.check().is_err());
    let role = node.directory.role(name("billing"));
    let names: Vec<_> = role.candidates().await.unwrap();
    assert_eq!(names.last().unwrap().node, name("a"), "it is in the line again");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_wrote_among_the_candidates_is_in_nobodys_way() {
    let cluster = Cluster::default();
    cluster.put("elect/billing/0000000000000001", "{}").await;
    cluster.put("elect/billing/hello", "world").await;
    cluster.put("epoch", "not a generation").await;
    let node = cluster.node("a").await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let _part = takes_part(&node, &tell);
    let (_, leadership) = next(&mut told).await;
    assert!(leadership.token().generation() > 1_600_000_000_000, "milliseconds since 1970");
    let role = node.directory.role(name("billing"));
    assert_eq!(role.candidates().await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_generation_that_was_lost_is_followed_by_a_higher_one() {
    let cluster = Cluster::default();
    let node = cluster.node("a").await;
    let role = node.directory.role(name("billing"));
    let token = async || role.lead(async |leadership: Leadership| leadership.token()).await;
    let first = token().await.unwrap();
    assert!(token().await.unwrap() > first);
    cluster.put("epoch", &format!("{{\"generation\":{}}}", u64::MAX / 2)).await;
    let far = token().await.unwrap();
    cluster.delete("/callboard/c/epoch").await;
    assert_eq!(token().await.unwrap().generation(), far.generation() + 1, "the clock is behind");
}

#[tokio::test(start_paused = true)]
async fn candidacies_of_one_process_take_turns() {
    let cluster = Cluster::default();
    let node = cluster.node("a").await;
    let role = node.directory.role(name("billing"));
    let one_after_the_other = async |leadership: Leadership| {
        sleep(Duration::from_millis(100)).await;
        assert!(leadership.check().is_ok());
        leadership.token()
    };
    let (first, second) =
        tokio::join!(role.lead(one_after_the_other), role.lead(one_after_the_other));
    assert_ne!(first.unwrap(), second.unwrap());
}

/// Time passes for the whole thread, as for a process that is stopped: its timers come late.
#[tokio::test]
async fn work_that_wakes_up_past_its_deadline_is_not_polled_again() {
    let cluster = Cluster::default();
    let node = cluster.node("a").await;
    let role = node.directory.role(name("billing"));
    let went_on = Arc::new(AtomicBool::new(false));
    let work = {
        let went_on = went_on.clone();
        async move |_: Leadership| {
            std::thread::sleep(Duration::from_secs(5));
            // Woken at once, before the runtime looks at its timers.
            let mut has_waited = false;
            poll_fn(|cx| match std::mem::replace(&mut has_waited, true) {
                true => Poll::Ready(()),
                false => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
            })
            .await;
            went_on.store(true, Ordering::SeqCst);
        }
    };
    // In a task: what the test itself awaits is polled after the timers.
    let lost = tokio::spawn(async move { role.lead(work).await }).await.unwrap().unwrap_err();
    assert!(matches!(lost, DirectoryError::LeadershipLost { .. }), "{lost}");
    assert!(!went_on.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn who_is_out_of_the_directory_is_told_so() {
    let cluster = Cluster::default();
    let (node, other) = (cluster.node("a").await, cluster.node("b").await);
    let (tell, mut told) = mpsc::unbounded_channel();
    let _part = takes_part(&other, &tell);
    next(&mut told).await;
    let role = node.directory.role(name("billing"));
    let waiting = tokio::spawn(async move { role.lead(async |_| ()).await });
    sleep(Duration::from_secs(1)).await;
    node.directory.shutdown().await.unwrap();
    let refused = timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(refused, DirectoryError::Closed), "{refused}");
    assert_eq!(other.directory.role(name("billing")).candidates().await.unwrap().len(), 1);
}

/// Lines that fail at random: whatever a leader of the past still tries, the tokens of what was
/// written never go back, and there is always a next leader.
#[tokio::test(start_paused = true)]
async fn over_lines_that_fail_the_tokens_of_what_leaders_write_never_go_back() {
    let seed = std::env::var("CALLBOARD_SEED").map_or_else(
        |_| fastrand::u64(..),
        |seed| seed.parse().expect("CALLBOARD_SEED is a number of 64 bits"),
    );
    println!("repeat with CALLBOARD_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let cluster = Cluster::default();
    let request = WatchRequest { prefix: "/app/".to_owned(), from: Revision(1) };
    let mut written = cluster.kv.watch(request).await.unwrap();
    let mut nodes = Vec::new();
    for number in 0..4 {
        let node = cluster.node(&format!("n{number}")).await;
        let role = node.directory.role(name("billing"));
        let part = tokio::spawn(async move {
            loop {
                // Ends with the leadership only.
                role.lead(async |leadership: Leadership| {
                    let token = leadership.token();
                    let text = format!("{:020}.{:020}", token.generation(), token.revision());
                    loop {
                        let put = Op::put("/app/last", text.clone(), None);
                        drop(leadership.write(Txn::new([put])).await);
                        sleep(Duration::from_millis(50)).await;
                    }
                })
                .await
                .unwrap_or_else(|error| {
                    assert!(matches!(error, DirectoryError::LeadershipLost { .. }), "{error}");
                })
            }
        });
        nodes.push((node, part));
    }
    for _ in 0..60 {
        let (node, _) = &nodes[random.usize(..nodes.len())];
        match random.u32(..4) {
            0 => node.line.freeze(),
            1 => node.line.thaw(),
            _ => node.line.set(KvFaults {
                error: random.f64() * 0.3,
                hang: random.f64() * 0.1,
                ambiguous: random.f64() * 0.3,
                late: random.f64() * 0.3,
                late_max: Duration::from_secs(12),
                delay_max: Duration::from_millis(200),
                watch_end: random.f64() * 0.2,
                watch_silence: random.f64() * 0.05,
                watch_loss: 0.0,
            }),
        }
        sleep(Duration::from_millis(random.u64(100..8_000))).await;
    }
    for (node, _) in &nodes {
        node.line.heal();
    }
    // Calls that were late may still arrive.
    sleep(Duration::from_secs(30)).await;
    for (node, _) in &nodes {
        node.line.freeze();
    }
    let (mut tokens, mut writes) = (BTreeSet::new(), 0);
    let mut highest = String::new();
    while let Ok(batch) = timeout(Duration::from_millis(500), written.next()).await {
        for event in batch.unwrap().events {
            let token = String::from_utf8(event.kv.value.to_vec()).unwrap();
            assert!(token >= highest, "{token} after {highest}");
            tokens.insert(token.clone());
            highest = token;
            writes += 1;
        }
    }
    println!("{writes} writes by {} leaders", tokens.len());
    assert!(tokens.len() > 1, "the role changed hands");
    assert!(nodes.iter().all(|(_, part)| !part.is_finished()));
}

/// A store that counts who lists the candidates.
#[derive(Debug)]
struct Counting {
    kv: Arc<dyn KeyValueStore>,
    lists: Arc<AtomicUsize>,
}

#[async_trait]
impl KeyValueStore for Counting {
    async fn get(&self, key: &str) -> Result<Option<KeyValue>, KvError> {
        self.kv.get(key).await
    }
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, KvError> {
        if request.prefix.ends_with("/elect/billing/") {
            self.lists.fetch_add(1, Ordering::SeqCst);
        }
        self.kv.range(request).await
    }
    async fn txn(&self, txn: Txn) -> Result<TxnResponse, KvError> {
        self.kv.txn(txn).await
    }
    async fn lease_grant(&self, ttl: Duration) -> Result<Lease, KvError> {
        self.kv.lease_grant(ttl).await
    }
    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<Duration, KvError> {
        self.kv.lease_keep_alive(lease).await
    }
    async fn lease_revoke(&self, lease: LeaseId) -> Result<(), KvError> {
        self.kv.lease_revoke(lease).await
    }
    async fn watch(&self, request: WatchRequest) -> Result<Box<dyn Watcher>, KvError> {
        self.kv.watch(request).await
    }
    async fn compact(&self, revision: Revision) -> Result<(), KvError> {
        self.kv.compact(revision).await
    }
}

/// Hands the role on a few times, and counts who looks at the candidates.
async fn one_of_a_hundred_wakes(kv: Arc<dyn KeyValueStore>, handovers: usize, calm: Duration) {
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut nodes = Vec::new();
    for number in 0..100 {
        let lists = Arc::new(AtomicUsize::new(0));
        let counting = Counting { kv: Arc::clone(&kv), lists: lists.clone() };
        let node = name(&format!("n{number}"));
        let options = DirectoryOptions::new(name("c"), node, Incarnation::fresh());
        let started = Directory::start(Arc::new(counting), options, Handle::current()).await;
        let node = Node { directory: started.unwrap(), line: FaultyKv::new(Arc::clone(&kv), 1) };
        let part = takes_part(&node, &tell);
        nodes.push((node, part, lists));
    }
    let role = nodes[0].0.directory.role(name("billing"));
    while role.candidates().await.unwrap().len() < 100 {
        sleep(Duration::from_millis(100)).await;
    }
    for _ in 0..handovers {
        let (leader, _) = next(&mut told).await;
        sleep(calm).await;
        let before: Vec<_> = nodes.iter().map(|(.., lists)| lists.load(Ordering::SeqCst)).collect();
        let (_, part, _) =
            nodes.iter().find(|(node, ..)| node.directory.node().as_str() == leader).unwrap();
        part.abort();
        sleep(calm).await;
        let after = nodes.iter().map(|(.., lists)| lists.load(Ordering::SeqCst));
        let woken = after.zip(before).filter(|(after, before)| after > before).count();
        assert_eq!(woken, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_hundred_candidates_one_wakes_when_the_leader_goes() {
    let kv = Arc::new(EmbeddedKv::new());
    one_of_a_hundred_wakes(kv, 10, Duration::from_secs(3)).await;
}

#[cfg(feature = "etcd")]
#[tokio::test]
async fn of_a_hundred_candidates_in_etcd_one_wakes_when_the_leader_goes() {
    use callboard::kv::{EtcdKv, EtcdOptions};
    let etcd = callboard_tests::servers::EtcdServer::start().await;
    let kv = Arc::new(EtcdKv::connect(EtcdOptions::new(etcd.endpoints())).await.unwrap());
    let handovers = callboard_tests::tier::trials().div_ceil(2) as usize;
    one_of_a_hundred_wakes(kv, handovers, Duration::from_secs(1)).await;
}
