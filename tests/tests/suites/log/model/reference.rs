use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use callboard::{
    Incarnation,
    log::{
        Accounting, Append, Attempt, Done, EntryId, Ownership, Progress, Recorded, Settle, Totals,
    },
};
use tokio::time::Instant;

/// When a call was made: somewhere between these two.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) from: Instant,
    pub(super) to: Instant,
}

impl Moment {
    /// From then until now.
    pub(super) fn since(from: Instant) -> Self {
        Self { from, to: Instant::now() }
    }
}

/// A stream as the contract tells it, written down as plainly as possible.
#[derive(Debug, Default, Clone)]
pub(super) struct Reference {
    /// The sequences that each lane has stored.
    lanes: BTreeMap<(Incarnation, u32), BTreeSet<u64>>,
    forgotten: BTreeSet<(Incarnation, u32)>,
    pub(super) entries: BTreeMap<EntryId, RefEntry>,
    /// Due time and message, in the order in which they came.
    pub(super) delayed: Vec<(u64, u64)>,
    pub(super) letters: Vec<u64>,
    pub(super) counted: Accounting,
    /// How often each message was appended.
    pub(super) stored: BTreeMap<u64, u32>,
    delivered: EntryId,
}

#[derive(Debug, Clone)]
pub(super) struct RefEntry {
    pub(super) messages: Vec<u64>,
    pub(super) owner: Option<String>,
    touched: Option<Moment>,
    pub(super) deliveries: u64,
    totals: Totals,
    done: BTreeSet<u32>,
    buried: BTreeSet<u32>,
    postponed: BTreeSet<u32>,
    attempt: Option<Attempt>,
}

impl RefEntry {
    fn new(messages: Vec<u64>) -> Self {
        Self {
            messages,
            owner: None,
            touched: None,
            deliveries: 0,
            totals: Totals::default(),
            done: BTreeSet::new(),
            buried: BTreeSet::new(),
            postponed: BTreeSet::new(),
            attempt: None,
        }
    }

    fn count(&self) -> u32 {
        u32::try_from(self.messages.len()).unwrap()
    }

    pub(super) fn recorded(&self) -> Recorded {
        let mut done = Done::default();
        for index in &self.done {
            done.insert(*index);
        }
        Recorded { totals: self.totals, done, attempt: self.attempt }
    }
}

impl Reference {
    /// What an append must answer; `None` when it must be stored.
    pub(super) fn expect_append(
        &self,
        lane: (Incarnation, u32),
        first: u64,
        count: u64,
    ) -> Option<Append> {
        let sequences = self.lanes.get(&lane);
        let last = sequences.and_then(|stored| stored.last().copied()).unwrap_or(0);
        if self.forgotten.contains(&lane) {
            return Some(Append::Forgotten);
        }
        if first + count - 1 <= last {
            return Some(Append::Duplicate { last });
        }
        (first != last + 1).then_some(Append::Gap { last })
    }

    pub(super) fn stored(
        &mut self,
        id: EntryId,
        lane: (Incarnation, u32),
        first: u64,
        messages: &[u64],
    ) {
        for (sequence, message) in (first..).zip(messages) {
            self.lanes.entry(lane).or_default().insert(sequence);
            *self.stored.entry(*message).or_default() += 1;
        }
        self.counted.appended += messages.len() as u64;
        self.enter(id, messages.to_vec());
    }

    pub(super) fn enter(&mut self, id: EntryId, messages: Vec<u64>) {
        self.counted.frames_in += 1;
        self.entries.insert(id, RefEntry::new(messages));
    }

    pub(super) fn forget(&mut self, producer: Incarnation) {
        let lanes: Vec<_> = self.lanes.keys().filter(|lane| lane.0 == producer).copied().collect();
        for lane in lanes {
            self.lanes.remove(&lane);
            self.forgotten.insert(lane);
        }
    }

    pub(super) fn read(&mut self, name: &str, count: usize, now: Moment) -> Vec<EntryId> {
        let after = self.delivered;
        let fresh = self.entries.iter_mut().filter(|(id, _)| **id > after).take(count);
        let mut ids = Vec::new();
        for (id, entry) in fresh {
            entry.owner = Some(name.to_owned());
            entry.touched = Some(now);
            entry.deliveries = 1;
            ids.push(*id);
        }
        self.delivered = ids.last().copied().unwrap_or(after);
        ids
    }

    pub(super) fn pending_of(&self, name: &str) -> Vec<EntryId> {
        let own = self.entries.iter().filter(|(_, entry)| entry.owner.as_deref() == Some(name));
        own.map(|(id, _)| *id).collect()
    }

    /// Takes in what a claim took. What is idle for as long as that, give or take the time of the
    /// calls, may have been taken or not.
    pub(super) fn claim(
        &mut self,
        name: &str,
        (idle, grain): (Duration, Duration),
        limit: usize,
        at: Moment,
        taken: &[EntryId],
    ) -> Result<(), String> {
        let mut expected = Vec::new();
        for (id, entry) in &mut self.entries {
            let (Some(owner), Some(touched)) = (&entry.owner, entry.touched) else { continue };
            if owner == name || expected.len() == limit {
                continue;
            }
            let surely = at.from.saturating_duration_since(touched.to) >= idle + grain;
            let maybe = at.to.saturating_duration_since(touched.from) + grain >= idle;
            if surely || (maybe && taken.contains(id)) {
                entry.owner = Some(name.to_owned());
                entry.touched = Some(at);
                entry.deliveries += 1;
                expected.push(*id);
            }
        }
        if taken == expected { Ok(()) } else { Err(format!("{taken:?} instead of {expected:?}")) }
    }

