use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{EmbeddedLog, check, read::Read, record::Move, stream::Stream};
use crate::{
    Incarnation,
    log::{
        Append, AppendRequest, BuryEntryRequest, BuryRequest, Claim, ClaimRequest, Consumer, Due,
        Entry, EntryId, Fence, LogError, MessageLog, Owner, Ownership, Place, PostponeRequest,
        Progress, ReadBatch, ReadGroupRequest, Recorded, ReplayRequest, Replayed, Settle, Start,
        StreamInfo, StreamName,
    },
};

#[async_trait]
impl MessageLog for EmbeddedLog {
    async fn append(&self, request: AppendRequest) -> Result<Append, LogError> {
        let now = self.shared.admit(&request)?;
        Ok(self.shared.with_made(&request.stream, |stream| stream.append(&request, now)))
    }

    async fn open(&self, stream: &StreamName, keep: Option<Duration>) -> Result<(), LogError> {
        self.shared.with_made(stream, |stream| stream.open(keep, Instant::now()));
        self.shared.sweep();
        Ok(())
    }

    async fn ensure_group(
        &self,
        stream: &StreamName,
        group: &str,
        start: Start,
    ) -> Result<(), LogError> {
        check::grouped(stream)?;
        self.shared.with_made(stream, |stream| {
            stream.ensure_group(group, start);
        });
        Ok(())
    }

    async fn remove_group(&self, stream: &StreamName, group: &str) -> Result<(), LogError> {
        self.shared.with(stream, |stream| {
            stream.groups.remove(group);
            stream.waiters.end_group(group);
        });
        Ok(())
    }

    async fn read_group(&self, request: ReadGroupRequest) -> Result<Vec<ReadBatch>, LogError> {
        check::limit(request.count)?;
        request.streams.iter().try_for_each(check::grouped)?;
        let read = Read {
            shared: &self.shared,
            reader: &request.consumer.name,
            group: Some(&request.consumer.group),
            streams: request.streams.iter().map(|stream| (stream, EntryId::MIN)).collect(),
            limit: request.count,
        };
        Ok(read.run(request.block).await)
    }

    async fn pending_of(
        &self,
        stream: &StreamName,
        consumer: &Consumer,
        limit: usize,
    ) -> Result<Vec<Entry>, LogError> {
        let pending = self.shared.with(stream, |stream| {
            let group = stream.groups.get(&consumer.group)?;
            Some(group.pending_of(&stream.live, &consumer.name, limit))
        });
        Ok(pending.flatten().unwrap_or_default())
    }

    async fn read_from(
        &self,
        streams: &[(StreamName, EntryId)],
        reader: &str,
        limit: usize,
        block: Duration,
    ) -> Result<Vec<ReadBatch>, LogError> {
        check::limit(limit)?;
        let streams = streams.iter().map(|(stream, after)| (stream, *after)).collect();
        let read = Read { shared: &self.shared, reader, group: None, streams, limit };
        Ok(read.run(block).await)
    }

    async fn unblock(&self, reader: &str) -> Result<(), LogError> {
        self.shared.readers.unblock(reader);
        Ok(())
    }

    async fn progress(
        &self,
        stream: &StreamName,
        owner: &Owner,
        entries: &[Progress],
    ) -> Result<Vec<Ownership>, LogError> {
        check::owner(stream, owner)?;
        let now = Instant::now();
        self.shared.each(stream, entries, |stream, step| stream.progress(owner, step, now))
    }

    async fn recorded(
        &self,
        stream: &StreamName,
        owner: &Owner,
        ids: &[EntryId],
    ) -> Result<Vec<Option<Recorded>>, LogError> {
        let recorded = self.shared.with(stream, |stream| {
            ids.iter().map(|id| stream.recorded(owner, *id)).collect::<Vec<_>>()
        });
        Ok(recorded.unwrap_or_else(|| vec![None; ids.len()]))
    }

