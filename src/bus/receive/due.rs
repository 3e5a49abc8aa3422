use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::future::select;
use tokio::time::Instant;

use super::source::Source;
use crate::bus::stats::add;

/// At most so many messages are released by one call.
const BATCH: usize = 256;
/// How often the delay set is looked at when nothing is known to be due: others put messages there
/// too.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The one task that releases what is due of a source's delay set, until reading stops.
pub(super) async fn release_due(source: Arc<Source>) {
    while !source.is_stopping() {
        let due = source.core.log.due(&source.stream, BATCH);
        let due = source.core.call("a release", due).await;
        let wait = match due {
            Ok(due) => {
                add(&source.core.counters.released, due.released as u64);
                if due.released == BATCH {
                    continue;
                }
                until(&source, due.next_ms)
            }
            Err(error) => {
                tracing::debug!(stream = %source.stream, %error, "delayed messages wait");
                LOOK_EVERY
            }
        };
        // Every instance does this: they should not all do it in the same moment.
        let jitter = Duration::from_millis(fastrand::u64(1..=20));
        let timer = tokio::time::sleep(wait + jitter);
        let (delayed, stopped) = (pin!(source.delayed.notified()), pin!(source.stopped()));
        select(pin!(timer), select(delayed, stopped)).await;
    }
}

fn until(source: &Source, next_ms: Option<u64>) -> Duration {
    let now = Instant::now();
    let next = next_ms.map(|next_ms| source.core.clock.instant(next_ms, now) - now);
    next.unwrap_or(LOOK_EVERY).min(LOOK_EVERY)
}
