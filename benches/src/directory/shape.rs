//! What stands in a cluster: so many services of so many instances each.

use std::sync::Arc;

use callboard::{
    ActorId, Incarnation, Name,
    directory::{InstanceName, InstanceRecord, MessageEntry, NodeRecord},
    kv::{KeyValueStore, LeaseId, Op, Txn},
};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::Result;

/// Puts of one transaction, as callboard's registration has them.
pub const BATCH: usize = 100;
/// Transactions under way while a cluster is filled.
const FILLING: usize = 8;
/// Instances of each of the nodes that a cluster is filled with.
const PER_NODE: usize = 1000;

/// What a cluster holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Services.
    pub services: usize,
    /// Instances of each.
    pub each: usize,
}

impl Shape {
    /// So many services of so many instances.
    pub const fn new(services: usize, each: usize) -> Self {
        Self { services, each }
    }

    /// All instances.
    pub const fn instances(self) -> usize {
        self.services * self.each
    }

    /// As the tables name it.
    pub fn title(self) -> String {
        let count = |count: usize| match count {
            large if large >= 1000 && large.is_multiple_of(1000) => format!("{}k", large / 1000),
            small => small.to_string(),
        };
        let all = count(self.instances());
        match self.services {
            1 => format!("{all} in one service"),
            services => format!("{all}: {} services of {}", count(services), count(self.each)),
        }
    }

    /// The cluster that holds it.
    pub fn cluster(self) -> Name {
        name(&format!("of-{}-by-{}", self.services, self.each))
    }

    /// A service, by its number.
    pub fn service(self, number: usize) -> Name {
        name(&format!("service-{number}"))
    }

    /// Its services in random order; each name has memory of its own, as those of callers do.
    pub fn shuffled(self) -> Vec<Name> {
        let mut names: Vec<Name> = (0..self.services).map(|number| self.service(number)).collect();
        fastrand::shuffle(&mut names);
        names
    }

    /// The record of an instance, by its number among all, with a weight that tells writes apart.
    pub fn record(self, number: usize, weight: u32) -> InstanceRecord {
        let node = number / PER_NODE;
        let instance = InstanceName::new(incarnation(node), number as u64);
        let record = record(self.service(number % self.services), instance, &filler(node));
        InstanceRecord { weight, ..record }
    }

    /// The put of such a record.
    pub fn put(self, number: usize, weight: u32) -> Result<Op> {
        put(&self.cluster(), &self.record(number, weight), None)
    }

    /// Writes all of it, and the nodes, under no lease.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn fill(self, kv: &Arc<dyn KeyValueStore>) -> Result<()> {
        let nodes = (0..self.instances().div_ceil(PER_NODE)).map(|number| {
            let record = NodeRecord {
                node: filler(number),
                incarnation: incarnation(number),
                callboard: "0.1.0".to_owned(),
                labels: Default::default(),
            };
            let key = format!("/callboard/{}/node/{}", self.cluster(), record.node);
            Ok(Op::put(key, serde_json::to_vec(&record)?, None))
        });
        let instances = (0..self.instances()).map(|number| self.put(number, 1));
        write(kv, nodes.chain(instances).collect::<Result<Vec<_>>>()?, BATCH, FILLING).await
    }
}

/// Writes puts in transactions of so many, so many of them under way at once.
///
/// # Errors
/// When the store fails.
pub async fn write(
    kv: &Arc<dyn KeyValueStore>,
    ops: Vec<Op>,
    batch: usize,
    under_way: usize,
) -> Result<()> {
    let txns = ops.chunks(batch).map(|ops| Txn::new(ops.iter().cloned())).collect::<Vec<_>>();
    let txns = stream::iter(txns).map(|txn| kv.txn(txn)).buffer_unordered(under_way);
    Ok(txns.try_for_each(|_| std::future::ready(Ok(()))).await?)
}

/// A record as a service of two messages has it.
pub fn record(service: Name, instance: InstanceName, node: &Name) -> InstanceRecord {
    let message = |name: &str| MessageEntry { name: name.to_owned(), version: 1 };
    let actor = ActorId::from_u64(instance.number());
    let mut record = InstanceRecord::new(service, instance, node.clone(), actor);
    record.version = Some("1.4.2".to_owned());
    record.messages = vec![message("PlaceOrder"), message("CancelOrder")];
    record
}

/// The put of a record, as callboard writes it.
///
/// # Errors
/// Those of JSON, of which there are none.
pub fn put(cluster: &Name, record: &InstanceRecord, lease: Option<LeaseId>) -> Result<Op> {
    let key = format!("/callboard/{cluster}/svc/{}/{}", record.service, record.instance);
    Ok(Op::put(key, serde_json::to_vec(record)?, lease))
}

/// A name that is known to be one.
pub fn name(text: &str) -> Name {
    Name::new(text).expect("the benchmark's names are names")
}

/// The life of a node that a cluster is filled with.
fn incarnation(node: usize) -> Incarnation {
    Incarnation::from_u128((1 << 64) + node as u128)
}

fn filler(node: usize) -> Name {
    name(&format!("filler-{node}"))
}
