//! Processes of two versions on a real etcd and a real Redis, and tells that are told once.

use std::{collections::BTreeMap, sync::Arc};

use callboard::{
    Name, Service,
    bus::{frame::Frame, keys},
    log::{Entry, EntryId, MessageLog, Place, RedisLog, RedisOptions, StreamInfo},
    prelude::*,
};
use callboard_tests::tier;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::support::{Cluster, PATIENCE, sees};

#[derive(Message, Serialize, Deserialize, Debug, Clone, Copy)]
#[message(name = "put")]
struct PutV1(u64);

#[derive(Message, Serialize, Deserialize, Debug, Clone, Copy)]
#[message(name = "put", version = 2, from = PutV1)]
struct Put(u64, bool);

impl From<PutV1> for Put {
    fn from(PutV1(n): PutV1) -> Self {
        Self(n, false)
    }
}

callboard::protocol!(Both { PutV1, Put });

#[derive(Clone, Default)]
struct Handled(Arc<Mutex<BTreeMap<u64, u32>>>);

impl Handled {
    fn note(&self, n: u64) {
        *self.0.lock().entry(n).or_default() += 1;
    }
}

#[derive(Actor)]
struct OldStore(Handled);

#[handlers]
impl OldStore {
    #[handle]
    fn put(&mut self, PutV1(n): PutV1) {
        self.0.note(n);
    }
}

#[derive(Actor)]
struct NewStore(Handled);

#[handlers]
impl NewStore {
    #[handle]
    fn put(&mut self, Put(n, _): Put) {
        self.0.note(n);
    }
}

async fn serve_new(system: &System, handled: &Handled) -> Service<NewStore> {
    let handled = handled.clone();
    system.serve("store", move || NewStore(handled.clone())).await.expect("the servers run")
}

/// The stream of the service, from outside.
struct Stream {
    log: RedisLog,
    name: callboard::log::StreamName,
}

impl Stream {
    async fn of(cluster: &Cluster) -> Self {
        let log = RedisLog::connect(RedisOptions::new(cluster.redis.url())).await;
        let (of, service) = (Name::new(&*cluster.name).unwrap(), Name::new("store").unwrap());
        Self { log: log.expect("it runs"), name: keys::service(&of, &service, 0) }
    }

    async fn info(&self) -> StreamInfo {
        let info = self.log.info(&self.name).await.expect("it runs").expect("it is there");
        assert!(info.accounting.adds_up(), "{:?}", info.accounting);
        info
    }

    async fn letters(&self) -> Vec<Entry> {
        let (from, to) = (EntryId::MIN, EntryId::MAX);
        self.log.range(&self.name, Place::Dead, from, to, 100).await.expect("it runs")
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "it never came: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mixed_fleet_handles_all_and_buries_what_nobody_knows_after_the_last_one_left() {
    let mut rng = fastrand::Rng::with_seed(tier::seed());
    let (cluster, handled) = (Cluster::start().await, Handled::default());
    let (sender, old) = (cluster.system("sender").await, cluster.system("old").await);
    let new = [cluster.system("one").await, cluster.system("two").await];
    let of_old = handled.clone();
    let served = old.serve("store", move || OldStore(of_old.clone())).await;
    let _served = served.expect("the servers run");
    let mut newest = serve_new(&new[0], &handled).await;
    sees(&sender, "store", 2).await;
    let service = sender.service::<Both>("store");
    let mut told = 0;
    for round in 1..=tier::trials().min(20) as usize {
        for _ in 0..200 {
            let tell = if rng.bool() {
                service.tell(PutV1(told)).buffered().await.map_err(|error| error.to_string())
            } else {
                service.tell(Put(told, true)).buffered().await.map_err(|error| error.to_string())
            };
            tell.expect("somebody knows each of them");
            told += 1;
        }
        let next = serve_new(&new[round % 2], &handled).await;
        std::mem::replace(&mut newest, next).stop().await.expect("the servers run");
    }
    until("all are handled", async || handled.0.lock().len() as u64 == told).await;
    let stream = Stream::of(&cluster).await;
    until("all is settled", async || stream.info().await.accounting.held == 0).await;
    let accounting = stream.info().await.accounting;
    assert_eq!((accounting.handled, accounting.dead), (told, 0), "{accounting:?}");
    assert!(handled.0.lock().values().all(|times| *times == 1));

    service.tell(Put(told, true)).delay(Duration::from_secs(1)).await.expect("stored");
    service.tell(PutV1(told + 1)).delay(Duration::from_secs(1)).await.expect("stored");
    newest.stop().await.expect("the servers run");
    until("the old one is handled", async || handled.0.lock().contains_key(&(told + 1))).await;
    until("the new one is buried", async || !stream.letters().await.is_empty()).await;
    let letter = Frame::parse(stream.letters().await.remove(0).frame).expect("a letter");
    let reason = &letter.letter().expect("a letter").reason;
    assert!(reason.contains("does not know version 2 of put, it knows 1"), "{reason}");
    assert!(reason.contains("no instance of store that is alive takes put 2"), "{reason}");
    assert!(!handled.0.lock().contains_key(&told));
    for system in [sender, old].into_iter().chain(new) {
        system.shutdown().await.expect("the servers run");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tells_with_one_id_from_several_systems_are_handled_once() {
    let (cluster, handled) = (Cluster::start().await, Handled::default());
    let systems = [cluster.system("one").await, cluster.system("two").await];
    let _served = serve_new(&systems[0], &handled).await;
    let ids = 200_u64;
    for system in &systems {
        sees(system, "store", 1).await;
    }
    let tells = systems.iter().map(async |system| {
        let service = system.service::<NewStore>("store");
        let told = (0..ids).map(async |n| service.tell(Put(n, true)).dedup_id(n.to_string()).await);
        for told in futures_util::future::join_all(told).await {
            told.expect("stored, or stored before");
        }
    });
    futures_util::future::join_all(tells).await;
    let stream = Stream::of(&cluster).await;
    until("all is settled", async || stream.info().await.accounting.held == 0).await;
    let accounting = stream.info().await.accounting;
    let counted = (accounting.appended, accounting.handled, accounting.cancelled);
    assert_eq!(counted, (2 * ids, ids, ids), "{accounting:?}");
    assert!(handled.0.lock().len() as u64 == ids && handled.0.lock().values().all(|n| *n == 1));
    for system in systems {
        system.shutdown().await.expect("the servers run");
    }
}
