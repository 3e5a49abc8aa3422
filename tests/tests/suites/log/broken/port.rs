use std::{sync::atomic::Ordering, time::Duration};

use async_trait::async_trait;
use callboard::{
    Incarnation,
    log::{
        Append, AppendRequest, BuryEntryRequest, BuryRequest, Claim, ClaimRequest, Consumer, Done,
        Due, Entry, EntryId, Fence, LogError, MessageLog, Owner, Ownership, Place, PostponeRequest,
        Progress, ReadBatch, ReadGroupRequest, Recorded, ReplayRequest, Replayed, Retain, Settle,
        Start, StreamInfo, StreamKind, StreamName,
    },
};

use super::{Broken, Fault};

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
            (Fault::NoTombstone, Append::Forgotten) if first == 1 => {
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
            Fault::SkipsAreNotShown => {
                let mut read = self.inner.read_group(request).await?;
                let entries = read.iter_mut().flat_map(|batch| &mut batch.entries);
                entries.for_each(|entry| entry.skip = Done::default());
                return Ok(read);
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
                    let age = Duration::from_secs(1 << 20);
                    end.retain = end.retain.map(|retain| Retain { age, ..retain });
                }
                Fault::RetainedHasNoBound => {
                    end.retain = end.retain.map(|retain| Retain { entries_max: 1 << 20, ..retain });
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

    async fn bury_entry(
        &self,
        stream: &StreamName,
        owner: &Owner,
        mut request: BuryEntryRequest,
    ) -> Result<Ownership, LogError> {
        if self.is(Fault::BuryStaysHome) {
            request.into = None;
        }
        self.inner.bury_entry(stream, owner, request).await
    }

    async fn adopt(
        &self,
        stream: &StreamName,
        owner: &Owner,
        id: EntryId,
        count: u32,
    ) -> Result<Ownership, LogError> {
        let answer = self.inner.adopt(stream, owner, id, count).await?;
        let is_taken = self.is(Fault::AdoptTakesWhatIsCounted);
        Ok(if is_taken && answer == Ownership::Disagrees { Ownership::Done } else { answer })
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
                dedup: Vec::new(),
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
        match self.fault {
            Fault::ReplayForgetsItsRun => request.run = None,
            Fault::ReplayStaysHome => request.into = None,
            Fault::ReplayIgnoresTheBacklog => request.backlog_max = None,
            Fault::ReplayMakesTheInbox => {
                if let Some(into) = &request.into {
                    self.inner.open(into, None).await?;
                }
            }
            _ => {}
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
                Fault::RetainedHasNoSize => info.retained_bytes = 0,
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
