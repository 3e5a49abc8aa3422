//! A store and nodes for one test.

use std::{sync::Arc, time::Duration};

use callboard::{
    ActorId, Incarnation, Name,
    directory::{
        Directory, DirectoryError, DirectoryEvent, DirectoryOptions, InstanceName, InstanceRecord,
        Subscription,
    },
    kv::{EmbeddedKv, KeyValue, KeyValueStore, LeaseId, Op, RangeRequest, Txn},
    testing::FaultyKv,
};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

pub(crate) fn name(name: &str) -> Name {
    Name::new(name).unwrap()
}

/// One store.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) kv: EmbeddedKv,
}

/// One node, with a line of its own to the store.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) directory: Directory,
    pub(crate) line: FaultyKv,
}

impl Cluster {
    pub(crate) fn options(&self, node: &str) -> DirectoryOptions {
        DirectoryOptions::new(name("c"), name(node), Incarnation::fresh())
    }

    pub(crate) async fn node(&self, node: &str) -> Node {
        self.try_node(self.options(node)).await.unwrap()
    }

    pub(crate) async fn try_node(&self, options: DirectoryOptions) -> Result<Node, DirectoryError> {
        let line = FaultyKv::new(Arc::new(self.kv.clone()), 1);
        let directory =
            Directory::start(Arc::new(line.clone()), options, Handle::current()).await?;
        Ok(Node { directory, line })
    }

    pub(crate) async fn put(&self, key: &str, value: &str) {
        let put = Op::put(format!("/callboard/c/{key}"), value.to_owned(), None);
        self.kv.txn(Txn::new([put])).await.unwrap();
    }

    pub(crate) async fn delete(&self, key: &str) {
        self.kv.txn(Txn::new([Op::delete(key)])).await.unwrap();
    }

    pub(crate) async fn keys(&self, kind: &str) -> Vec<KeyValue> {
        let request = RangeRequest::prefix(format!("/callboard/c/{kind}"));
        self.kv.range(request).await.unwrap().kvs
    }

    pub(crate) async fn lease_of(&self, node: &str) -> LeaseId {
        self.kv.get(&format!("/callboard/c/node/{node}")).await.unwrap().unwrap().lease.unwrap()
    }
}

impl Node {
    pub(crate) fn record(&self, service: &str, number: u64) -> InstanceRecord {
        let instance = InstanceName::new(self.directory.incarnation(), number);
        let node = self.directory.node().clone();
        InstanceRecord::new(name(service), instance, node, ActorId::from_u64(number))
    }

    pub(crate) async fn register(&self, service: &str, number: u64) -> InstanceRecord {
        let record = self.record(service, number);
        self.directory.register(record.clone()).await.unwrap();
        record
    }

    /// The nodes and actors of a service in this node's cache.
    pub(crate) fn sees(&self, service: &str) -> Vec<String> {
        let view = self.directory.resolve(&name(service));
        let text = |record: &Arc<InstanceRecord>| format!("{}/{}", record.node, record.actor);
        view.instances.iter().map(text).collect()
    }

    /// Waits until this node's cache has this many instances; gives the time that it took.
    pub(crate) async fn will_see(&self, service: &str, count: usize) -> Duration {
        let start = Instant::now();
        while self.sees(service).len() != count {
            let late = start.elapsed() > Duration::from_secs(60);
            assert!(!late, "{service} is {:?}, not {count}", self.sees(service));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        start.elapsed()
    }
}

/// The next event as text.
pub(crate) async fn event(subscription: &mut Subscription) -> String {
    match timeout(Duration::from_secs(60), subscription.next()).await {
        Err(_) => "nothing".to_owned(),
        Ok(None) => "the end".to_owned(),
        Ok(Some(DirectoryEvent::Up(record))) => format!("up {}", record.actor),
        Ok(Some(DirectoryEvent::Changed(record))) => format!("changed {}", record.actor),
        Ok(Some(DirectoryEvent::Down { instance, left: true })) => {
            format!("left {}", instance.actor)
        }
        Ok(Some(DirectoryEvent::Down { instance, .. })) => format!("died {}", instance.actor),
        Ok(Some(DirectoryEvent::Health { instance, health })) => {
            format!("{} {}", health.state, instance.actor)
        }
        Ok(Some(other)) => format!("{other:?}"),
    }
}
