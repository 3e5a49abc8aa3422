//! How a bus ends in order.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout, timeout_at};

use super::{core::Core, outbox::Destination, process::Owner};
use crate::log::{LogError, StreamName};

/// Finishes what can be finished before the deadline, removes the own streams and ends.
pub(super) async fn stop(owner: Arc<Owner>, deadline: Instant) {
    if timeout_at(deadline, wind_down(&owner.core)).await.is_err() {
        tracing::warn!("the bus was stopped before everything was finished");
    }
    remove_streams(&owner).await;
    owner.core.end();
}

async fn wind_down(core: &Core) {
    let sources = core.sources_at_work();
    join_all(sources.iter().map(|source| source.end_reading())).await;
    join_all(sources.iter().map(|source| source.drained())).await;
    let lanes = core.outbox.all();
    join_all(lanes.iter().map(|lane| lane.flushed())).await;
}

/// What only this process used goes with it, unless there are messages in it.
async fn remove_streams(owner: &Owner) {
    let core = &owner.core;
    let groups = std::mem::take(&mut *owner.groups.lock());
    for (topic, group) in groups {
        let removed =
            timeout(core.limits.call_timeout, core.log.remove_group(&topic, &group)).await;
        if !matches!(removed, Ok(Ok(()))) {
            tracing::warn!(%topic, group, "a group was left behind");
        }
    }
    let inbox = owner.inbox.lock().take();
    let replies = Destination::Replies(core.incarnation).stream(&core.cluster);
    for stream in inbox.into_iter().chain([replies]) {
        let removed = timeout(core.limits.call_timeout, remove_if_empty(core, &stream)).await;
        match removed {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => tracing::warn!(%stream, "a stream with messages was left behind"),
            Ok(Err(error)) => tracing::warn!(%stream, %error, "a stream was left behind"),
            Err(_) => tracing::warn!(%stream, "a stream was left behind: no answer"),
        }
    }
}

async fn remove_if_empty(core: &Core, stream: &StreamName) -> Result<bool, LogError> {
    let Some(info) = core.log.info(stream).await? else { return Ok(true) };
    if info.accounting.held > 0 || info.accounting.delayed > 0 {
        return Ok(false);
    }
    core.log.delete(stream).await?;
    Ok(true)
}
