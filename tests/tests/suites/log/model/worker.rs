use std::time::Duration;

use callboard::log::{
    Attempt, BuryRequest, Claim, ClaimRequest, Consumer, Entry, EntryId, Mark, Owner, Ownership,
    PostponeRequest, Progress, ReadGroupRequest, Recorded, Settle,
};
use tokio::time::Instant;

use super::{
    reference::Moment,
    world::{ALL, Checked, Fate, World, open, same, sealed, told},
};

/// An entry may be claimed when it was idle for so many ticks.
const IDLE_TICKS: u32 = 7;

/// A consumer with what it believes to hold. It may be wrong: that is the point.
pub(super) struct Worker {
    name: String,
    held: Vec<Held>,
}

#[derive(Clone)]
struct Held {
    id: EntryId,
    messages: Vec<u64>,
    recorded: Recorded,
}

impl Held {
    fn count(&self) -> u32 {
        u32::try_from(self.messages.len()).unwrap()
    }

    fn open(&self) -> Vec<u32> {
        (0..self.count()).filter(|index| !self.recorded.done.contains(*index)).collect()
    }
}

impl Worker {
    pub(super) fn new(name: String) -> Self {
        Self { name, held: Vec::new() }
    }

    pub(super) fn consumer(&self) -> Consumer {
        Consumer { group: "g".into(), name: self.name.clone() }
    }
}

impl World {
    /// One step of one worker.
    pub(super) async fn work(&mut self) -> Checked {
        let at = self.rng.usize(..self.workers.len());
        let held = self.workers[at].held.len();
        let which = if held > 0 { self.rng.usize(..held) } else { 0 };
        match self.rng.u32(..24) {
            0..=3 => self.read(at).await,
            4 => self.recover(at).await,
            5 => self.claim(at).await,
            6 => self.touch(at).await,
            7 if self.rng.u32(..3) == 0 => self.crash(at).await,
            _ if held == 0 => self.read(at).await,
            8..=13 => self.handle(at, which).await,
            14 => self.bury_or_postpone(at, which, true).await,
            15 => self.bury_or_postpone(at, which, false).await,
            16..=18 => self.progress(at, which).await,
            _ => self.settle(at, which).await,
        }
    }

    /// What a worker does that wants to get to the end.
    pub(super) async fn work_off(&mut self) -> Checked {
        self.read(0).await?;
        self.claim(0).await?;
        self.recover(0).await?;
        for which in (0..self.workers[0].held.len()).rev() {
            for index in self.workers[0].held[which].open() {
                self.handle_one(0, which, index);
            }
            self.settle(0, which).await?;
        }
        Ok(())
    }

    async fn read(&mut self, at: usize) -> Checked {
        let fate = self.fate();
        if fate == Fate::RequestLost {
            return Ok(());
        }
        let (count, consumer) = (self.rng.usize(1..4), self.workers[at].consumer());
        let name = consumer.name.clone();
        let streams = vec![self.stream.clone()];
        let request = ReadGroupRequest { streams, consumer, count, block: Duration::ZERO };
        let begun = Instant::now();
        let read = self.log.read_group(request).await.map_err(told)?;
        let at_time = Moment::since(begun);
        let entries: Vec<_> = read.into_iter().flat_map(|batch| batch.entries).collect();
        let ids: Vec<_> = entries.iter().map(|entry| entry.id).collect();
        same("a read", ids, self.reference.read(&name, count, at_time))?;
        self.remember();
        if fate == Fate::Arrives {
            for entry in entries {
                self.hold(at, &entry, Recorded::default());
            }
        }
        Ok(())
    }

    /// Looks for entries of its own that it does not know of, after an answer was lost.
    async fn recover(&mut self, at: usize) -> Checked {
        let consumer = self.workers[at].consumer();
        let pending = self.log.pending_of(&self.stream, &consumer, ALL).await.map_err(told)?;
        let ids: Vec<_> = pending.iter().map(|entry| entry.id).collect();
        same("what is pending", &ids, &self.reference.pending_of(&consumer.name))?;
        for entry in pending {
            if self.workers[at].held.iter().all(|held| held.id != entry.id) {
                let recorded = self.recorded(at, entry.id).await?;
                self.hold(at, &entry, recorded.unwrap_or_default());
            }
        }
        Ok(())
    }

    async fn recorded(&self, at: usize, id: EntryId) -> Checked<Option<Recorded>> {
        let owner = Owner::Consumer(self.workers[at].consumer());
        let recorded = self.log.recorded(&self.stream, &owner, &[id]).await.map_err(told)?;
        let expected = self.reference.entries.get(&id).map(|entry| entry.recorded());
        same("what is recorded", recorded.first().map(normal), Some(normal(&expected)))?;
        Ok(expected)
    }

