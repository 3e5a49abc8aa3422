use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{CaseFailure, GraceState, LogFactory, Setup, Timing, ensure, ensure_eq};
use crate::{
    Incarnation,
    log::{
        Append, AppendRequest, Claim, ClaimRequest, ClaimedEntry, Consumer, Done, Entry, EntryId,
        Mark, MessageLog, Owner, Ownership, Place, Progress, ReadGroupRequest, Retain, Settle,
        StreamInfo, StreamKind, StreamName, Totals,
    },
};

pub(super) type Verdict = Result<(), CaseFailure>;
type Outcome<T> = Result<T, CaseFailure>;

/// The group of most cases.
pub(super) const GROUP: &str = "workers";

/// A fresh log with what cases do on it again and again.
pub(super) struct Stage {
    pub(super) log: Arc<dyn MessageLog>,
    pub(super) timing: Timing,
    /// Keeps the streams of cases apart where logs share a server.
    tag: u64,
}

impl Stage {
    pub(super) async fn over(factory: &dyn LogFactory) -> Outcome<Self> {
        let setup = Setup { grace: GraceState::Over, memory_bytes_max: None };
        Self::with(factory, setup).await
    }

    pub(super) async fn with(factory: &dyn LogFactory, setup: Setup) -> Outcome<Self> {
        let log = factory.make(setup).await.map_err(CaseFailure::Factory)?;
        Ok(Self { log, timing: factory.timing(), tag: fastrand::u64(..) })
    }

    pub(super) fn service(&self, label: &str) -> StreamName {
        self.named(StreamKind::Service, 's', label)
    }

    pub(super) fn topic(&self, label: &str) -> StreamName {
        self.named(StreamKind::Topic, 't', label)
    }

    pub(super) fn replies(&self, label: &str) -> StreamName {
        self.named(StreamKind::Replies, 'r', label)
    }

    pub(super) fn inbox(&self, label: &str) -> StreamName {
        self.named(StreamKind::Inbox, 'n', label)
    }

    pub(super) fn prefix(&self) -> String {
        format!("cb:suite-{:016x}:", self.tag)
    }

    /// Appends a frame of the usual lane, which must be stored.
    pub(super) async fn put(
        &self,
        stream: &StreamName,
        first: u64,
        count: u32,
    ) -> Outcome<EntryId> {
        self.put_as(frame(stream, first, count)).await
    }

    pub(super) async fn put_as(&self, request: AppendRequest) -> Outcome<EntryId> {
        match self.log.append(request).await? {
            Append::Stored(id) => Ok(id),
            other => Err(CaseFailure::Violated(format!("a good frame was answered {other:?}"))),
        }
    }

    /// Reads what is new, without waiting.
    pub(super) async fn read(
        &self,
        stream: &StreamName,
        consumer: &Consumer,
        count: usize,
    ) -> Outcome<Vec<Entry>> {
        let streams = vec![stream.clone()];
        let request =
            ReadGroupRequest { streams, consumer: consumer.clone(), count, block: Duration::ZERO };
        let batches = self.log.read_group(request).await?;
        ensure!(batches.len() <= 1, "one stream was read and {} batches came", batches.len());
        Ok(batches.into_iter().flat_map(|batch| batch.entries).collect())
    }

    /// Appends one frame and reads it as this consumer.
    pub(super) async fn held(
        &self,
        stream: &StreamName,
        consumer: &Consumer,
        first: u64,
        count: u32,
    ) -> Outcome<EntryId> {
        let id = self.put(stream, first, count).await?;
        ensure_eq!(ids(&self.read(stream, consumer, 1).await?), vec![id], "a read of what is new");
        Ok(id)
    }

    /// Settles an entry as handled.
    pub(super) async fn settle(
        &self,
        stream: &StreamName,
        owner: &Owner,
        id: EntryId,
        count: u32,
    ) -> Outcome<Ownership> {
        self.settle_as(stream, owner, end(id, count, handled(count))).await
    }

    pub(super) async fn settle_as(
        &self,
        stream: &StreamName,
        owner: &Owner,
        end: Settle,
    ) -> Outcome<Ownership> {
        one(self.log.settle(stream, owner, &[end]).await?)
    }

    pub(super) async fn progress(
        &self,
        stream: &StreamName,
        owner: &Owner,
        progress: Progress,
    ) -> Outcome<Ownership> {
        one(self.log.progress(stream, owner, &[progress]).await?)
    }

