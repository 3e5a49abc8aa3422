use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use callboard::{
    Incarnation,
    log::{
        Append, AppendRequest, BuryRequest, Claim, ClaimRequest, Consumer, Due, EmbeddedLog, Entry,
        EntryId, Fence, LogError, MessageLog, Owner, Ownership, Place, PostponeRequest, Progress,
        ReadBatch, ReadGroupRequest, Recorded, ReplayRequest, Replayed, Settle, Start, StreamInfo,
        StreamKind, StreamName, Totals,
    },
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

#[async_trait]
impl MessageLog for Broken {
    async fn append(&self, request: AppendRequest) -> Result<Append, LogError> {
        let request = self.distort(request);
        let first = request.first;
        let answer = match self.inner.append(request.clone()).await {
            Err(LogError::OutOfMemory) => {
                self.was_full.store(1, Ordering::Relaxed);
                return Err(LogError::OutOfMemory);
            }
            answer => answer?,
        };
        match (self.fault, answer) {
            (Fault::NoGapCheck, Append::Gap { .. })
            | (Fault::NoDuplicateCheck, Append::Duplicate { .. }) => {
                self.inner.append(self.anew(request)).await
            }
            (Fault::NoTombstone, Append::Gap { last: 0 }) if first == 1 => {
                self.inner.append(self.anew(request)).await
            }
            (Fault::OverlapIsDuplicate, Append::Gap { last }) if first <= last => {
                Ok(Append::Duplicate { last })
            }
            (Fault::IdsStandStill, Append::Stored(id)) => {
                let mut first = self.first_id.lock().unwrap();
                Ok(Append::Stored(*first.get_or_insert(id)))
            }
            (_, answer) => Ok(answer),
        }
    }

    async fn open(&self, stream: &StreamName, keep: Option<Duration>) -> Result<(), LogError> {
        let keep = if self.is(Fault::OpenedStaysForever) { None } else { keep };
        self.inner.open(stream, keep).await
    }

    async fn ensure_group(
        &self,
        stream: &StreamName,
        group: &str,
        start: Start,
    ) -> Result<(), LogError> {
        let to_beginning = self.is(Fault::GroupStartsAtTheBeginning);
        let start = if to_beginning { Start::Beginning } else { start };
        self.inner.ensure_group(stream, group, start).await
    }

    async fn remove_group(&self, stream: &StreamName, group: &str) -> Result<(), LogError> {
        if self.is(Fault::RemoveGroupDoesNothing) {
            return Ok(());
        }
        self.inner.remove_group(stream, group).await
    }

    async fn read_group(&self, mut request: ReadGroupRequest) -> Result<Vec<ReadBatch>, LogError> {
        let stream = request.streams[0].clone();
        request.consumer = self.consumer(&stream, &request.consumer);
        match self.fault {
            Fault::GroupStartsAtTheEnd => {
                self.inner.ensure_group(&stream, &request.consumer.group, Start::New).await?;
            }
            Fault::AppendsWakeNobody => {
                tokio::time::sleep(request.block).await;
                request.block = Duration::ZERO;
            }
            Fault::ReadsDoNotBlock => request.block = Duration::ZERO,
            Fault::CancelledReadsLoseEntries => return self.read_in_a_task(request).await,
            Fault::ReadGivesTheFirstAgain => {
                let (from, to) = (EntryId::MIN, EntryId::MAX);
                let first = self.inner.range(&stream, Place::Live, from, to, 1).await?;
                let mut read = self.inner.read_group(request).await?;
                if let Some(batch) = read.first_mut() {
                    batch.entries.splice(..1, first);
                }
                return Ok(read);
            }
            _ => {}
        }
        self.inner.read_group(request).await
    }

    async fn pending_of(
        &self,
        stream: &StreamName,
        consumer: &Consumer,
        limit: usize,
    ) -> Result<Vec<Entry>, LogError> {
        self.inner.pending_of(stream, &self.consumer(stream, consumer), limit).await
    }

    async fn read_from(
        &self,
        streams: &[(StreamName, EntryId)],
        reader: &str,
        limit: usize,
        block: Duration,
    ) -> Result<Vec<ReadBatch>, LogError> {
        let mut streams = streams.to_vec();
        if self.is(Fault::ReadFromIncludesItsStart) {
            for (_, after) in &mut streams {
                *after = match *after {
                    EntryId { ms: 0, .. } => EntryId::MIN,
                    EntryId { ms, seq: 0 } => EntryId { ms: ms - 1, seq: u64::MAX },
                    EntryId { ms, seq } => EntryId { ms, seq: seq - 1 },
                };
            }
        }
        self.inner.read_from(&streams, reader, limit, block).await
    }

    async fn unblock(&self, reader: &str) -> Result<(), LogError> {
        if self.is(Fault::UnblockIsForgotten) {
            return Ok(());
        }
        self.inner.unblock(reader).await
    }

    async fn progress(
        &self,
        stream: &StreamName,
        owner: &Owner,
        entries: &[Progress],
    ) -> Result<Vec<Ownership>, LogError> {
        let owner = self.owner(stream, owner);
        let mut answers = Vec::new();
        for step in entries {
            answers.push(self.progress_one(stream, &owner, step.clone()).await?);
        }
        Ok(answers)
    }

    async fn recorded(
        &self,
        stream: &StreamName,
        owner: &Owner,
        ids: &[EntryId],
    ) -> Result<Vec<Option<Recorded>>, LogError> {
        self.inner.recorded(stream, &self.owner(stream, owner), ids).await
    }

    async fn touch(
        &self,
        stream: &StreamName,
        consumer: &Consumer,
        ids: &[EntryId],
    ) -> Result<Vec<Ownership>, LogError> {
        if self.is(Fault::TouchDoesNothing) {
            return Ok(vec![Ownership::Done; ids.len()]);
        }
        self.inner.touch(stream, consumer, ids).await
    }

    async fn settle(
        &self,
        stream: &StreamName,
        owner: &Owner,
        entries: &[Settle],
    ) -> Result<Vec<Ownership>, LogError> {
        if self.is(Fault::FullLogDoesNotSettle) && self.was_full.load(Ordering::Relaxed) > 0 {
            return Err(LogError::OutOfMemory);
        }
        let owner = self.owner(stream, owner);
        let mut answers = Vec::new();
        for end in entries {
            let mut end = end.clone();
            match self.fault {
                Fault::ExpiredIsHandled => {
                    end.totals.handled += std::mem::take(&mut end.totals.expired);
                }
                Fault::NothingIsRetained => end.retain = None,
                Fault::RetainedStaysForever => {
                    end.retain = end.retain.map(|_| Duration::from_secs(1 << 20));
                }
                _ => {}
            }
            let before = end.id.next();
            answers.push(self.settle_one(stream, &owner, end).await?);
            if self.is(Fault::TopicsAreTrimmedBySettling) && stream.kind() == StreamKind::Topic {
                self.inner.trim(stream, Place::Live, before).await?;
            }
        }
        Ok(answers)
    }

    async fn bury(
        &self,
        stream: &StreamName,
        owner: &Owner,
        mut request: BuryRequest,
    ) -> Result<Ownership, LogError> {
        if self.is(Fault::BuryStaysHome) {
            request.into = None;
        }
        let mark = request.mark;
        let mut answer = self.inner.bury(stream, owner, request.clone()).await?;
        if answer == Ownership::OwnedByOther && self.is(Fault::FenceDoesNotRefuse) {
            for other in self.rightful(stream, owner).await? {
                answer = self.inner.bury(stream, &other, request.clone()).await?;
            }
        }
        if self.is(Fault::BuryTwiceDoubles) && answer == Ownership::Done {
            self.say(mark.id, Some(mark.index));
        }
        Ok(answer)
    }

    async fn postpone(
        &self,
        stream: &StreamName,
        owner: &Owner,
        mut request: PostponeRequest,
    ) -> Result<Ownership, LogError> {
        if self.is(Fault::DueReleasesEarly) {
            request.due_ms = 0;
        }
        let PostponeRequest { mark, frame, due_ms } = request.clone();
        let answer = self.inner.postpone(stream, owner, request).await?;
        let is_doubled = self.is(Fault::PostponeTwiceDoubles) && answer == Ownership::Done;
        if is_doubled && self.say(mark.id, Some(mark.index)) > 0 {
            let again = self.anew(AppendRequest {
                stream: stream.clone(),
                producer: Incarnation::from_u128(0xF),
                lane: 1,
                first: 1,
                count: 1,
                frame,
                must_exist: false,
                backlog_max: None,
            });
            self.inner.append_delayed(again, "doubled", due_ms).await?;
        }
        Ok(answer)
    }

    async fn append_delayed(
        &self,
        request: AppendRequest,
        id: &str,
        due_ms: u64,
    ) -> Result<Append, LogError> {
        let due_ms = if self.is(Fault::DueReleasesEarly) { 0 } else { due_ms };
        self.inner.append_delayed(self.distort(request), id, due_ms).await
    }

    async fn cancel_delayed(&self, stream: &StreamName, id: &str) -> Result<bool, LogError> {
        Ok(self.inner.cancel_delayed(stream, id).await? || self.is(Fault::CancelAnswersAlways))
    }

    async fn due(&self, stream: &StreamName, limit: usize) -> Result<Due, LogError> {
        self.inner.due(stream, limit).await
    }

    async fn claim(
        &self,
        stream: &StreamName,
        mut request: ClaimRequest,
    ) -> Result<Claim, LogError> {
        if self.is(Fault::ClaimIgnoresIdle) {
            request.idle = Duration::ZERO;
        }
        let mut claim = self.inner.claim(stream, request).await?;
        if let Claim::Taken { entries, gone } = &mut claim {
            match self.fault {
                Fault::ClaimDropsTheBitmap => {
                    entries.iter_mut().for_each(|entry| entry.recorded = Recorded::default());
                }
                Fault::DeliveriesStayAtOne => {
                    entries.iter_mut().for_each(|entry| entry.deliveries = 1);
                }
                Fault::ClaimForgetsWhatIsGone => gone.clear(),
                _ => {}
            }
        }
        Ok(claim)
    }

    async fn remove_consumer(
        &self,
        stream: &StreamName,
        consumer: &Consumer,
    ) -> Result<bool, LogError> {
        let removed = self.inner.remove_consumer(stream, consumer).await?;
        Ok(removed || self.is(Fault::RemoveConsumerAnswersAlways))
    }

    async fn forget_producer(
        &self,
        stream: &StreamName,
        producer: Incarnation,
    ) -> Result<(), LogError> {
        self.inner.forget_producer(stream, producer).await
    }

    async fn fence(&self, stream: &StreamName, epoch: u64, owner: &str) -> Result<Fence, LogError> {
        match self.inner.fence(stream, epoch, owner).await? {
            Fence::Refused { epoch: stands, .. }
                if stands == epoch && self.is(Fault::FenceTakesEqualEpochs) =>
            {
                Ok(Fence::Raised)
            }
            fence => Ok(fence),
        }
    }

    async fn range(
        &self,
        stream: &StreamName,
        place: Place,
        from: EntryId,
        to: EntryId,
        limit: usize,
    ) -> Result<Vec<Entry>, LogError> {
        self.inner.range(stream, place, from, to, limit).await
    }

    async fn trim(
        &self,
        stream: &StreamName,
        place: Place,
        before: EntryId,
    ) -> Result<u64, LogError> {
        let before = if self.is(Fault::TrimTakesOneMore) { before.next() } else { before };
        self.inner.trim(stream, place, before).await
    }

    async fn replay(
        &self,
        stream: &StreamName,
        mut request: ReplayRequest,
    ) -> Result<Replayed, LogError> {
        if self.is(Fault::ReplayIgnoresItsLimit) {
            request.limit = usize::MAX;
        }
        let from = request.from;
        let replayed = self.inner.replay(stream, request).await?;
        if self.is(Fault::ReplayMovesRetained) && from == Place::Retained {
            self.inner.trim(stream, from, EntryId::MAX).await?;
        }
        self.replayed.fetch_add(replayed.messages, Ordering::Relaxed);
        Ok(replayed)
    }

    async fn drop_dead(&self, stream: &StreamName, ids: &[EntryId]) -> Result<u64, LogError> {
        if self.is(Fault::DropDeadForgets) {
            return Ok(ids.len() as u64);
        }
        self.inner.drop_dead(stream, ids).await
    }

    async fn info(&self, stream: &StreamName) -> Result<Option<StreamInfo>, LogError> {
        let mut info = self.inner.info(stream).await?;
        if let Some(info) = &mut info {
            match self.fault {
                Fault::BuryTwiceDoubles => info.dead_letters += self.repeated(),
                Fault::TotalsAreAdded => info.accounting.handled += self.repeated(),
                Fault::ReplayIsNotCounted => {
                    info.accounting.appended -= self.replayed.load(Ordering::Relaxed);
                }
                _ => {}
            }
        }
        Ok(info)
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<StreamName>, LogError> {
        let prefix = if self.is(Fault::StreamsIgnoreThePrefix) { "" } else { prefix };
        self.inner.streams(prefix).await
    }

    async fn delete(&self, stream: &StreamName) -> Result<bool, LogError> {
        if self.is(Fault::DeleteDoesNothing) {
            return Ok(self.inner.info(stream).await?.is_some());
        }
        self.inner.delete(stream).await
    }

    async fn now_ms(&self) -> Result<u64, LogError> {
        self.inner.now_ms().await
    }
}
