//! How long until a node shows ten thousand changes that come at once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use callboard::{
    directory::Directory,
    kv::{RangeRequest, WatchRequest},
};
use tokio::{sync::oneshot, time::sleep};

use super::{
    Result,
    node::{Line, Node, Place},
    shape::{self, BATCH, Shape},
    sheet::Sheet,
};

/// The columns of the sheet.
pub const COLUMNS: &[&str] = &[
    "seconds until shown",
    "of it after the last write",
    "us of CPU a change",
    "limit: bare watch, seconds",
    "us of CPU a change",
];
/// Seconds until a node shows all.
pub const SHOWN: usize = 0;
/// Seconds until a bare watch has seen all.
pub const BARE: usize = 3;

/// Changes of one sample.
const CHANGES: usize = 10_000;
/// Transactions under way at once.
const UNDER_WAY: usize = 16;
/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// What changes: its cluster, puts of one transaction, changes.
const CASES: [(Shape, usize); 6] = [
    (Shape::new(1_000, 10), BATCH),
    (Shape::new(1, 10_000), BATCH),
    (Shape::new(1, 100_000), BATCH),
    (Shape::new(1_000, 10), 1),
    (Shape::new(1, 10_000), 1),
    (Shape::new(1, 100_000), 1),
];

/// Runs all rows once; `round` tells the writes of the rounds apart.
///
/// # Errors
/// When etcd fails, or changes are not shown.
pub async fn round(sheet: &mut Sheet, place: &Place, round: usize, divisor: u64) -> Result<()> {
    let changes = CHANGES / usize::try_from(divisor)?;
    for (case, (shape, batch)) in CASES.into_iter().enumerate() {
        let how = match batch {
            1 => "one by one".to_owned(),
            batch => format!("{batch} a transaction"),
        };
        let line = format!("{changes} of {}, {how}", shape.title());
        // Two writes of each case, of which no weight is like one before.
        let weight = u32::try_from(1_000_000 + 2 * (round * CASES.len() + case))?;
        let writer = Line::open(place).await?;
        let shown = until_shown(&writer, place, shape, batch, changes, weight).await?;
        let bare = until_seen(&writer, place, shape, batch, changes, weight + 1).await?;
        for (column, figure) in shown.into_iter().chain(bare).enumerate() {
            sheet.push(&line, column, figure);
        }
    }
    Ok(())
}

async fn until_shown(
    writer: &Line,
    place: &Place,
    shape: Shape,
    batch: usize,
    changes: usize,
    weight: u32,
) -> Result<[f64; 3]> {
    let node = Node::join(place, &shape.cluster(), "observer").await?;
    let used = node.line.used().await?;
    let began = Instant::now();
    write(writer, shape, batch, changes, weight).await?;
    let written = Instant::now();
    while shown(&node.directory, shape, weight) < changes {
        if began.elapsed() > PATIENCE {
            return Err(format!("{changes} changes were not shown in {PATIENCE:?}").into());
        }
        sleep(Duration::from_millis(1)).await;
    }
    let (all, late) = (began.elapsed().as_secs_f64(), written.elapsed().as_secs_f64());
    let used = node.line.used().await?.saturating_sub(used);
    node.directory.shutdown().await?;
    Ok([all, late, used.as_secs_f64() * 1e6 / changes as f64])
}

/// What the store and its client take alone.
async fn until_seen(
    writer: &Line,
    place: &Place,
    shape: Shape,
    batch: usize,
    changes: usize,
    weight: u32,
) -> Result<[f64; 2]> {
    let line = Line::open(place).await?;
    let prefix = format!("/callboard/{}/svc/", shape.cluster());
    let newest = line.kv.range(RangeRequest::prefix(&prefix).limit(1)).await?.revision;
    let request = WatchRequest { prefix, from: newest.next() };
    let kv = Arc::clone(&line.kv);
    let mut watch = line.run(async move { kv.watch(request).await }).await??;
    let used = line.used().await?;
    let (sender, seen) = oneshot::channel();
    line.handle().spawn(async move {
        let mut count = 0;
        while count < changes {
            match watch.next().await {
                Ok(batch) => count += batch.events.len(),
                Err(error) => return sender.send(Err(error)),
            }
        }
        sender.send(Ok(()))
    });
    let began = Instant::now();
    write(writer, shape, batch, changes, weight).await?;
    seen.await??;
    let all = began.elapsed().as_secs_f64();
    let used = line.used().await?.saturating_sub(used);
    Ok([all, used.as_secs_f64() * 1e6 / changes as f64])
}

async fn write(
    writer: &Line,
    shape: Shape,
    batch: usize,
    changes: usize,
    weight: u32,
) -> Result<()> {
    let puts = (0..changes).map(|number| shape.put(number, weight));
    shape::write(&writer.kv, puts.collect::<Result<Vec<_>>>()?, batch, UNDER_WAY).await
}

/// How many instances a node shows with this weight.
fn shown(directory: &Directory, shape: Shape, weight: u32) -> usize {
    let of = |number| {
        let view = directory.resolve(&shape.service(number));
        view.instances.iter().filter(|instance| instance.weight == weight).count()
    };
    (0..shape.services).map(of).sum()
}
