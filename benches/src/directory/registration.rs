//! How fast instances get into the directory and out of it.

use std::{sync::Arc, time::Instant};

use callboard::{
    Incarnation, Name,
    directory::{InstanceName, InstanceRecord},
    kv::EmbeddedKv,
};
use futures_util::future::try_join_all;

use super::{
    Result,
    node::{Line, Node, Place},
    shape::{self, BATCH, name},
    sheet::Sheet,
};

/// The columns of the sheet.
pub const COLUMNS: &[&str] = &["seconds", "instances a second", "bare txns of 100, a second"];
/// Instances a second by callboard.
pub const RATE: usize = 1;
/// Instances a second by bare transactions.
pub const BARE: usize = 2;

/// How many nodes register how many instances each.
const ETCD: [(usize, usize); 3] = [(1, 1_000), (1, 10_000), (10, 10_000)];
/// The same on the embedded store.
const EMBEDDED: [(usize, usize); 2] = [(1, 1_000), (1, 10_000)];
/// Instances of one service.
const PER_SERVICE: usize = 10;
/// How long the leases of bare transactions live.
const LEASE: std::time::Duration = std::time::Duration::from_secs(60);

/// Runs all rows once.
///
/// # Errors
/// When a store fails.
pub async fn round(sheet: &mut Sheet, etcd: &Place, divisor: u64) -> Result<()> {
    for (nodes, each) in ETCD {
        // The largest takes most of a short run.
        let each = if nodes > 1 { each / usize::try_from(divisor)? } else { each };
        run(sheet, "etcd", etcd, nodes, each).await?;
    }
    for (nodes, each) in EMBEDDED {
        let store = Place::Embedded(Arc::new(EmbeddedKv::new()));
        run(sheet, "embedded", &store, nodes, each).await?;
    }
    Ok(())
}

async fn run(
    sheet: &mut Sheet,
    store: &str,
    place: &Place,
    nodes: usize,
    each: usize,
) -> Result<()> {
    let cluster = name(&format!("registration-{:016x}", fastrand::u64(..)));
    let of = match nodes {
        1 => format!("{store}, one node, {each}"),
        nodes => format!("{store}, {nodes} nodes at once, {} in all", nodes * each),
    };
    let total = (nodes * each) as f64;
    let numbers = 0..nodes;
    let joined = numbers.clone().map(|number| {
        let cluster = cluster.clone();
        async move { Node::join(place, &cluster, &format!("node-{number}")).await }
    });
    let joined = try_join_all(joined).await?;
    let records: Vec<Vec<InstanceRecord>> = joined.iter().map(|node| records(node, each)).collect();

    let began = Instant::now();
    try_join_all(joined.iter().zip(records).map(|(node, records)| register(node, records))).await?;
    let seconds = began.elapsed().as_secs_f64();
    sheet.push(&format!("{of}: register"), 0, seconds);
    sheet.push(&format!("{of}: register"), RATE, total / seconds);

    let began = Instant::now();
    try_join_all(joined.iter().map(|node| node.directory.shutdown())).await?;
    let seconds = began.elapsed().as_secs_f64();
    sheet.push(&format!("{of}: leave"), 0, seconds);
    sheet.push(&format!("{of}: leave"), RATE, total / seconds);
    drop(joined);

    let lines = try_join_all(numbers.map(|_| Line::open(place))).await?;
    let writers = lines.iter().enumerate().map(|(number, line)| bare(line, &cluster, number, each));
    let seconds = try_join_all(writers).await?.into_iter().fold(0.0, f64::max);
    sheet.push(&format!("{of}: register"), BARE, total / seconds);
    Ok(())
}

/// Registers all and waits until each is registered and visible to its own node.
async fn register(node: &Node, records: Vec<InstanceRecord>) -> Result<()> {
    let directory = node.directory.clone();
    // On the node's thread, as a program on that runtime would.
    let all = node.line.run(async move {
        try_join_all(records.into_iter().map(|record| directory.register(record))).await
    });
    all.await??;
    Ok(())
}

fn records(node: &Node, count: usize) -> Vec<InstanceRecord> {
    let of = node.directory.node();
    let record = |number: usize| {
        let instance = InstanceName::new(node.directory.incarnation(), number as u64);
        shape::record(name(&format!("{of}.{}", number / PER_SERVICE)), instance, of)
    };
    (0..count).map(record).collect()
}

/// The same puts under a lease, by nothing but transactions one after the other; gives the seconds.
async fn bare(line: &Line, cluster: &Name, number: usize, count: usize) -> Result<f64> {
    let node = name(&format!("bare-{number}"));
    let (kv, incarnation) = (Arc::clone(&line.kv), Incarnation::fresh());
    let cluster = cluster.clone();
    let written = line.run(async move {
        let lease = kv.lease_grant(LEASE).await?.id;
        let put = |number: usize| {
            let instance = InstanceName::new(incarnation, number as u64);
            let service = name(&format!("{node}.{}", number / PER_SERVICE));
            shape::put(&cluster, &shape::record(service, instance, &node), Some(lease))
        };
        let ops = (0..count).map(put).collect::<Result<Vec<_>>>()?;
        let began = Instant::now();
        shape::write(&kv, ops, BATCH, 1).await?;
        let seconds = began.elapsed().as_secs_f64();
        kv.lease_revoke(lease).await?;
        Result::Ok(seconds)
    });
    written.await?
}