    async fn claim(&mut self, at: usize) -> Checked {
        let fate = self.fate();
        if fate == Fate::RequestLost {
            return Ok(());
        }
        let (consumer, limit) = (self.workers[at].consumer(), self.rng.usize(1..5));
        let name = consumer.name.clone();
        let idle = self.tick * IDLE_TICKS;
        let request = ClaimRequest { consumer, from: None, idle, limit };
        let begun = Instant::now();
        let claim = self.log.claim(&self.stream, request).await.map_err(told)?;
        let Claim::Taken { entries, gone } = claim else { return Err("it is in its grace".into()) };
        let ids: Vec<_> = entries.iter().map(|claimed| claimed.entry.id).collect();
        let (at_time, span) = (Moment::since(begun), (idle, self.grain));
        let claimed = self.reference.claim(&name, span, limit, at_time, &ids);
        claimed.map_err(|why| format!("a claim: {why}"))?;
        self.remember();
        same("what is gone", gone, vec![])?;
        for claimed in &entries {
            let expected = &self.reference.entries[&claimed.entry.id];
            let recorded = Some(claimed.recorded.clone());
            let wanted = Some(expected.recorded());
            same("what comes with a claim", normal(&recorded), normal(&wanted))?;
            same("its deliveries", claimed.deliveries, expected.deliveries)?;
        }
        if !entries.is_empty() {
            self.met("a claim");
        }
        if fate == Fate::Arrives {
            for claimed in entries {
                self.workers[at].held.retain(|held| held.id != claimed.entry.id);
                self.hold(at, &claimed.entry, claimed.recorded);
            }
        }
        Ok(())
    }

    async fn touch(&mut self, at: usize) -> Checked {
        let consumer = self.workers[at].consumer();
        let ids: Vec<_> = self.workers[at].held.iter().map(|held| held.id).collect();
        let begun = Instant::now();
        let answers = self.log.touch(&self.stream, &consumer, &ids).await.map_err(told)?;
        let at_time = Moment::since(begun);
        for (id, answer) in ids.iter().zip(answers) {
            let expected = self.reference.touch(&consumer.name, *id, at_time);
            same("a touch", answer, expected)?;
        }
        self.remember();
        // It does not believe the answers: a stale owner goes on.
        Ok(())
    }

    /// The worker ends in the middle of everything; another of a new name takes its place.
    async fn crash(&mut self, at: usize) -> Checked {
        let consumer = self.workers[at].consumer();
        let known = self.log.info(&self.stream).await.map_err(told)?.is_some_and(|info| {
            let consumers = info.groups.into_iter().flat_map(|group| group.consumers);
            consumers.map(|(name, _)| name).any(|name| name == consumer.name)
        });
        let removed = self.log.remove_consumer(&self.stream, &consumer).await.map_err(told)?;
        let is_idle = self.reference.pending_of(&consumer.name).is_empty();
        same("removing a consumer", removed, known && is_idle)?;
        let name = self.name();
        self.workers[at] = Worker::new(name);
        Ok(())
    }

    async fn handle(&mut self, at: usize, which: usize) -> Checked {
        let open = self.workers[at].held[which].open();
        let some = if open.is_empty() { 0 } else { self.rng.usize(1..=open.len()) };
        for index in open.into_iter().take(some) {
            self.handle_one(at, which, index);
        }
        Ok(())
    }

    fn handle_one(&mut self, at: usize, which: usize, index: u32) {
        let held = &mut self.workers[at].held[which];
        self.seen.insert(held.messages[index as usize]);
        held.recorded.done.insert(index);
        match self.rng.u32(..10) {
            0 => held.recorded.totals.expired += 1,
            1 => held.recorded.totals.cancelled += 1,
            _ => held.recorded.totals.handled += 1,
        }
    }

