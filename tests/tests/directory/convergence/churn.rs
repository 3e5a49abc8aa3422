//! Nodes that come, go, crash and change their minds, over lines that fail.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use callboard::{
    Incarnation, Name,
    directory::{
        Config, ConfigRecord, Directory, DirectoryOptions, HealthRecord, HealthState, InstanceName,
        InstanceRecord, MaintenanceScope,
    },
    kv::{KeyValue, KeyValueStore, Op, RangeRequest, Txn},
    testing::{FaultyKv, KvFaults},
};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::witness::{History, Mirror, ROOT};
use crate::cluster::{Node, name};

pub(super) const NODES: usize = 3;
const SERVICES: usize = 4;
/// Which of the nodes compares its cache with a list all the time.
const AUDITOR: usize = 0;
const TTL: Duration = Duration::from_secs(5);

/// What faults leave behind is over so long after the last of them. A call that hangs is given up after
/// 2 s, a silent watch after 3 s, each followed by a wait of at most 2 s. A write that is late arrives
/// within 8 s: the renewal of a crashed life's lease, which then ends 5 s later, or a record that was
/// taken back, which its owner finds within 3 s.
const AFTERMATH: Duration = Duration::from_secs(16);
/// How long the store may go on changing after that.
const QUIET_MAX: Duration = Duration::from_secs(60);

pub(super) struct Churn {
    pub(super) kv: Arc<dyn KeyValueStore>,
    pub(super) random: fastrand::Rng,
    nodes: Vec<Member>,
    history: Arc<History>,
    /// How long one step waits at most.
    pause_max: Duration,
    next: u32,
    /// What the mirrors of crashed nodes had heard.
    events: usize,
    resyncs: usize,
    /// The longest time from quiescence until all caches were equal.
    pub(super) slowest: Duration,
}

struct Member {
    node: Node,
    wanted: BTreeMap<InstanceName, InstanceRecord>,
    /// What it uses of the configuration, by the names of the services.
    configs: Vec<Config<u64>>,
    mirror: Mirror,
}

fn services() -> Vec<Name> {
    (0..SERVICES).map(|n| name(&format!("s{n}"))).collect()
}

/// Each has a weakness of its own: what would hide a mistake from one does not from the others.
async fn member(kv: &Arc<dyn KeyValueStore>, at: usize) -> Member {
    let mut options =
        DirectoryOptions::new(name("c"), name(&format!("n{at}")), Incarnation::fresh());
    match at {
        // Compares all the time, in between of what its watch says.
        AUDITOR => options.audit_every = Duration::from_millis(400),
        // Its subscribers are too slow.
        1 => options.events_max = 4,
        // Only its watch tells it anything.
        _ => {}
    }
    let line = FaultyKv::new(Arc::clone(kv), fastrand::u64(..));
    let started = Directory::start(Arc::new(line.clone()), options, Handle::current()).await;
    let node = Node { directory: started.expect("the store is there"), line };
    let configs = services().iter().map(|name| node.directory.config(name).unwrap()).collect();
    let mirror = Mirror::new(&node.directory, &services());
    Member { node, wanted: BTreeMap::new(), configs, mirror }
}

impl Churn {
    pub(super) async fn new(
        kv: Arc<dyn KeyValueStore>,
        random: fastrand::Rng,
        pause_max: Duration,
    ) -> Self {
        let history = Arc::new(History::of(Arc::clone(&kv)));
        let mut nodes = Vec::new();
        for at in 0..NODES {
            nodes.push(member(&kv, at).await);
        }
        let slowest = Duration::ZERO;
        Self { kv, random, nodes, history, pause_max, next: 0, events: 0, resyncs: 0, slowest }
    }

    pub(super) async fn step(&mut self) {
        let at = self.random.usize(..NODES);
        match self.random.u32(..23) {
            0..=3 => self.register(at).await,
            4..=6 => self.deregister(at).await,
            7..=10 => self.change(at).await,
            11 => self.restart(at).await,
            12 => self.delete_a_key().await,
            13 => self.spoil_a_key().await,
            14 | 15 => compact(&*self.kv, &self.history).await,
            16 => {
                let faults = self.faults();
                self.nodes[at].node.line.set(faults);
            }
            17 => self.configure(at).await,
            18 => self.audit_amid_changes().await,
            19 | 20 => self.say_health(at).await,
            21 => self.maintain(at).await,
            _ => self.freeze_for_a_while(at, 9_000),
        }
        sleep(self.pause_max.mul_f64(self.random.f64())).await;
        self.follow();
    }