    async fn touch(
        &self,
        stream: &StreamName,
        consumer: &Consumer,
        ids: &[EntryId],
    ) -> Result<Vec<Ownership>, LogError> {
        let (owner, now) = (Owner::Consumer(consumer.clone()), Instant::now());
        self.shared.each(stream, ids, |stream, id| stream.touch(&owner, *id, now))
    }

    async fn settle(
        &self,
        stream: &StreamName,
        owner: &Owner,
        entries: &[Settle],
    ) -> Result<Vec<Ownership>, LogError> {
        check::owner(stream, owner)?;
        check::retain(entries)?;
        let now = self.shared.now();
        self.shared.each(stream, entries, |stream, end| stream.settle(owner, end, now))
    }

    async fn bury(
        &self,
        stream: &StreamName,
        owner: &Owner,
        request: BuryRequest,
    ) -> Result<Ownership, LogError> {
        check::owner(stream, owner)?;
        check::mark(&request.mark)?;
        check::frame(&request.letter)?;
        let now_ms = self.shared.now().ms;
        let BuryRequest { mark, letter, into } = request;
        match into.filter(|into| into != stream) {
            Some(into) => Ok(self.shared.bury_into(stream, &into, owner, mark, letter)),
            None => self.shared.move_one(stream, owner, mark, Move::Bury, |stream| {
                stream.dead.push(now_ms, letter, 1);
            }),
        }
    }

    async fn bury_entry(
        &self,
        stream: &StreamName,
        owner: &Owner,
        request: BuryEntryRequest,
    ) -> Result<Ownership, LogError> {
        check::owner(stream, owner)?;
        check::frame(&request.letter)?;
        let now_ms = self.shared.now().ms;
        let BuryEntryRequest { id, letter, into } = request;
        let Some(into) = into.filter(|into| into != stream) else {
            let ended = self.shared.with(stream, |stream| {
                let ended = stream.bury_entry(owner, id, now_ms);
                if ended == Ownership::Done {
                    stream.dead.push(now_ms, letter, 1);
                }
                ended
            });
            return Ok(ended.unwrap_or(Ownership::NotPending));
        };
        let ended = self.shared.with_both(stream, &into, |source, target| {
            let ended = source.bury_entry(owner, id, now_ms);
            if ended == Ownership::Done {
                target.exists = true;
                target.dead.push(now_ms, letter, 1);
            }
            ended
        });
        Ok(ended.unwrap_or(Ownership::NotPending))
    }

    async fn adopt(
        &self,
        stream: &StreamName,
        owner: &Owner,
        id: EntryId,
        count: u32,
    ) -> Result<Ownership, LogError> {
        check::owner(stream, owner)?;
        check::count(count)?;
        // Nobody else writes here, so that all are counted.
        let adopted = self.shared.with(stream, |stream| match stream.standing(owner, id) {
            Ownership::Done => Ownership::Disagrees,
            standing => standing,
        });
        Ok(adopted.unwrap_or(Ownership::NotPending))
    }

    async fn postpone(
        &self,
        stream: &StreamName,
        owner: &Owner,
        request: PostponeRequest,
    ) -> Result<Ownership, LogError> {
        check::owner(stream, owner)?;
        check::mark(&request.mark)?;
        check::frame(&request.frame)?;
        check::postponable(stream)?;
        let PostponeRequest { mark, frame, due_ms } = request;
        self.shared.move_one(stream, owner, mark, Move::Postpone, |stream| {
            stream.delay.insert(due_ms, None, frame);
        })
    }

    async fn append_delayed(
        &self,
        request: AppendRequest,
        id: &str,
        due_ms: u64,
    ) -> Result<Append, LogError> {
        let now = self.shared.admit(&request)?;
        check::delayed(&request)?;
        let append = |stream: &mut Stream| stream.append_delayed(&request, id, due_ms, now);
        self.shared.with_made(&request.stream, append)
    }

    async fn cancel_delayed(&self, stream: &StreamName, id: &str) -> Result<bool, LogError> {
        Ok(self.shared.with(stream, |stream| stream.cancel_delayed(id)).unwrap_or(false))
    }

