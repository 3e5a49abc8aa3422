//! How long a change takes from one node to another.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use callboard::{
    directory::{DirectoryEvent, InstanceName, InstanceRecord},
    kv::{EmbeddedKv, Op, RangeRequest, Txn, WatchRequest},
};
use tokio::{sync::mpsc, time::timeout};

use super::{
    Result,
    node::{Line, Node, Place},
    shape::{self, Shape, name},
};

/// Changes of one sample.
const CHANGES: u64 = 400;
/// What must come comes within this time.
const PATIENCE: Duration = Duration::from_secs(30);
/// The service that changes, beside what a cluster holds.
const SERVICE: &str = "moving";

/// The latencies of one kind of change, over all rounds.
#[derive(Debug)]
pub struct Latencies {
    /// As the table names it.
    pub title: String,
    sorted: Vec<Duration>,
}

impl Latencies {
    /// What so many of a hundred do not exceed, in microseconds; 100 is for the longest.
    pub fn percentile(&self, percent: usize) -> f64 {
        let at = (self.sorted.len() * percent).div_ceil(100).max(1) - 1;
        self.sorted[at].as_secs_f64() * 1e6
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.sorted.len()
    }
}

/// All kinds of changes.
#[derive(Debug, Default)]
pub struct Propagation {
    /// In the order of the table.
    pub lines: Vec<Latencies>,
}

impl Propagation {
    /// Runs all rows once.
    ///
    /// # Errors
    /// When a store fails, or a change does not come.
    pub async fn round(&mut self, etcd: &Place, divisor: u64) -> Result<()> {
        let changes = CHANGES / divisor;
        self.between_nodes("etcd", etcd, "propagation", changes).await?;
        let full = Shape::new(10_000, 10).cluster();
        self.between_nodes("etcd, among 100k", etcd, full.as_str(), changes).await?;
        self.bare("etcd", etcd, changes).await?;
        let embedded = Place::Embedded(Arc::new(EmbeddedKv::new()));
        self.between_nodes("embedded", &embedded, "propagation", changes).await?;
        self.bare("embedded", &embedded, changes).await
    }

    async fn between_nodes(
        &mut self,
        store: &str,
        place: &Place,
        cluster: &str,
        changes: u64,
    ) -> Result<()> {
        let cluster = name(cluster);
        let from = Node::join(place, &cluster, "from").await?;
        let to = Node::join(place, &cluster, "to").await?;
        let mut events = to.directory.watch(&name(SERVICE));
        let (sender, mut seen) = mpsc::unbounded_channel();
        to.line.handle().spawn(async move {
            while let Some(event) = events.next().await {
                // On the node's own thread, before anybody else is woken.
                if sender.send((Instant::now(), event)).is_err() {
                    return;
                }
            }
        });
        for number in 0..changes {
            let record = own(&from, number);
            let instance = record.instance;
            let registered = from.directory.register(record.clone());
            self.timed(&format!("{store}: register to `Up`"), registered, &mut seen, is_up).await?;
            let changed = InstanceRecord { weight: 7, ..record };
            let put = shape::put(&cluster, &changed, None)?;
            let written = from.line.kv.txn(Txn::new([put]));
            let title = format!("{store}: a raw put to `Changed`");
            self.timed(&title, written, &mut seen, is_changed).await?;
            let instances = [instance];
            let left = from.directory.deregister(&instances);
            let title = format!("{store}: deregister to `Down`");
            // The node may write its own record again before it leaves, since somebody changed it.
            self.timed(&title, left, &mut seen, is_down).await?;
        }
        from.directory.shutdown().await?;
        to.directory.shutdown().await?;
        Ok(())
    }

    /// From a put to its event in a bare watch: the store's own part.
    async fn bare(&mut self, store: &str, place: &Place, changes: u64) -> Result<()> {
        let (from, to) = (Line::open(place).await?, Line::open(place).await?);
        let newest = from.kv.range(RangeRequest::prefix("/bare/").limit(1)).await?.revision;
        let request = WatchRequest { prefix: "/bare/".to_owned(), from: newest.next() };
        let kv = Arc::clone(&to.kv);
        let mut watch = to.run(async move { kv.watch(request).await }).await??;
        let (sender, mut seen) = mpsc::unbounded_channel();
        to.handle().spawn(async move {
            while let Ok(batch) = watch.next().await {
                let now = Instant::now();
                for event in batch.events {
                    if sender.send((now, event)).is_err() {
                        return;
                    }
                }
            }
        });
        let value = vec![b'x'; 300];
        for number in 0..changes {
            let put = Op::put(format!("/bare/{number}"), value.clone(), None);
            let written = from.kv.txn(Txn::new([put]));
            let title = format!("{store}: limit, a put to a bare watch");
            self.timed(&title, written, &mut seen, |_| true).await?;
        }
        Ok(())
    }

    /// Makes a change and waits for its event; takes the time from before the change to the event.
    async fn timed<T, E, Event>(
        &mut self,
        title: &str,
        change: impl Future<Output = Result<T, E>>,
        seen: &mut mpsc::UnboundedReceiver<(Instant, Event)>,
        is_it: impl Fn(&Event) -> bool,
    ) -> Result<()>
    where
        callboard::BoxError: From<E>,
    {
        let began = Instant::now();
        let event = async {
            loop {
                match timeout(PATIENCE, seen.recv()).await {
                    Ok(Some((at, event))) if is_it(&event) => return Ok(at),
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return Err(format!("{title}: no event came").into()),
                }
            }
        };
        let (done, at) = tokio::join!(change, event);
        done?;
        let at: Result<Instant> = at;
        self.push(title, at? - began);
        Ok(())
    }

    fn push(&mut self, title: &str, latency: Duration) {
        let at = self.lines.iter().position(|line| line.title == title).unwrap_or_else(|| {
            self.lines.push(Latencies { title: title.to_owned(), sorted: Vec::new() });
            self.lines.len() - 1
        });
        let sorted = &mut self.lines[at].sorted;
        sorted.insert(sorted.partition_point(|other| *other <= latency), latency);
    }
}

fn own(node: &Node, number: u64) -> InstanceRecord {
    let instance = InstanceName::new(node.directory.incarnation(), number);
    shape::record(name(SERVICE), instance, node.directory.node())
}

fn is_up(event: &DirectoryEvent) -> bool {
    matches!(event, DirectoryEvent::Up(_))
}

fn is_changed(event: &DirectoryEvent) -> bool {
    matches!(event, DirectoryEvent::Changed(record) if record.weight == 7)
}

fn is_down(event: &DirectoryEvent) -> bool {
    matches!(event, DirectoryEvent::Down { left: true, .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_smallest_that_so_many_do_not_exceed() {
        let mut all = Propagation::default();
        for micros in (1..=200).rev() {
            all.push("a", Duration::from_micros(micros));
        }
        let line = &all.lines[0];
        let found = [50, 99, 100].map(|percent| line.percentile(percent).round());
        assert_eq!((found, line.count()), ([100.0, 198.0, 200.0], 200));
    }
}