    fn follow(&mut self) {
        for member in &mut self.nodes {
            member.mirror.follow(&member.node.directory);
        }
    }

    fn faults(&mut self) -> KvFaults {
        let mut chance = |max: f64| if self.random.bool() { 0.0 } else { self.random.f64() * max };
        KvFaults {
            error: chance(0.4),
            hang: chance(0.1),
            ambiguous: chance(0.3),
            late: chance(0.2),
            late_max: Duration::from_secs(8),
            delay_max: Duration::from_millis(300),
            watch_end: chance(0.2),
            watch_silence: chance(0.05),
            watch_loss: 0.0,
        }
    }

    async fn keys(&self, kind: &str) -> Vec<KeyValue> {
        let request = RangeRequest::prefix(format!("{ROOT}{kind}"));
        self.kv.range(request).await.map(|range| range.kvs).unwrap_or_default()
    }

    async fn register(&mut self, at: usize) {
        let member = &mut self.nodes[at];
        self.next += 1;
        let service = format!("s{}", self.random.usize(..SERVICES));
        let mut record = member.node.record(&service, u64::from(self.next));
        // So that no two writes are the same.
        record.weight = self.next;
        member.wanted.insert(record.instance, record.clone());
        // It goes on being wanted when nobody waits any more.
        drop(timeout(Duration::from_millis(200), member.node.directory.register(record)).await);
    }

    /// Changes a record, or one that left a moment ago, several times in a row.
    async fn change(&mut self, at: usize) {
        let member = &mut self.nodes[at];
        if member.wanted.is_empty() {
            return;
        }
        let chosen = self.random.usize(..member.wanted.len());
        let mut record = member.wanted.values().nth(chosen).expect("it is there").clone();
        for _ in 0..self.random.u32(1..6) {
            self.next += 1;
            record.weight = self.next;
            let wait = Duration::from_millis(self.random.u64(1..60));
            drop(timeout(wait, member.node.directory.register(record.clone())).await);
            if self.random.u32(..4) == 0 {
                let leaving = [record.instance];
                let left = member.node.directory.deregister(&leaving);
                drop(timeout(wait, left).await);
                drop(timeout(wait, member.node.directory.register(record.clone())).await);
            }
        }
        member.wanted.insert(record.instance, record);
    }

    async fn say_health(&mut self, at: usize) {
        let member = &mut self.nodes[at];
        if member.wanted.is_empty() {
            return;
        }
        let chosen = self.random.usize(..member.wanted.len());
        let instance = *member.wanted.keys().nth(chosen).expect("it is there");
        let states = [HealthState::Passing, HealthState::Degraded, HealthState::Critical];
        self.next += 1;
        let state = states[self.random.usize(..states.len())];
        let said = HealthRecord::new(state, u64::from(self.next), "");
        let saying = member.node.directory.set_health(instance, said);
        drop(timeout(Duration::from_millis(200), saying).await);
    }

    /// Takes a node out, or in again. It may be written or not.
    async fn maintain(&mut self, at: usize) {
        let scope = MaintenanceScope::node(name(&format!("n{}", self.random.usize(..NODES))));
        let directory = &self.nodes[at].node.directory;
        let limit = Duration::from_secs(5);
        if self.random.bool() {
            drop(timeout(limit, directory.begin_maintenance(&scope, "")).await);
        } else {
            drop(timeout(limit, directory.end_maintenance(&scope)).await);
        }
    }

    async fn deregister(&mut self, at: usize) {
        let member = &mut self.nodes[at];
        let leaving: Vec<InstanceName> =
            member.wanted.keys().copied().filter(|_| self.random.u32(..3) == 0).collect();
        leaving.iter().for_each(|name| drop(member.wanted.remove(name)));
        let left = member.node.directory.deregister(&leaving);
        drop(timeout(Duration::from_millis(200), left).await);
    }

    async fn configure(&mut self, at: usize) {
        self.next += 1;
        let name = format!("s{}", self.random.usize(..SERVICES));
        let configuration = self.nodes[at].node.directory.configuration();
        let value = u64::from(self.next);
        // It may be written or not.
        drop(timeout(Duration::from_secs(5), configuration.set(&name, &value)).await);
    }