    async fn due(&self, stream: &StreamName, limit: usize) -> Result<Due, LogError> {
        let now_ms = self.shared.now().ms;
        Ok(self.shared.with(stream, |stream| stream.due(limit, now_ms)).unwrap_or_default())
    }

    async fn claim(&self, stream: &StreamName, request: ClaimRequest) -> Result<Claim, LogError> {
        let now = Instant::now();
        if now.saturating_duration_since(self.shared.started) < self.shared.claim_grace {
            return Ok(Claim::Grace);
        }
        let taken = self.shared.with(stream, |stream| stream.claim(&request, now));
        Ok(taken.unwrap_or(Claim::Taken { entries: Vec::new(), gone: Vec::new() }))
    }

    async fn remove_consumer(
        &self,
        stream: &StreamName,
        consumer: &Consumer,
    ) -> Result<bool, LogError> {
        let removed = self.shared.with(stream, |stream| {
            let group = stream.groups.get_mut(&consumer.group);
            group.is_some_and(|group| group.remove_consumer(&consumer.name))
        });
        Ok(removed.unwrap_or(false))
    }

    async fn forget_producer(
        &self,
        stream: &StreamName,
        producer: Incarnation,
    ) -> Result<(), LogError> {
        self.shared.with(stream, |stream| stream.lanes.forget(producer, Instant::now()));
        Ok(())
    }

    async fn fence(&self, stream: &StreamName, epoch: u64, owner: &str) -> Result<Fence, LogError> {
        Ok(self.shared.with_made(stream, |stream| stream.raise_fence(epoch, owner)))
    }

    async fn range(
        &self,
        stream: &StreamName,
        place: Place,
        from: EntryId,
        to: EntryId,
        limit: usize,
    ) -> Result<Vec<Entry>, LogError> {
        let listed = self.shared.with(stream, |stream| stream.part(place).range(from, to, limit));
        Ok(listed.unwrap_or_default())
    }

    async fn trim(
        &self,
        stream: &StreamName,
        place: Place,
        before: EntryId,
    ) -> Result<u64, LogError> {
        check::trimmable(stream, place)?;
        Ok(self.shared.with(stream, |stream| stream.trim(place, before)).unwrap_or(0))
    }

    async fn replay(
        &self,
        stream: &StreamName,
        request: ReplayRequest,
    ) -> Result<Replayed, LogError> {
        check::replay(&request)?;
        let now = self.shared.now();
        let replayed = match request.into.as_ref().filter(|into| *into != stream) {
            None => self.shared.with(stream, |stream| stream.replay(&request, now)),
            Some(into) => self.shared.with_both(stream, into, |source, target| {
                source.replay_into(target, &request, now)
            }),
        };
        Ok(replayed.unwrap_or_default())
    }

    async fn drop_dead(&self, stream: &StreamName, ids: &[EntryId]) -> Result<u64, LogError> {
        let dropped = self.shared.with(stream, |stream| {
            ids.iter().filter(|id| stream.dead.remove(**id).is_some()).count() as u64
        });
        Ok(dropped.unwrap_or(0))
    }

    async fn info(&self, stream: &StreamName) -> Result<Option<StreamInfo>, LogError> {
        Ok(self.shared.with(stream, |stream| stream.info()))
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<StreamName>, LogError> {
        self.shared.sweep();
        let all = self.shared.names().into_iter();
        let wanted =
            all.filter(|(name, stream)| name.unit().starts_with(prefix) && stream.lock().exists);
        let mut names: Vec<_> = wanted.map(|(name, _)| name).collect();
        names.sort_by(|a, b| (a.unit(), a.kind()).cmp(&(b.unit(), b.kind())));
        Ok(names)
    }

    async fn delete(&self, stream: &StreamName) -> Result<bool, LogError> {
        Ok(self.shared.delete(stream))
    }

    async fn now_ms(&self) -> Result<u64, LogError> {
        Ok(self.shared.now().ms)
    }
}