    /// Of the time before this nothing is known of idle clocks.
    pub(super) fn forget_touches(&mut self, long_ago: Instant) {
        for entry in self.entries.values_mut().filter(|entry| entry.touched.is_some()) {
            entry.touched = Some(Moment::since(long_ago));
        }
    }

    pub(super) fn touch(&mut self, name: &str, id: EntryId, now: Moment) -> Ownership {
        let standing = self.standing(name, id);
        if standing == Ownership::Done {
            self.entries.get_mut(&id).unwrap().touched = Some(now);
        }
        standing
    }

    pub(super) fn progress(&mut self, name: &str, step: &Progress, now: Moment) -> Ownership {
        let standing = self.standing(name, step.id);
        if standing != Ownership::Done {
            return standing;
        }
        let entry = self.entries.get_mut(&step.id).unwrap();
        let done: BTreeSet<u32> = (0..200).filter(|index| step.done.contains(*index)).collect();
        if !done.is_empty() || step.totals.sum() > 0 {
            let agrees = done.len() as u64 == step.totals.sum()
                && done.iter().all(|index| *index < entry.count())
                && done.is_superset(&entry.done)
                && grows(&entry.totals, &step.totals);
            if !agrees {
                return Ownership::Disagrees;
            }
            count(&mut self.counted, &entry.totals, &step.totals);
            entry.done = done;
            entry.totals = step.totals;
        }
        entry.attempt = step.attempt.or(entry.attempt);
        entry.touched = Some(now);
        Ownership::Done
    }

    pub(super) fn settle(&mut self, name: &str, end: &Settle) -> Ownership {
        let standing = self.standing(name, end.id);
        if standing != Ownership::Done {
            return standing;
        }
        let entry = &self.entries[&end.id];
        if end.totals.sum() != u64::from(entry.count()) || !grows(&entry.totals, &end.totals) {
            return Ownership::Disagrees;
        }
        count(&mut self.counted, &entry.totals, &end.totals);
        self.counted.frames_out += 1;
        self.entries.remove(&end.id);
        Ownership::Done
    }

    /// Moves a message; with a due time into the delay set, else to the dead letters.
    pub(super) fn move_one(
        &mut self,
        name: &str,
        id: EntryId,
        index: u32,
        due_ms: Option<u64>,
    ) -> Ownership {
        let standing = self.standing(name, id);
        if standing != Ownership::Done {
            return standing;
        }
        let entry = self.entries.get_mut(&id).unwrap();
        let moved = if due_ms.is_some() { &mut entry.postponed } else { &mut entry.buried };
        if moved.contains(&index) {
            return Ownership::Done;
        }
        if entry.done.contains(&index) {
            return Ownership::Disagrees;
        }
        moved.insert(index);
        entry.done.insert(index);
        let message = entry.messages[index as usize];
        if let Some(due_ms) = due_ms {
            entry.totals.delayed += 1;
            self.delayed.push((due_ms, message));
        } else {
            entry.totals.dead += 1;
            self.counted.dead += 1;
            self.letters.push(message);
        }
        Ownership::Done
    }

    /// Takes in that so many messages that were due were released, in order of time.
    pub(super) fn due(
        &mut self,
        limit: usize,
        (from_ms, to_ms): (u64, u64),
        released: usize,
    ) -> Result<Vec<u64>, String> {
        self.delayed.sort_by_key(|(due_ms, _)| *due_ms);
        let due_at = |now_ms: u64| {
            self.delayed.iter().filter(|(due_ms, _)| *due_ms <= now_ms).count().min(limit)
        };
        let expected = due_at(from_ms)..=due_at(to_ms);
        if !expected.contains(&released) {
            return Err(format!("{released} were released instead of {expected:?}"));
        }
        Ok(self.delayed.drain(..released).map(|(_, message)| message).collect())
    }

    pub(super) fn accounting(&self) -> Accounting {
        let held = self.entries.values().map(|entry| entry.messages.len() - entry.done.len());
        let (held, delayed) = (held.sum::<usize>() as u64, self.delayed.len() as u64);
        Accounting { held, delayed, ..self.counted }
    }

    fn standing(&self, name: &str, id: EntryId) -> Ownership {
        match self.entries.get(&id).and_then(|entry| entry.owner.as_deref()) {
            None => Ownership::NotPending,
            Some(owner) if owner == name => Ownership::Done,
            Some(_) => Ownership::OwnedByOther,
        }
    }
}

fn grows(old: &Totals, new: &Totals) -> bool {
    new.handled >= old.handled
        && new.expired >= old.expired
        && new.cancelled >= old.cancelled
        && (new.dead, new.delayed) == (old.dead, old.delayed)
}

fn count(counted: &mut Accounting, old: &Totals, new: &Totals) {
    counted.handled += u64::from(new.handled - old.handled);
    counted.expired += u64::from(new.expired - old.expired);
    counted.cancelled += u64::from(new.cancelled - old.cancelled);
}
