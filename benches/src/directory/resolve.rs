//! What a resolve costs: from memory, and by a range of etcd each time.

use std::{
    hint::black_box,
    sync::{Arc, Barrier},
    thread,
    time::Instant,
};

use callboard::{
    directory::Directory,
    kv::{KeyValueStore, RangeRequest},
};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    Result,
    churn::Churn,
    node::{Line, Node, Place, used_by_this_thread},
    shape::Shape,
    sheet::Sheet,
};

/// What is resolved from.
pub const SHAPES: [Shape; 5] = [
    Shape::new(1_000, 10),
    Shape::new(1, 10_000),
    Shape::new(10_000, 10),
    Shape::new(1_000, 100),
    Shape::new(1, 100_000),
];

/// The columns of the sheet.
pub const COLUMNS: &[&str] = &[
    "1 thread",
    "2 threads",
    "1, beside changes",
    "2, beside changes",
    "etcd range",
    "64 in flight",
];
/// The column of a range for each resolve, one after the other.
pub const RANGE: usize = 4;

/// By `ServiceHandle::current`.
pub const HOT: &str = "hot";
/// By `Directory::resolve`.
pub const COLD: &str = "cold";

const HOT_RESOLVES: u64 = 50_000_000;
const COLD_RESOLVES: u64 = 5_000_000;
/// Instances that all ranges of one sample read together.
const RANGE_INSTANCES: usize = 20_000;
/// Ranges under way at once.
const IN_FLIGHT: usize = 64;
/// Services that are larger are not read so many times at once.
const IN_FLIGHT_EACH_MAX: usize = 1000;

/// The nodes that resolve, and who changes what they see.
#[derive(Debug)]
pub struct Resolvers {
    nodes: Vec<(Shape, Node)>,
    writer: Line,
}

impl Resolvers {
    /// One node for each shape, whose clusters stand.
    ///
    /// # Errors
    /// When the store can't be reached.
    pub async fn start(place: &Place) -> Result<Self> {
        let mut nodes = Vec::new();
        for shape in SHAPES {
            nodes.push((shape, Node::join(place, &shape.cluster(), "resolver").await?));
        }
        Ok(Self { nodes, writer: Line::open(place).await? })
    }

    /// Runs all rows once; gives the changes a second that the slowest writer came to.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn round(&self, sheet: &mut Sheet, divisor: u64) -> Result<f64> {
        let mut slowest = f64::INFINITY;
        for (shape, node) in &self.nodes {
            for threads in [1, 2] {
                let column = threads - 1;
                sheet.push(&line(HOT, *shape), column, hot(node, *shape, threads, divisor));
                sheet.push(&line(COLD, *shape), column, cold(node, *shape, threads, divisor));
            }
            let churn = Churn::begin(&self.writer, *shape);
            for threads in [1, 2] {
                let column = threads + 1;
                sheet.push(&line(HOT, *shape), column, hot(node, *shape, threads, divisor));
                sheet.push(&line(COLD, *shape), column, cold(node, *shape, threads, divisor));
            }
            slowest = slowest.min(churn.end().await?);
            let kv = &node.line.kv;
            let ranges = (RANGE_INSTANCES / shape.each).max(4) / usize::try_from(divisor)?;
            let one = ranges_in_turn(kv, *shape, ranges.max(2)).await?;
            sheet.push(&line(COLD, *shape), RANGE, one);
            if shape.each <= IN_FLIGHT_EACH_MAX {
                let many = ranges_in_flight(kv, *shape, (ranges * 4).max(IN_FLIGHT)).await?;
                sheet.push(&line(COLD, *shape), RANGE + 1, many);
            }
        }
        Ok(slowest)
    }
}

/// The line of a kind of resolve.
pub fn line(kind: &str, shape: Shape) -> String {
    format!("{kind}, {}", shape.title())
}

/// One handle, over and over.
fn hot(node: &Node, shape: Shape, threads: usize, divisor: u64) -> f64 {
    timed(threads, HOT_RESOLVES / divisor, |thread| {
        let mut handle = node.directory.handle(&shape.service(thread % shape.services));
        move |resolves| {
            for _ in 0..resolves {
                black_box(black_box(&mut handle).current().instances.len());
            }
        }
    })
}

/// All services in random order.
fn cold(node: &Node, shape: Shape, threads: usize, divisor: u64) -> f64 {
    timed(threads, COLD_RESOLVES / divisor, |_| {
        let (names, directory): (_, Directory) = (shape.shuffled(), node.directory.clone());
        let mut at = 0;
        move |resolves| {
            for _ in 0..resolves {
                let view = directory.resolve(&names[at]);
                debug_assert_eq!(view.instances.len(), shape.each);
                black_box(view.instances.len());
                at += 1;
                if at == names.len() {
                    at = 0;
                }
            }
        }
    })
}

/// Nanoseconds per resolve, of threads that resolve at the same time, after a tenth as warm-up. By
/// the processor time of the threads: what else runs on their cores is not theirs.
fn timed<W: FnMut(u64)>(threads: usize, resolves: u64, make: impl Fn(usize) -> W + Sync) -> f64 {
    let barrier = Barrier::new(threads);
    let run = |thread| {
        let mut work = make(thread);
        work(resolves / 10);
        barrier.wait();
        let before = used_by_this_thread();
        work(resolves);
        (used_by_this_thread() - before).as_nanos() as f64 / resolves as f64
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn({
                    let run = &run;
                    move || run(thread)
                })
            })
            .collect();
        let all = running.into_iter().map(|thread| thread.join().expect("no thread panics"));
        all.sum::<f64>() / threads as f64
    })
}

async fn ranges_in_turn(kv: &Arc<dyn KeyValueStore>, shape: Shape, ranges: usize) -> Result<f64> {
    let names = shape.shuffled();
    range(kv, shape, &names[0]).await?;
    let began = Instant::now();
    for at in 0..ranges {
        range(kv, shape, &names[at % names.len()]).await?;
    }
    Ok(began.elapsed().as_nanos() as f64 / ranges as f64)
}

async fn ranges_in_flight(kv: &Arc<dyn KeyValueStore>, shape: Shape, ranges: usize) -> Result<f64> {
    let names = shape.shuffled();
    let began = Instant::now();
    let reads = (0..ranges).map(|at| range(kv, shape, &names[at % names.len()]));
    let reads = stream::iter(reads).buffer_unordered(IN_FLIGHT);
    reads.try_for_each(|()| std::future::ready(Ok(()))).await?;
    Ok(began.elapsed().as_nanos() as f64 / ranges as f64)
}

/// What a resolve is without a cache. Its values are not even decoded.
async fn range(kv: &Arc<dyn KeyValueStore>, shape: Shape, service: &callboard::Name) -> Result<()> {
    let prefix = format!("/callboard/{}/svc/{service}/", shape.cluster());
    let found = kv.range(RangeRequest::prefix(prefix)).await?.kvs.len();
    if found != shape.each {
        return Err(format!("{found} instances of {service}, not {}", shape.each).into());
    }
    Ok(())
}
