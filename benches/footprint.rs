//! Memory of the local core and its peers:
//! `cargo bench --manifest-path benches/Cargo.toml --bench footprint`.
//!
//! A program of its own, because an allocator that counts slows those who allocate. It counts what
//! the whole process allocates, in steady state, and what an idle actor holds; and what a node holds of
//! each instance in the directory.

use std::alloc::System;

use callboard_benches::{
    demands::IDLE_BYTES_MAX,
    figures::shown,
    row::{PEERS, ROWS},
    span,
    table::Table,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Messages of one sample, a multiple of every window.
const MESSAGES: u64 = 500_000;

fn main() {
    span::count_allocations(|| ALLOCATOR.stats());
    let names = PEERS.iter().map(|(name, _)| *name);
    let mut table = Table::new(["allocations per message"].into_iter().chain(names));
    for row in &ROWS {
        // Those make actors; what waits for the other thread allocates as its like on one thread.
        if ["spawn", "fork-join"].contains(&row.key) || row.is_latency {
            continue;
        }
        let cell = |(_, run): &(_, callboard_benches::row::Runner)| {
            let per_message = |count: u64| format!("{:.3}", count as f64 / MESSAGES as f64);
            run(row, MESSAGES).map_or("-".to_owned(), |sample| per_message(sample.allocations))
        };
        table.push([row.title.to_owned()].into_iter().chain(PEERS.iter().map(cell)).collect());
    }
    let spawn = ROWS.iter().find(|row| row.key == "spawn").expect("there is such a row");
    let bytes = PEERS.map(|(_, run)| {
        let sample = run(spawn, spawn.messages).expect("every peer can spawn");
        sample.bytes as f64 / spawn.messages as f64
    });
    let cells = bytes.map(shown);
    table.push(["bytes per idle actor".to_owned()].into_iter().chain(cells).collect());
    println!("{table}");
    let verdict = if bytes[0] <= IDLE_BYTES_MAX { "met" } else { "MISSED" };
    println!("Floor: at most {IDLE_BYTES_MAX} bytes per idle actor of callboard: {verdict}.");
    #[cfg(feature = "remote")]
    println!(
        "A node holds {} bytes of each of 100k instances, in 10k services.",
        shown(known::bytes())
    );
}

/// What a node knows of its cluster.
#[cfg(feature = "remote")]
mod known {
    use std::sync::Arc;

    use callboard::kv::{EmbeddedKv, KeyValueStore};
    use callboard_benches::{
        directory::{
            Result,
            node::{Node, Place},
            shape::Shape,
        },
        span::Span,
    };

    /// Bytes of an instance, by a node that joins over a store that is filled before.
    pub(crate) fn bytes() -> f64 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let joined = runtime.expect("a runtime").block_on(join(Shape::new(10_000, 10)));
        joined.expect("an embedded store does not fail")
    }

    async fn join(shape: Shape) -> Result<f64> {
        let kv: Arc<dyn KeyValueStore> = Arc::new(EmbeddedKv::new());
        shape.fill(&kv).await?;
        let span = Span::begin();
        let node = Node::join(&Place::Embedded(kv), &shape.cluster(), "learner").await?;
        let bytes = span.end().bytes;
        node.directory.shutdown().await?;
        Ok(bytes as f64 / shape.instances() as f64)
    }
}
