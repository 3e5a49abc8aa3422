use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use callboard::log::{Entry, EntryId, LogError, MessageLog, Place, StreamKind, StreamName};

use super::{meddle::Meddle, producer::Producer, reference::Reference, worker::Worker};

/// More than there ever is, and a number that servers take.
pub(super) const ALL: usize = 1_000_000;
/// States that are remembered, for a log that loses its end.
const HISTORY: usize = 400;

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
    /// The unit of the world's time.
    pub(super) tick: Duration,
    /// How exactly the log's idle clocks count.
    pub(super) grain: Duration,
    /// The server below, if there is one that can be meddled with.
    pub(super) meddler: Option<Box<dyn Meddle>>,
    /// Whether the server has been left without memory.
    pub(super) is_full: bool,
    /// What the reference was after each call, newest last.
    pub(super) history: VecDeque<Reference>,
    pub(super) producers: Vec<Producer>,
    pub(super) messages: u64,
    pub(super) acknowledged: BTreeSet<u64>,
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
            tick: Duration::from_secs(1),
            grain: Duration::ZERO,
            meddler: None,
            is_full: false,
            history: VecDeque::from([Reference::default()]),
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

    pub(super) fn consumer(&self, name: &str) -> callboard::log::Consumer {
        callboard::log::Consumer { group: "g".into(), name: name.into() }
    }

    pub(super) fn name(&mut self) -> String {
        self.names += 1;
        format!("worker-{}", self.names)
    }

    /// A random time up to so many ticks, in milliseconds.
    pub(super) fn millis(&mut self, ticks: u64) -> u64 {
        let tick_ms = u64::try_from(self.tick.as_millis()).expect("short");
        self.rng.u64(0..ticks * tick_ms)
    }

    /// Notes what the reference is now: a log that loses its end goes back to one of these.
    pub(super) fn remember(&mut self) {
        if self.meddler.is_none() {
            return;
        }
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(self.reference.clone());
    }

    /// One step of somebody, and a look at everything after it.
    pub(super) async fn step(&mut self) -> Checked {
        if self.meddler.is_some() && self.rng.u32(..40) == 0 {
            self.meddle().await?;
            return self.check().await;
        }
        if self.is_full && self.rng.u32(..8) == 0 {
            self.fill(false).await;
        }
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
            tokio::time::sleep(self.tick * 8).await;
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

    pub(super) async fn check(&self) -> Checked {
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
        let range = self.log.range(&self.stream, place, EntryId::MIN, EntryId::MAX, ALL);
        range.await.map_err(told)
    }

    async fn release(&mut self) -> Checked {
        let limit = self.rng.usize(1..4);
        let last = self.last().await?;
        let from_ms = self.log.now_ms().await.map_err(told)?;
        let due = self.log.due(&self.stream, limit).await.map_err(told)?;
        let to_ms = self.log.now_ms().await.map_err(told)?;
        let released = self.reference.due(limit, (from_ms, to_ms), due.released);
        self.enter_after(last, released?).await
    }

    async fn replay(&mut self) -> Checked {
        let letters = self.list(Place::Dead).await?;
        let limit = self.rng.usize(1..4);
        let last = self.last().await?;
        let frame = |entry: &callboard::log::Entry| {
            let (id, frame) = (entry.id, entry.frame.clone());
            callboard::log::ReplayFrame { id, part: 0, count: 1, frame }
        };
        let frames = letters.iter().map(frame).collect();
        let request = callboard::log::ReplayRequest {
            from: Place::Dead,
            first: EntryId::MIN,
            last: EntryId::MAX,
            limit,
            into: None,
            run: None,
            backlog_max: None,
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
        self.remember();
        Ok(())
    }

    async fn let_time_pass(&mut self) {
        let pause = self.millis(6);
        tokio::time::sleep(Duration::from_millis(pause)).await;
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
