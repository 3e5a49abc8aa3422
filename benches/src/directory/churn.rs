//! A writer that changes instances of a cluster all the time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use callboard::kv::{KeyValueStore, Txn};
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use super::{Result, node::Line, shape::Shape};

/// Changed instances of one transaction.
const CHANGES: usize = 50;
/// Between two transactions, if the store keeps up.
const EVERY: Duration = Duration::from_millis(10);

/// Writes until it is stopped.
#[derive(Debug)]
pub struct Churn {
    changes: Arc<AtomicU64>,
    began: Instant,
    writer: JoinHandle<Result<()>>,
}

impl Churn {
    /// Begins to change random instances of what stands in a shape's cluster.
    pub fn begin(line: &Line, shape: Shape) -> Self {
        let changes = Arc::default();
        let writer = line.handle().spawn(change(Arc::clone(&line.kv), shape, Arc::clone(&changes)));
        Self { changes, began: Instant::now(), writer }
    }

    /// Stops it, and gives the changes a second that the store took.
    ///
    /// # Errors
    /// When a write failed.
    pub async fn end(self) -> Result<f64> {
        let rate = self.changes.load(Ordering::Relaxed) as f64 / self.began.elapsed().as_secs_f64();
        self.writer.abort();
        match self.writer.await {
            Err(error) if error.is_cancelled() => Ok(rate),
            Err(error) => Err(error.into()),
            Ok(failed) => failed.map(|()| rate),
        }
    }
}

async fn change(kv: Arc<dyn KeyValueStore>, shape: Shape, changes: Arc<AtomicU64>) -> Result<()> {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for weight in 2.. {
        ticks.tick().await;
        // From anywhere on, with a step over all services: no key twice in a transaction.
        let first = fastrand::usize(..shape.instances());
        let step = (shape.instances() / CHANGES).max(1) + 1;
        let numbers = (0..CHANGES).map(|n| (first + n * step) % shape.instances());
        let mut numbers: Vec<usize> = numbers.collect();
        numbers.sort_unstable();
        numbers.dedup();
        let count = numbers.len() as u64;
        let puts = numbers.into_iter().map(|number| shape.put(number, weight));
        kv.txn(Txn::new(puts.collect::<Result<Vec<_>>>()?)).await?;
        changes.fetch_add(count, Ordering::Relaxed);
    }
    Ok(())
}
