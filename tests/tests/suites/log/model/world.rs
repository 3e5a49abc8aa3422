use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use callboard::{
    Incarnation,
    log::{
        Append, AppendRequest, Entry, EntryId, LogError, MessageLog, Place, StreamKind, StreamName,
    },
};

use super::{reference::Reference, worker::Worker};

/// What the log did otherwise than the reference, or `Ok`.
pub(super) type Checked<T = ()> = Result<T, String>;

/// What happens to a call on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Arrives,
    RequestLost,
    AnswerLost,
}

/// Producers and workers on one stream of a log, and the reference that knows all.
pub(super) struct World {
    pub(super) rng: fastrand::Rng,
    pub(super) log: Arc<dyn MessageLog>,
    pub(super) stream: StreamName,
    pub(super) reference: Reference,
    pub(super) workers: Vec<Worker>,
    /// Messages that a handler has seen, or that were found expired.
    pub(super) seen: BTreeSet<u64>,
    pub(super) names: u64,
    /// How often what was met, so that a world where nothing happens is noticed.
    pub(super) tally: BTreeMap<&'static str, u64>,
    producers: Vec<Producer>,
    messages: u64,
    acknowledged: BTreeSet<u64>,
}

struct Producer {
    incarnation: Incarnation,
    lane: u32,
    next: u64,
    /// The first frame of all, for a producer that wakes up after it was forgotten.
    first: Option<Frame>,
    unacknowledged: Vec<Frame>,
}

#[derive(Clone)]
struct Frame {
    first: u64,
    messages: Vec<u64>,
}

impl World {
    pub(super) fn new(log: Arc<dyn MessageLog>, seed: u64) -> Self {
        let stream = StreamName::new(StreamKind::Service, "cb:model:{s:orders:0}");
        let mut world = Self {
            rng: fastrand::Rng::with_seed(seed),
            log,
            stream,
            reference: Reference::default(),
            workers: Vec::new(),
            seen: BTreeSet::new(),
            names: 0,
            tally: BTreeMap::new(),
            producers: Vec::new(),
            messages: 0,
            acknowledged: BTreeSet::new(),
        };
        for _ in 0..3 {
            let producer = world.producer();
            world.producers.push(producer);
            let name = world.name();
            world.workers.push(Worker::new(name));
        }
        world
    }

    pub(super) fn fate(&mut self) -> Fate {
        match self.rng.u32(..10) {
            0 => Fate::RequestLost,
            1 => Fate::AnswerLost,
            _ => Fate::Arrives,
        }
    }