    /// A crash, and a new life under the same name.
    async fn restart(&mut self, at: usize) {
        self.nodes[at].node.directory.abort();
        self.retire(at);
        self.nodes[at] = member(&self.kv, at).await;
    }

    fn retire(&mut self, at: usize) {
        let mirror = &self.nodes[at].mirror;
        mirror.check_order(&self.history);
        self.events += mirror.events;
        self.resyncs += mirror.resyncs;
    }

    async fn delete_a_key(&mut self) {
        let keys = self.keys("").await;
        if !keys.is_empty() {
            let key = &keys[self.random.usize(..keys.len())].key;
            drop(self.kv.txn(Txn::new([Op::delete(key)])).await);
        }
    }

    async fn spoil_a_key(&mut self) {
        let keys = self.keys("svc/").await;
        if !keys.is_empty() {
            let key = &keys[self.random.usize(..keys.len())].key;
            drop(self.kv.txn(Txn::new([Op::put(key, "spoilt", None)])).await);
        }
    }

    /// Lets a list be asked for while changes wait in the watch: they are older than the answer.
    async fn audit_amid_changes(&mut self) {
        self.freeze_for_a_while(AUDITOR, 1_900);
        for _ in 0..3 {
            let at = self.random.usize(..NODES);
            self.change(at).await;
            sleep(Duration::from_millis(self.random.u64(..300))).await;
        }
    }

    fn freeze_for_a_while(&mut self, at: usize, millis_max: u64) {
        let line = self.nodes[at].node.line.clone();
        let during = Duration::from_millis(self.random.u64(..millis_max));
        let compacts = self.random.bool();
        let (kv, history) = (Arc::clone(&self.kv), Arc::clone(&self.history));
        line.freeze();
        tokio::spawn(async move {
            sleep(during).await;
            if compacts {
                // What the watch missed is gone when it comes back.
                compact(&*kv, &history).await;
            }
            line.thaw();
        });
    }

    /// Ends the churn, waits for quiescence, and checks.
    ///
    /// Quiescence is when nobody wants anything new, all lines have been without a fault for the
    /// time of their aftermath, and the last change of the store is behind us: the end of a crashed
    /// life's lease, a late write and what its owner made of it. From then on every cache must equal
    /// the store within this time, but for what it says itself to be suspect; those have at most one
    /// more lease time.
    pub(super) async fn settle(&mut self, within: Duration) {
        self.nodes.iter().for_each(|member| member.node.line.heal());
        let healed = Instant::now();
        let quiet = loop {
            let quiet = self.history.last_change().max(healed + AFTERMATH);
            let converged = self.first_equal(quiet + within).await;
            sleep_until(quiet + within).await;
            if self.history.last_change() <= quiet {
                let after = converged.map(|at| at.saturating_duration_since(quiet));
                self.slowest = self.slowest.max(after.unwrap_or(within));
                break quiet;
            }
            assert!(healed.elapsed() < QUIET_MAX, "the store is not quiet");
        };
        self.check(false).await;
        sleep_until(quiet + TTL + within).await;
        assert!(self.history.last_change() <= quiet, "nobody had anything to change");
        self.check(true).await;
        self.check_configs().await;
        for member in &self.nodes {
            member.mirror.check_order(&self.history);
        }
    }

    /// How many events the mirrors heard, and how often one of them was told to read anew.
    pub(super) fn heard(&self) -> (usize, usize) {
        let mirrors = || self.nodes.iter().map(|member| &member.mirror);
        let events = self.events + mirrors().map(|mirror| mirror.events).sum::<usize>();
        (events, self.resyncs + mirrors().map(|mirror| mirror.resyncs).sum::<usize>())
    }

    /// When every cache was first equal, looking until then.
    async fn first_equal(&mut self, until: Instant) -> Option<Instant> {
        while Instant::now() < until {
            let stored = self.stored().await;
            if self.nodes.iter().all(|member| differences(member, &stored, false).is_empty()) {
                return Some(Instant::now());
            }
            sleep(Duration::from_millis(10)).await;
        }
        None
    }