    async fn bury_or_postpone(&mut self, at: usize, which: usize, bury: bool) -> Checked {
        let held = self.workers[at].held[which].clone();
        // Also messages that it believes done: the log must know better.
        let index = self.rng.u32(..held.count());
        let is_known = held.recorded.done.contains(index);
        let mark = Mark { id: held.id, index, count: held.count() };
        let letter = sealed(&held.messages[index as usize..=index as usize]);
        let owner = Owner::Consumer(self.workers[at].consumer());
        let name = self.workers[at].name.clone();
        let due_ms = self.log.now_ms().await.map_err(told)? + self.millis(20);
        let fate = self.fate();
        if fate == Fate::RequestLost {
            return Ok(());
        }
        let (answer, due_ms) = if bury {
            let request = BuryRequest { mark, letter, into: None };
            (self.log.bury(&self.stream, &owner, request).await, None)
        } else {
            let request = PostponeRequest { mark, frame: letter, due_ms };
            (self.log.postpone(&self.stream, &owner, request).await, Some(due_ms))
        };
        let answer = answer.map_err(told)?;
        let letters = self.reference.letters.len() + self.reference.delayed.len();
        let expected = self.reference.move_one(&name, held.id, index, due_ms);
        same("a move", answer, expected)?;
        self.remember();
        let is_repeated = letters == self.reference.letters.len() + self.reference.delayed.len();
        self.met(match answer {
            Ownership::Done if is_repeated => "a move again",
            Ownership::Done => "a move",
            Ownership::Disagrees => "a move that contradicts",
            _ => "a move by a stale owner",
        });
        if fate == Fate::AnswerLost {
            return Ok(());
        }
        let is_new = answer == Ownership::Done && !is_known;
        if is_new {
            let recorded = &mut self.workers[at].held[which].recorded;
            recorded.done.insert(index);
            if bury {
                recorded.totals.dead += 1
            } else {
                recorded.totals.delayed += 1
            }
            return Ok(());
        }
        // It moved what the worker took for done otherwise: its totals are wrong now.
        let answer = if answer == Ownership::Done { Ownership::Disagrees } else { answer };
        self.believe(at, held.id, answer).await
    }

    async fn progress(&mut self, at: usize, which: usize) -> Checked {
        let held = self.workers[at].held[which].clone();
        let owner = Owner::Consumer(self.workers[at].consumer());
        let name = self.workers[at].name.clone();
        let attempt = self.rng.bool().then(|| Attempt { index: 0, number: self.rng.u32(1..5) });
        let Recorded { mut totals, mut done, .. } = held.recorded.clone();
        match self.rng.u32(..8) {
            0 => (totals, done) = Default::default(),
            1 => totals.handled += 1,
            _ => {}
        }
        let step = Progress { id: held.id, count: held.count(), totals, done, attempt };
        let fate = self.fate();
        if fate == Fate::RequestLost {
            return Ok(());
        }
        let (steps, begun) = (std::slice::from_ref(&step), Instant::now());
        let answers = self.log.progress(&self.stream, &owner, steps).await.map_err(told)?;
        let expected = self.reference.progress(&name, &step, Moment::since(begun));
        same("progress", answers[0], expected)?;
        self.remember();
        self.met(match answers[0] {
            Ownership::Done => "progress",
            Ownership::Disagrees => "progress that disagrees",
            _ => "progress by a stale owner",
        });
        if fate == Fate::Arrives { self.believe(at, held.id, answers[0]).await } else { Ok(()) }
    }

    async fn settle(&mut self, at: usize, which: usize) -> Checked {
        let held = self.workers[at].held[which].clone();
        let owner = Owner::Consumer(self.workers[at].consumer());
        let name = self.workers[at].name.clone();
        let end =
            Settle { id: held.id, count: held.count(), totals: held.recorded.totals, retain: None };
        let fate = self.fate();
        if fate == Fate::RequestLost {
            return Ok(());
        }
        let ends = std::slice::from_ref(&end);
        let answers = self.log.settle(&self.stream, &owner, ends).await.map_err(told)?;
        same("a settle", answers[0], self.reference.settle(&name, &end))?;
        self.remember();
        self.met(match answers[0] {
            Ownership::Done => "a settle",
            Ownership::NotPending => "a settle of what is not pending",
            Ownership::OwnedByOther => "a settle by a stale owner",
            Ownership::Disagrees => "a settle that does not add up",
        });
        if fate == Fate::AnswerLost {
            return Ok(());
        }
        if answers[0] == Ownership::Done {
            self.workers[at].held.retain(|other| other.id != held.id);
        }
        self.believe(at, held.id, answers[0]).await
    }

    /// Acts on what the log said of an entry, as the contract asks.
    async fn believe(&mut self, at: usize, id: EntryId, answer: Ownership) -> Checked {
        match answer {
            Ownership::Done => {}
            Ownership::NotPending | Ownership::OwnedByOther => {
                self.workers[at].held.retain(|held| held.id != id);
            }
            Ownership::Disagrees => {
                let recorded = self.recorded(at, id).await?.unwrap_or_default();
                for held in self.workers[at].held.iter_mut().filter(|held| held.id == id) {
                    held.recorded = recorded.clone();
                }
            }
        }
        Ok(())
    }

    fn hold(&mut self, at: usize, entry: &Entry, recorded: Recorded) {
        let messages = open(&entry.frame);
        // A log that lost its end may give it once more.
        self.workers[at].held.retain(|held| held.id != entry.id);
        self.workers[at].held.push(Held { id: entry.id, messages, recorded });
    }
}

/// Bitmaps may differ in zeros at their end.
pub(super) fn normal(recorded: &Option<Recorded>) -> Option<Recorded> {
    recorded.clone().map(|mut recorded| {
        while recorded.done.0.last() == Some(&0) {
            recorded.done.0.pop();
        }
        recorded
    })
}