    pub(super) fn met(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    pub(super) fn name(&mut self) -> String {
        self.names += 1;
        format!("worker-{}", self.names)
    }

    /// One step of somebody, and a look at everything after it.
    pub(super) async fn step(&mut self) -> Checked {
        match self.rng.u32(..20) {
            // A backlog that only grows would leave nothing for claims and stale owners.
            0..=5 if self.reference.entries.len() < 12 => self.produce().await?,
            6 if self.rng.u32(..4) == 0 => self.forget().await?,
            6 | 7 => self.release().await?,
            8 if self.rng.u32(..3) == 0 => self.replay().await?,
            8 | 9 => self.let_time_pass().await,
            _ => self.work().await?,
        }
        self.check().await
    }

    /// Lets everybody finish, and looks for what was lost.
    pub(super) async fn drain(&mut self) -> Checked {
        for _ in 0..2000 {
            self.release().await?;
            self.work_off().await?;
            self.check().await?;
            if self.reference.entries.is_empty() && self.reference.delayed.is_empty() {
                return self.check_end();
            }
            tokio::time::sleep(Duration::from_secs(8)).await;
        }
        Err("the log was not drained".into())
    }

    fn check_end(&self) -> Checked {
        let finished =
            |message: &u64| self.seen.contains(message) || self.reference.letters.contains(message);
        let lost: Vec<_> = self.acknowledged.iter().filter(|m| !finished(m)).collect();
        if !lost.is_empty() {
            return Err(format!("acknowledged messages were lost: {lost:?}"));
        }
        let twice: Vec<_> = self.reference.stored.iter().filter(|(_, times)| **times > 1).collect();
        if twice.is_empty() { Ok(()) } else { Err(format!("appended twice: {twice:?}")) }
    }

    async fn check(&self) -> Checked {
        let (log, stream) = (&self.log, &self.stream);
        let Some(info) = log.info(stream).await.map_err(told)? else {
            return same("the stream", false, self.reference.counted.appended > 0);
        };
        same("the accounting", info.accounting, self.reference.accounting())?;
        same("adding up", info.accounting.adds_up(), true)?;
        let frames = info.accounting.frames_in - info.accounting.frames_out;
        same("frames in less frames out", frames, info.length)?;
        let live = self.list(Place::Live).await?;
        let live: Vec<_> = live.into_iter().map(|entry| (entry.id, open(&entry.frame))).collect();
        let entries = self.reference.entries.iter();
        let expected: Vec<_> = entries.map(|(id, entry)| (*id, entry.messages.clone())).collect();
        same("the entries", live, expected)?;
        let letters = self.list(Place::Dead).await?;
        let letters: Vec<_> = letters.iter().flat_map(|entry| open(&entry.frame)).collect();
        same("the dead letters", letters, self.reference.letters.clone())?;
        let letters = self.reference.letters.len() as u64;
        same("the number of dead letters", info.dead_letters, letters)?;
        let pending: u64 = info.groups.iter().map(|group| group.pending).sum();
        let owned = self.reference.entries.values().filter(|entry| entry.owner.is_some()).count();
        same("pending entries", pending, owned as u64)
    }

    pub(super) async fn list(&self, place: Place) -> Checked<Vec<Entry>> {
        let range = self.log.range(&self.stream, place, EntryId::MIN, EntryId::MAX, usize::MAX);
        range.await.map_err(told)
    }

    fn producer(&mut self) -> Producer {
        let incarnation = Incarnation::from_u128(self.rng.u128(..));
        let lane = self.rng.u32(1..4);
        Producer { incarnation, lane, next: 1, first: None, unacknowledged: Vec::new() }
    }

    /// Sends a new frame behind those whose outcome is unknown, or these again, in order.
    async fn produce(&mut self) -> Checked {
        let at = self.rng.usize(..self.producers.len());
        let unknown = self.producers[at].unacknowledged.len();
        if unknown == 0 || unknown < 2 && self.rng.bool() {
            let count = self.rng.u64(1..=5);
            let messages = (self.messages..self.messages + count).collect();
            self.messages += count;
            let producer = &mut self.producers[at];
            let frame = Frame { first: producer.next, messages };
            producer.next += count;
            producer.first.get_or_insert_with(|| frame.clone());
            producer.unacknowledged.push(frame.clone());
            return self.send(at, frame).await;
        }
        for frame in self.producers[at].unacknowledged.clone() {
            self.send(at, frame).await?;
        }
        Ok(())
    }

    async fn send(&mut self, at: usize, frame: Frame) -> Checked {
        let fate = self.fate();
        if fate == Fate::RequestLost {
            return Ok(());
        }
        let Producer { incarnation, lane, .. } = self.producers[at];
        let request = AppendRequest {
            stream: self.stream.clone(),
            producer: incarnation,
            lane,
            first: frame.first,
            count: u32::try_from(frame.messages.len()).unwrap(),
            frame: sealed(&frame.messages),
            must_exist: false,
            backlog_max: None,
        };
        let count = u64::from(request.count);
        let expected = self.reference.expect_append((incarnation, lane), frame.first, count);
        let answer = match self.log.append(request).await {
            Err(LogError::OutOfMemory) => {
                self.met("an append without memory");
                return Ok(());
            }
            answer => answer.map_err(told)?,
        };
        self.met(match answer {
            Append::Stored(_) => "an append",
            Append::Duplicate { .. } => "a duplicate",
            _ => "a gap",
        });
        match (answer, expected) {
            (Append::Stored(id), None) => {
                let lane = (incarnation, lane);
                self.reference.stored(id, lane, frame.first, &frame.messages);
            }
            (answer, expected) => same("an append", Some(answer), expected)?,
        }
        let is_stored = matches!(answer, Append::Stored(_) | Append::Duplicate { .. });
        if fate == Fate::Arrives && is_stored {
            let unknown = &mut self.producers[at].unacknowledged;
            unknown.retain(|other| other.first != frame.first);
            self.acknowledged.extend(frame.messages);
        }
        Ok(())
    }

    /// Forgets a producer as gone, which then wakes up and sends its first frame again.
    async fn forget(&mut self) -> Checked {
        let at = self.rng.usize(..self.producers.len());
        let incarnation = self.producers[at].incarnation;
        self.log.forget_producer(&self.stream, incarnation).await.map_err(told)?;
        self.reference.forget(incarnation);
        if let Some(frame) = self.producers[at].first.clone() {
            self.send(at, frame).await?;
        }
        self.producers[at] = self.producer();
        Ok(())
    }

    async fn release(&mut self) -> Checked {
        let limit = self.rng.usize(1..4);
        let last = self.last().await?;
        let now_ms = self.log.now_ms().await.map_err(told)?;
        let due = self.log.due(&self.stream, limit).await.map_err(told)?;
        let released = self.reference.due(limit, now_ms);
        same("released messages", due.released, released.len())?;
        self.enter_after(last, released).await
    }

    async fn replay(&mut self) -> Checked {
        let letters = self.list(Place::Dead).await?;
        let limit = self.rng.usize(1..4);
        let last = self.last().await?;
        let frames = letters.iter().map(|entry| (entry.id, 1, entry.frame.clone())).collect();
        let request = callboard::log::ReplayRequest {
            from: Place::Dead,
            first: EntryId::MIN,
            last: EntryId::MAX,
            limit,
            frames,
        };
        let replayed = self.log.replay(&self.stream, request).await.map_err(told)?;
        let moved = self.reference.letters.len().min(limit);
        let messages: Vec<_> = self.reference.letters.drain(..moved).collect();
        same("replayed messages", replayed.messages, moved as u64)?;
        self.reference.counted.appended += moved as u64;
        self.enter_after(last, messages).await
    }

    async fn last(&self) -> Checked<EntryId> {
        let info = self.log.info(&self.stream).await.map_err(told)?;
        Ok(info.map(|info| info.last).unwrap_or_default())
    }

    /// Takes note of the entries that the log made of these messages.
    async fn enter_after(&mut self, last: EntryId, messages: Vec<u64>) -> Checked {
        let range = self.log.range(&self.stream, Place::Live, last.next(), EntryId::MAX, 100);
        let entries = range.await.map_err(told)?;
        let found: Vec<_> = entries.iter().flat_map(|entry| open(&entry.frame)).collect();
        same("messages that came back", &found, &messages)?;
        for (entry, message) in entries.iter().zip(messages) {
            self.reference.enter(entry.id, vec![message]);
        }
        Ok(())
    }

    async fn let_time_pass(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.rng.u64(0..6000))).await;
    }
}

/// A frame that holds these messages.
pub(super) fn sealed(messages: &[u64]) -> Bytes {
    messages.iter().flat_map(|message| message.to_be_bytes()).collect::<Vec<_>>().into()
}

/// The messages of a frame.
pub(super) fn open(frame: &Bytes) -> Vec<u64> {
    let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().unwrap());
    frame.chunks(8).map(number).collect()
}

pub(super) fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, expected: T) -> Checked {
    if got == expected { Ok(()) } else { Err(format!("{what}: {got:?} instead of {expected:?}")) }
}

pub(super) fn told(error: LogError) -> String {
    error.to_string()
}
