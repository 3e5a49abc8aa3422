mod port;

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use callboard::log::{
    AppendRequest, Consumer, DEDUP_WINDOW_MAX, EmbeddedLog, EntryId, LogError, MessageLog, Owner,
    Ownership, Progress, ReadBatch, ReadGroupRequest, Settle, StreamKind, StreamName, Totals,
};
use tokio::sync::oneshot;

use super::fault::Fault;

/// The embedded log with one fault.
#[derive(Debug)]
pub(crate) struct Broken {
    inner: EmbeddedLog,
    fault: Fault,
    /// Lanes that no case uses.
    lanes: AtomicU32,
    /// Whether an append met a full memory.
    was_full: AtomicU64,
    replayed: AtomicU64,
    first_id: Mutex<Option<EntryId>>,
    /// How often a message was buried, and what was told of an entry.
    said: Mutex<HashMap<(EntryId, Option<u32>), u64>>,
}

impl Broken {
    pub(crate) fn new(inner: EmbeddedLog, fault: Fault) -> Self {
        Self {
            inner,
            fault,
            lanes: AtomicU32::new(1000),
            was_full: AtomicU64::new(0),
            replayed: AtomicU64::new(0),
            first_id: Mutex::default(),
            said: Mutex::default(),
        }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    /// The frame as the first of a lane that nobody has used.
    fn anew(&self, request: AppendRequest) -> AppendRequest {
        let lane = self.lanes.fetch_add(1, Ordering::Relaxed);
        AppendRequest { lane, first: 1, backlog_max: None, ..request }
    }

    fn distort(&self, mut request: AppendRequest) -> AppendRequest {
        match self.fault {
            Fault::LanesAreOne => request.lane = 1,
            Fault::MustExistIsIgnored => request.must_exist = false,
            Fault::DedupIsIgnored => request.dedup.clear(),
            Fault::DedupLastsForever => {
                request.dedup.iter_mut().for_each(|dedup| dedup.window = DEDUP_WINDOW_MAX);
            }
            Fault::BacklogIsIgnored => request.backlog_max = None,
            Fault::EmptyFramesAreTaken if request.frame.is_empty() => {
                request.frame = Bytes::from_static(b"-");
            }
            _ => {}
        }
        request
    }

    /// How often this was said before.
    fn say(&self, id: EntryId, index: Option<u32>) -> u64 {
        let mut said = self.said.lock().unwrap();
        let times = said.entry((id, index)).or_default();
        *times += 1;
        *times - 1
    }

    fn repeated(&self) -> u64 {
        self.said.lock().unwrap().values().map(|times| times - 1).sum()
    }

    /// Whoever may settle an entry in place of this owner.
    async fn rightful(&self, stream: &StreamName, owner: &Owner) -> Result<Vec<Owner>, LogError> {
        let Some(info) = self.inner.info(stream).await? else { return Ok(Vec::new()) };
        Ok(match owner {
            Owner::Consumer(consumer) => {
                let group = info.groups.into_iter().find(|group| group.name == consumer.group);
                let names = group.map(|group| group.consumers).unwrap_or_default();
                let named = |name| Consumer { group: consumer.group.clone(), name };
                names.into_iter().map(|(name, _)| Owner::Consumer(named(name))).collect()
            }
            Owner::Fence { .. } => {
                let fence = info.fence.into_iter();
                fence.map(|(epoch, owner)| Owner::Fence { epoch, owner }).collect()
            }
        })
    }

    fn ignores(&self, owner: &Owner, by_consumer: Fault) -> bool {
        match owner {
            Owner::Consumer(_) => self.is(by_consumer),
            Owner::Fence { .. } => self.is(Fault::FenceDoesNotRefuse),
        }
    }

    async fn settle_one(
        &self,
        stream: &StreamName,
        owner: &Owner,
        end: Settle,
    ) -> Result<Ownership, LogError> {
        let mut answer = self.inner.settle(stream, owner, std::slice::from_ref(&end)).await?[0];
        if answer == Ownership::OwnedByOther && self.ignores(owner, Fault::SettleIgnoresTheOwner) {
            for other in self.rightful(stream, owner).await? {
                let again = self.inner.settle(stream, &other, std::slice::from_ref(&end)).await?[0];
                if again == Ownership::Done {
                    answer = again;
                }
            }
        }
        let is_accepted = match answer {
            Ownership::NotPending => self.is(Fault::NotPendingIsDone),
            Ownership::Disagrees => {
                self.is(Fault::TotalsAreNotChecked)
                    || self.is(Fault::MovesAreBelieved) && end.totals.sum() == u64::from(end.count)
            }
            _ => false,
        };
        Ok(if is_accepted { Ownership::Done } else { answer })
    }

    async fn progress_one(
        &self,
        stream: &StreamName,
        owner: &Owner,
        mut step: Progress,
    ) -> Result<Ownership, LogError> {
        let has_marks = step.done.count() > 0;
        if self.is(Fault::EmptyProgressIsNoTouch) && !has_marks {
            return Ok(Ownership::Done);
        }
        if self.is(Fault::AttemptIsDropped) {
            step.attempt = None;
        }
        let answer = self.inner.progress(stream, owner, std::slice::from_ref(&step)).await?[0];
        if answer == Ownership::OwnedByOther && self.ignores(owner, Fault::ProgressIgnoresTheOwner)
        {
            for other in self.rightful(stream, owner).await? {
                let again =
                    self.inner.progress(stream, &other, std::slice::from_ref(&step)).await?[0];
                if again == Ownership::Done {
                    return Ok(again);
                }
            }
        }
        if self.is(Fault::TotalsAreAdded) && answer == Ownership::Done && has_marks {
            self.say(step.id, None);
        }
        let is_believed = self.is(Fault::MovesAreBelieved) && answer == Ownership::Disagrees;
        Ok(if is_believed { Ownership::Done } else { answer })
    }

    /// Goes on with the read when the caller is gone, and takes what it finds for handled.
    async fn read_in_a_task(&self, request: ReadGroupRequest) -> Result<Vec<ReadBatch>, LogError> {
        let (inner, owner) = (self.inner.clone(), Owner::Consumer(request.consumer.clone()));
        let (answer, answered) = oneshot::channel();
        tokio::spawn(async move {
            let read = inner.read_group(request).await;
            if let Err(Ok(batches)) = answer.send(read) {
                for batch in batches {
                    for entry in batch.entries {
                        let totals = Totals { handled: 1, ..Totals::default() };
                        let end = Settle { id: entry.id, count: 1, totals, retain: None };
                        inner.settle(&batch.stream, &owner, &[end]).await.unwrap();
                    }
                }
            }
        });
        answered.await.unwrap()
    }

    fn consumer(&self, stream: &StreamName, consumer: &Consumer) -> Consumer {
        let mut consumer = consumer.clone();
        if self.is(Fault::TopicsHaveOneGroup) && stream.kind() == StreamKind::Topic {
            consumer.group = "one".into();
        }
        consumer
    }

    fn owner(&self, stream: &StreamName, owner: &Owner) -> Owner {
        match owner {
            Owner::Consumer(consumer) => Owner::Consumer(self.consumer(stream, consumer)),
            fence => fence.clone(),
        }
    }
}
