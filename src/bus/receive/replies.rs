use std::sync::Arc;

use tokio::time::timeout;

use crate::{
    bus::{
        core::Core,
        event::BusEvent,
        frame::{Frame, Kind},
        refusal,
        start::REPLIES_KEPT,
        stats::add,
        waiters::ReplyBytes,
    },
    log::{Entry, EntryId, LogError, Place, StreamName},
};

const ENTRIES_MAX: usize = 64;
/// Read entries are removed by so many.
const TRIM_AFTER: usize = 256;

/// The one task that reads this process's replies and hands them to who waits.
pub(crate) async fn read_replies(core: Arc<Core>, stream: StreamName) {
    let mut last = EntryId::MIN;
    let mut untrimmed = 0;
    let mut failures = 0_u32;
    loop {
        match read_on(&core, &stream, &mut last, failures > 0).await {
            Ok(entries) => {
                failures = 0;
                let idle = entries.is_empty();
                for entry in entries {
                    last = entry.id;
                    untrimmed += 1;
                    take_in(&core, &stream, entry);
                }
                if untrimmed >= TRIM_AFTER || (idle && untrimmed > 0) {
                    trim(&core, &stream, last).await;
                    untrimmed = 0;
                }
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                add(&core.counters.reads_failed, 1);
                tracing::debug!(%stream, failures, %error, "a read of replies failed");
                tokio::time::sleep(core.limits.call_backoff.jittered(failures)).await;
            }
        }
    }
}

/// Reads what comes next; after a failure not before the stream was looked at.
async fn read_on(
    core: &Core,
    stream: &StreamName,
    last: &mut EntryId,
    has_failed: bool,
) -> Result<Vec<Entry>, LogError> {
    if has_failed {
        reopen(core, stream, last).await?;
    }
    read(core, stream, *last).await
}

/// Makes the stream again where the log lost it, and begins with it anew where the log has gone back:
/// ids of a log that follows another clock may lie below the last one.
async fn reopen(core: &Core, stream: &StreamName, last: &mut EntryId) -> Result<(), LogError> {
    core.call("open the replies", core.log.open(stream, Some(REPLIES_KEPT))).await?;
    let info = core.call("a look", core.log.info(stream)).await?;
    if info.is_some_and(|info| info.last < *last) {
        *last = EntryId::MIN;
    }
    Ok(())
}

async fn read(core: &Core, stream: &StreamName, last: EntryId) -> Result<Vec<Entry>, LogError> {
    let limits = &core.limits;
    let streams = [(stream.clone(), last)];
    let reader = stream.to_string();
    let read = core.log.read_from(&streams, &reader, ENTRIES_MAX, limits.read_block);
    let batches =
        timeout(limits.read_block + limits.call_timeout, read).await.unwrap_or_else(|_| {
            let what = "a read had no answer in time".to_owned();
            Err(LogError::Unavailable { what, source: None })
        })?;
    Ok(batches.into_iter().flat_map(|batch| batch.entries).collect())
}

fn take_in(core: &Core, stream: &StreamName, entry: Entry) {
    let frame = match Frame::parse(entry.frame) {
        Ok(frame) => frame,
        Err(error) => {
            // Nobody could do anything with it later: who waited for it learns at the deadline.
            add(&core.counters.entries_unreadable, 1);
            let (stream, reason) = (stream.clone(), error.to_string());
            return core.events.tell(BusEvent::Unreadable { stream, entry: entry.id, reason });
        }
    };
    add(&core.counters.frames_received, 1);
    for index in 0..frame.count() {
        let Some((message, body)) = frame.message(index) else { continue };
        let Some(correlation) = message.correlation else { continue };
        let answer = match message.kind {
            Kind::Reply => Ok(ReplyBytes { codec: message.codec, body }),
            Kind::Refusal => Err(refusal::from_wire(&body)),
            _ => continue,
        };
        if !core.waiters.complete(correlation, answer) {
            add(&core.counters.replies_late, 1);
        }
    }
}

async fn trim(core: &Core, stream: &StreamName, last: EntryId) {
    let trim = core.log.trim(stream, Place::Live, last.next());
    match timeout(core.limits.call_timeout, trim).await {
        Ok(Ok(_)) => {}
        // The next one removes these too.
        Ok(Err(error)) => tracing::debug!(%stream, %error, "replies were not trimmed"),
        Err(_) => tracing::debug!(%stream, "replies were not trimmed in time"),
    }
}