    /// What stands in the store, by an independent linearizable reading of it: the instances and how
    /// they do.
    async fn stored(&self) -> BTreeMap<InstanceName, (InstanceRecord, HealthState)> {
        let mut stored = BTreeMap::new();
        let (health, maintenance) = (self.keys("health/").await, self.keys("policy/").await);
        for kv in self.keys("svc/").await {
            let Ok(record) = serde_json::from_slice::<InstanceRecord>(&kv.value) else { continue };
            let place = format!("/{}/{}", record.service, record.instance);
            assert!(kv.key.ends_with(&place));
            let is_out =
                |kv: &KeyValue| kv.key == format!("{ROOT}policy/maintenance/{}", record.node);
            let state = if maintenance.iter().any(is_out) {
                HealthState::Maintenance
            } else {
                let said = health.iter().find(|kv| kv.key == format!("{ROOT}health{place}"));
                let said = said.and_then(|kv| serde_json::from_slice(&kv.value).ok());
                said.map_or(HealthState::Passing, |said: HealthRecord| said.state)
            };
            stored.insert(record.instance, (record, state));
        }
        stored
    }

    async fn check(&mut self, nobody_is_suspect: bool) {
        self.follow();
        let stored = self.stored().await;
        for member in &self.nodes {
            let directory = &member.node.directory;
            let own =
                stored.iter().filter(|(name, _)| name.incarnation() == directory.incarnation());
            let own: BTreeMap<_, _> =
                own.map(|(name, (record, _))| (*name, record.clone())).collect();
            assert_eq!(own, member.wanted, "the store against the wish of {}", directory.node());
            let differences = differences(member, &stored, nobody_is_suspect);
            assert!(
                differences.is_empty(),
                "the cache of {} against the store: {differences:#?}",
                directory.node()
            );
            assert_eq!(directory.nodes().len(), NODES);
            assert_eq!(directory.stale_since(), None);
        }
    }

    /// Every node uses what stands, and says so; what was removed by hand nobody has lost.
    async fn check_configs(&self) {
        for Member { node, configs, .. } in &self.nodes {
            for config in configs {
                let prefix = format!("config/current/{}", config.name());
                let used = config.current().map(|value| value.version());
                let configuration = node.directory.configuration();
                let stands: Option<ConfigRecord> = configuration.get(config.name()).await.unwrap();
                match stands {
                    Some(record) => {
                        assert_eq!(used, Some(record.version), "{prefix} at {node:?}");
                    }
                    None => assert!(self.keys(&prefix).await.is_empty()),
                }
                let applied = configuration.applied(config.name()).await.unwrap();
                let own = applied.iter().find(|one| one.node == *node.directory.node());
                assert_eq!(own.map(|one| one.version), Some(used), "{applied:?}");
            }
        }
    }
}

/// Takes the past away, as far as the witness has heard of it.
async fn compact(kv: &dyn KeyValueStore, history: &History) {
    let Ok(newest) = kv.range(RangeRequest::prefix("/").limit(1)).await else { return };
    drop(timeout(Duration::from_secs(5), history.reaches(newest.revision)).await);
    let heard = history.revision().min(newest.revision);
    drop(kv.compact(heard).await);
}

/// What a cache has and the store has not, and the other way round.
fn differences(
    member: &Member,
    stored: &BTreeMap<InstanceName, (InstanceRecord, HealthState)>,
    nobody_is_suspect: bool,
) -> Vec<String> {
    let mut seen = BTreeMap::new();
    let mut differences = Vec::new();
    for service in services() {
        let view = member.node.directory.resolve(&service);
        if nobody_is_suspect && !view.suspects.is_empty() {
            differences.push(format!("suspect: {:?}", view.suspects));
        }
        let sure = view.instances.iter().filter(|record| !view.is_suspect(record.instance));
        let seen_of = |record: &Arc<InstanceRecord>| {
            let state = view.health_of(record.instance);
            (record.instance, (InstanceRecord::clone(record), state))
        };
        seen.extend(sure.map(seen_of));
    }
    for (name, there) in &seen {
        if stored.get(name) != Some(there) {
            differences.push(format!("{there:?} is seen, {:?} stands", stored.get(name)));
        }
    }
    let unseen = stored.iter().filter(|(name, _)| !seen.contains_key(name));
    differences.extend(unseen.map(|(_, there)| format!("{there:?} is not seen")));
    differences
}