    /// Claims whatever is idle for this long, of anybody.
    pub(super) async fn claim(
        &self,
        stream: &StreamName,
        consumer: &Consumer,
        idle: Duration,
    ) -> Outcome<(Vec<ClaimedEntry>, Vec<EntryId>)> {
        self.claim_as(
            stream,
            ClaimRequest { consumer: consumer.clone(), from: None, idle, limit: 100 },
        )
        .await
    }

    pub(super) async fn claim_as(
        &self,
        stream: &StreamName,
        request: ClaimRequest,
    ) -> Outcome<(Vec<ClaimedEntry>, Vec<EntryId>)> {
        match self.log.claim(stream, request).await? {
            Claim::Taken { entries, gone } => Ok((entries, gone)),
            Claim::Grace => Err(CaseFailure::Violated("the grace is over and yet it runs".into())),
        }
    }

    pub(super) async fn info(&self, stream: &StreamName) -> Outcome<StreamInfo> {
        let info = self.log.info(stream).await?;
        info.ok_or_else(|| CaseFailure::Violated(format!("{stream} does not exist")))
    }

    /// All entries of a part.
    pub(super) async fn list(&self, stream: &StreamName, place: Place) -> Outcome<Vec<Entry>> {
        Ok(self.log.range(stream, place, EntryId::MIN, EntryId::MAX, 10_000).await?)
    }

    /// Checks the sum of a counted stream, and the entries against their number.
    pub(super) async fn check_accounting(&self, stream: &StreamName) -> Outcome<StreamInfo> {
        let info = self.info(stream).await?;
        match info.check() {
            Ok(()) => Ok(info),
            Err(error) => Err(CaseFailure::Violated(error.to_string())),
        }
    }

    /// Lets so many ticks go by, and a little more.
    pub(super) async fn pass(&self, ticks: u32) {
        tokio::time::sleep(self.ticks(ticks) + Duration::from_millis(2)).await;
    }

    pub(super) fn ticks(&self, ticks: u32) -> Duration {
        self.timing.tick * ticks
    }

    fn named(&self, kind: StreamKind, letter: char, label: &str) -> StreamName {
        StreamName::new(kind, format!("{}{{{letter}:{label}:0}}", self.prefix()))
    }
}

/// The frame of the usual lane that holds these messages.
pub(super) fn frame(stream: &StreamName, first: u64, count: u32) -> AppendRequest {
    AppendRequest {
        stream: stream.clone(),
        producer: Incarnation::from_u128(0xA),
        lane: 1,
        first,
        count,
        frame: bytes(&format!("messages {first} to {}", first + u64::from(count) - 1)),
        must_exist: false,
        backlog_max: None,
        dedup: Vec::new(),
    }
}

pub(super) fn bytes(text: &str) -> Bytes {
    // Not only text: a log must keep every byte.
    [b"\0\r\n\xff", text.as_bytes()].concat().into()
}

pub(super) fn consumer(name: &str) -> Consumer {
    Consumer { group: GROUP.into(), name: name.into() }
}

pub(super) fn owner(consumer: &Consumer) -> Owner {
    Owner::Consumer(consumer.clone())
}

pub(super) fn handled(handled: u32) -> Totals {
    Totals { handled, ..Totals::default() }
}

pub(super) fn end(id: EntryId, count: u32, totals: Totals) -> Settle {
    Settle { id, count, totals, retain: None }
}

/// As many as there may be, for this long.
pub(super) fn keep(age: Duration) -> Retain {
    Retain { age, entries_max: 1_000_000 }
}

pub(super) fn mark(id: EntryId, index: u32, count: u32) -> Mark {
    Mark { id, index, count }
}

pub(super) fn done(indices: &[u32]) -> Done {
    let mut done = Done::default();
    for index in indices {
        done.insert(*index);
    }
    done
}

/// Progress of an entry whose messages at these indices were handled.
pub(super) fn step(id: EntryId, count: u32, indices: &[u32]) -> Progress {
    let handled = handled(u32::try_from(indices.len()).unwrap_or(u32::MAX));
    Progress { id, count, totals: handled, done: done(indices), attempt: None }
}

pub(super) fn ids(entries: &[Entry]) -> Vec<EntryId> {
    entries.iter().map(|entry| entry.id).collect()
}

pub(super) fn frames(entries: &[Entry]) -> Vec<Bytes> {
    entries.iter().map(|entry| entry.frame.clone()).collect()
}

/// The only answer to a question about one entry.
pub(super) fn one<T: std::fmt::Debug>(mut answers: Vec<T>) -> Outcome<T> {
    ensure!(answers.len() == 1, "one entry was named and the answers are {answers:?}");
    Ok(answers.remove(0))
}
