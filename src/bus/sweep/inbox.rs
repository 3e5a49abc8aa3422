use std::{sync::Arc, time::Duration};

use futures_util::future::join;
use tokio::time::Instant;

use super::Sweeper;
use crate::{
    bus::{
        core::Core,
        event::BusEvent,
        keys,
        process::INBOX_GROUP,
        receive::{Foreign, Reading},
        stats::add,
    },
    error::{Delivery, Failure, FailureKind},
    id::Incarnation,
    log::{
        Claim, ClaimRequest, EntryId, GroupInfo, LogError, Place, ReadGroupRequest, Recorded,
        StreamInfo, StreamName,
    },
};

/// Entries that are ended at a time.
const BATCH: usize = 16;
/// Delayed messages that are released at a time.
const RELEASED_MAX: usize = 256;
/// Nobody wrote for so long: a message that is on its way now would be lost with the stream.
const QUIET: Duration = Duration::from_secs(10);

impl Sweeper {
    /// Ends what is in the inbox of a process that the directory misses, if it is silent too: nobody
    /// touched what was read there and nobody read what was written for [`BusLimits::claim_idle`].
    ///
    /// [`BusLimits::claim_idle`]: crate::bus::BusLimits::claim_idle
    pub(super) async fn sweep_inbox(
        &mut self,
        core: &Arc<Core>,
        owner: Incarnation,
        stream: &StreamName,
    ) -> Result<(), LogError> {
        while core.call("a release", core.log.due(stream, RELEASED_MAX)).await?.released > 0 {}
        let reading = Reading {
            stream: stream.clone(),
            group: INBOX_GROUP.to_owned(),
            // A name for this sweep alone: what it leaves behind can be claimed by the next one.
            reader: Incarnation::fresh(),
            retries: None,
            retry_target: None,
            letters: Some(keys::dead_letters_of_nodes(&core.cluster)),
            is_shared: true,
            service: None,
        };
        let (foreign, work) = Foreign::new(core.clone(), reading);
        let sweep = Sweep { core, owner, stream, foreign };
        let ended = async {
            let ended = sweep.end_all().await;
            sweep.foreign.finish();
            ended
        };
        let (ended, ()) = join(ended, work).await;
        let ended = ended?;
        if ended > 0 {
            self.silent.insert(owner);
            add(&core.counters.entries_swept, ended);
            core.events.tell(BusEvent::Swept { stream: stream.clone(), entries: ended });
        }
        self.remove_if_over(core, owner, stream).await
    }

    async fn remove_if_over(
        &mut self,
        core: &Core,
        owner: Incarnation,
        stream: &StreamName,
    ) -> Result<(), LogError> {
        let replies = keys::replies(&core.cluster, owner);
        // One that lives renews its replies, and they end when it does not: so an inbox in which
        // nobody's silence could be seen, as nothing is in it, ends a while after its process.
        if !self.silent.contains(&owner)
            && core.call("a look", core.log.info(&replies)).await?.is_some()
        {
            return Ok(());
        }
        let Some(info) = core.call("a look", core.log.info(stream)).await? else { return Ok(()) };
        let is_empty = info.length == 0 && info.accounting.delayed == 0;
        let quiet = age(core, info.last) >= QUIET;
        if is_empty && quiet {
            core.call("a removal", core.log.delete(stream)).await?;
            core.call("a removal", core.log.delete(&replies)).await?;
            self.silent.remove(&owner);
        }
        Ok(())
    }
}

/// One sweep of one inbox.
struct Sweep<'a> {
    core: &'a Arc<Core>,
    owner: Incarnation,
    stream: &'a StreamName,
    foreign: Foreign,
}

impl Sweep<'_> {
    /// Ends what may be ended, and says how many entries that were.
    async fn end_all(&self) -> Result<u64, LogError> {
        let Some(mut ended) = self.end_read().await? else { return Ok(0) };
        if self.is_unread_for_long().await? {
            ended += self.end_unread().await?;
        }
        Ok(ended)
    }

    /// Entries that the owner had read: nobody knows whether a handler saw them. `None` while the log
    /// can't tell who is idle.
    async fn end_read(&self) -> Result<Option<u64>, LogError> {
        let mut ended = 0;
        loop {
            let request = ClaimRequest {
                consumer: self.foreign.consumer().clone(),
                from: None,
                idle: self.core.limits.claim_idle,
                limit: BATCH,
            };
            let claim = self.core.log.claim(self.stream, request);
            let Claim::Taken { entries, .. } = self.core.call("a claim", claim).await? else {
                return Ok(None);
            };
            if entries.is_empty() {
                return Ok(Some(ended));
            }
            ended += entries.len() as u64;
            for claimed in entries {
                let failure = self.gone(Delivery::Unknown);
                self.foreign.end(claimed.entry, claimed.recorded, &failure).await;
            }
            self.foreign.drained().await;
        }
    }

    /// Whether something waits that nobody read for long, while nobody holds anything either.
    async fn is_unread_for_long(&self) -> Result<bool, LogError> {
        let look = self.core.call("a look", self.core.log.info(self.stream)).await?;
        let Some(StreamInfo { groups, .. }) = look else { return Ok(false) };
        let group = groups.into_iter().find(|group| group.name == INBOX_GROUP);
        let Some(GroupInfo { last_delivered, consumers, .. }) = group else { return Ok(false) };
        let is_other = |name: &str| name != self.foreign.consumer().name;
        if consumers.iter().any(|(name, pending)| *pending > 0 && is_other(name)) {
            // Somebody touched it lately: its owner, or one who sweeps as we do.
            return Ok(false);
        }
        let from = last_delivered.next();
        let unread = self.core.log.range(self.stream, Place::Live, from, EntryId::MAX, 1);
        let unread = self.core.call("a look", unread).await?;
        let idle = self.core.limits.claim_idle;
        Ok(unread.first().is_some_and(|oldest| age(self.core, oldest.id) >= idle))
    }

    /// Entries that nobody ever read.
    async fn end_unread(&self) -> Result<u64, LogError> {
        let mut ended = 0;
        loop {
            let request = ReadGroupRequest {
                streams: vec![self.stream.clone()],
                consumer: self.foreign.consumer().clone(),
                count: BATCH,
                block: Duration::ZERO,
            };
            // Without an answer they are pending for this sweep, and claimed by a later one.
            let batches = self.core.call("a read", self.core.log.read_group(request)).await?;
            let entries: Vec<_> = batches.into_iter().flat_map(|batch| batch.entries).collect();
            if entries.is_empty() {
                return Ok(ended);
            }
            ended += entries.len() as u64;
            for entry in entries {
                let failure = self.gone(Delivery::NotDelivered);
                self.foreign.end(entry, Recorded::default(), &failure).await;
            }
            self.foreign.drained().await;
        }
    }

    fn gone(&self, delivery: Delivery) -> Failure {
        let actor = format!("node_gone: process {}", self.owner);
        Failure::with_delivery(FailureKind::Stopped { actor }, delivery)
    }
}

/// How long ago an entry was written.
fn age(core: &Core, id: EntryId) -> Duration {
    Duration::from_millis(core.clock.log_ms(Instant::now()).saturating_sub(id.ms))
}
