//! A partition whose messages are handled in the order of their keys, by one owner after the other.
//!
//! An owner reads from the head without a group and holds the fence. What is recorded as done must at
//! all times be a prefix of each key's messages: whoever takes over handles the rest, and would handle
//! an earlier one after a later one otherwise. That is up to the owner, so the model has careless ones,
//! which it must object to.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use callboard::{
    Incarnation,
    log::{
        Append, AppendRequest, BuryRequest, Done, EntryId, Fence, Mark, MessageLog, Owner,
        Ownership, Place, Progress, Settle, StreamKind, StreamName, Totals,
    },
};

use super::{
    log,
    world::{Checked, same, told},
};

const KEYS: u8 = 3;
const STEPS: usize = 300;
const SEEDS: u64 = 150;
/// Frames that an owner holds at a time.
const HELD_MAX: usize = 4;

/// How an owner tells the log what is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    /// Of all frames in one call, and before anything else marks a message as done.
    All,
    /// Of one frame, whichever.
    OneFrame,
    /// As it should be, but not before it buries.
    NotBeforeBurying,
    /// As it should be, but not before it settles.
    NotBeforeSettling,
}

type Message = (u8, u64);

struct Held {
    id: EntryId,
    messages: Vec<Message>,
    totals: Totals,
    done: Done,
}

struct Keeper {
    name: String,
    epoch: u64,
    held: Vec<Held>,
    last: EntryId,
    /// The last message of each key that it handled.
    handled: BTreeMap<u8, u64>,
}

struct Partition {
    log: Arc<dyn MessageLog>,
    stream: StreamName,
    rng: fastrand::Rng,
    care: Care,
    keeper: Keeper,
    /// Who had the fence before, and does not know that it is gone.
    stale: Option<Keeper>,
    entries: BTreeMap<EntryId, Vec<Message>>,
    next: [u64; KEYS as usize],
    sequence: u64,
}

impl Held {
    fn count(&self) -> u32 {
        u32::try_from(self.messages.len()).expect("few")
    }

    fn progress(&self) -> Progress {
        let (count, totals, done) = (self.count(), self.totals, self.done.clone());
        Progress { id: self.id, count, totals, done, attempt: None }
    }

    fn is_done(&self) -> bool {
        self.totals.sum() == u64::from(self.count())
    }
}

impl Keeper {
    fn new(epoch: u64) -> Self {
        let name = format!("owner-{epoch}");
        Self { name, epoch, held: Vec::new(), last: EntryId::MIN, handled: BTreeMap::new() }
    }

    fn owner(&self) -> Owner {
        Owner::Fence { epoch: self.epoch, owner: self.name.clone() }
    }

    /// The first message of a key that is not done: which frame, and where in it.
    fn next_of(&self, key: u8) -> Option<(usize, u32)> {
        self.held.iter().enumerate().find_map(|(at, held)| {
            let mut places = (0..).zip(&held.messages);
            let place =
                places.find(|(index, message)| message.0 == key && !held.done.contains(*index));
            place.map(|(index, _)| (at, index))
        })
    }

    /// Notes a message as the next of its key. After a lower one it must be the very next.
    fn pass(&mut self, (key, number): Message) -> Checked {
        let before = self.handled.insert(key, number);
        match before {
            Some(before) => same("the next message of a key", number, before + 1),
            None => Ok(()),
        }
    }
}

impl Partition {
    async fn new(log: Arc<dyn MessageLog>, seed: u64, care: Care) -> Checked<Self> {
        let mut partition = Self {
            log,
            stream: StreamName::new(StreamKind::Service, format!("cb:keyed:{{s:{seed}:0}}")),
            rng: fastrand::Rng::with_seed(seed),
            care,
            keeper: Keeper::new(0),
            stale: None,
            entries: BTreeMap::new(),
            next: [0; KEYS as usize],
            sequence: 1,
        };
        partition.take_over().await?;
        Ok(partition)
    }

    async fn step(&mut self) -> Checked {
        match self.rng.u32(..16) {
            0..=2 if self.entries.len() < 12 => self.append().await?,
            0..=3 => self.read().await?,
            4..=9 => self.handle()?,
            10 => self.record().await?,
            11 => self.bury().await?,
            12 | 13 => self.settle().await?,
            14 if self.rng.u32(..4) == 0 => self.take_over().await?,
            _ => self.stale_owner_wakes_up().await?,
        }
        self.check().await
    }

    async fn append(&mut self) -> Checked {
        let count = self.rng.u32(1..=4);
        let messages: Vec<Message> = (0..count)
            .map(|_| {
                let key = self.rng.u8(..KEYS);
                self.next[usize::from(key)] += 1;
                (key, self.next[usize::from(key)])
            })
            .collect();
        let request = AppendRequest {
            stream: self.stream.clone(),
            producer: Incarnation::from_u128(1),
            lane: 1,
            first: self.sequence,
            count,
            frame: sealed(&messages),
            must_exist: false,
            backlog_max: None,
            dedup: Vec::new(),
        };
        self.sequence += u64::from(count);
        match self.log.append(request).await.map_err(told)? {
            Append::Stored(id) => self.entries.insert(id, messages),
            other => return Err(format!("an append: {other:?}")),
        };
        Ok(())
    }

    async fn read(&mut self) -> Checked {
        let from = self.keeper.last.next();
        let room = HELD_MAX.saturating_sub(self.keeper.held.len());
        if room == 0 {
            return Ok(());
        }
        let range = self.log.range(&self.stream, Place::Live, from, EntryId::MAX, room);
        let entries = range.await.map_err(told)?;
        let ids: Vec<_> = entries.iter().map(|entry| entry.id).collect();
        let owner = self.keeper.owner();
        let recorded = self.log.recorded(&self.stream, &owner, &ids).await.map_err(told)?;
        for (entry, recorded) in entries.into_iter().zip(recorded) {
            let recorded = recorded.unwrap_or_default();
            self.keeper.last = entry.id;
            self.keeper.held.push(Held {
                id: entry.id,
                messages: open(&entry.frame),
                totals: recorded.totals,
                done: recorded.done,
            });
        }
        Ok(())
    }

    fn handle(&mut self) -> Checked {
        let key = self.rng.u8(..KEYS);
        let Some((at, index)) = self.keeper.next_of(key) else { return Ok(()) };
        let held = &mut self.keeper.held[at];
        held.done.insert(index);
        held.totals.handled += 1;
        let message = held.messages[index as usize];
        self.keeper.pass(message)
    }

    /// Tells the log what is done. The call or its answer may be lost: then it is told again later.
    async fn record(&mut self) -> Checked {
        let mut steps: Vec<_> = self.keeper.held.iter().map(Held::progress).collect();
        if self.care == Care::OneFrame && steps.len() > 1 {
            let which = self.rng.usize(..steps.len());
            steps = vec![steps.swap_remove(which)];
        }
        if self.rng.u32(..8) == 0 || steps.is_empty() {
            return Ok(());
        }
        let owner = self.keeper.owner();
        let answers = self.log.progress(&self.stream, &owner, &steps).await.map_err(told)?;
        same("progress of an owner", answers, vec![Ownership::Done; steps.len()])
    }

    /// As [`record`](Self::record), until it is answered.
    async fn record_for_sure(&mut self) -> Checked {
        let steps: Vec<_> = self.keeper.held.iter().map(Held::progress).collect();
        let owner = self.keeper.owner();
        let answers = self.log.progress(&self.stream, &owner, &steps).await.map_err(told)?;
        same("progress of an owner", answers, vec![Ownership::Done; steps.len()])
    }

    async fn bury(&mut self) -> Checked {
        let key = self.rng.u8(..KEYS);
        let Some((at, index)) = self.keeper.next_of(key) else { return Ok(()) };
        if self.care != Care::NotBeforeBurying {
            self.record_for_sure().await?;
        }
        let owner = self.keeper.owner();
        let held = &self.keeper.held[at];
        let (message, mark) =
            (held.messages[index as usize], Mark { id: held.id, index, count: held.count() });
        let request = BuryRequest { mark, letter: sealed(&[message]), into: None };
        let answer = self.log.bury(&self.stream, &owner, request).await.map_err(told)?;
        same("a bury of an owner", answer, Ownership::Done)?;
        let held = &mut self.keeper.held[at];
        held.done.insert(index);
        held.totals.dead += 1;
        self.keeper.pass(message)
    }

    async fn settle(&mut self) -> Checked {
        let Some(at) = self.keeper.held.iter().position(Held::is_done) else { return Ok(()) };
        if self.care != Care::NotBeforeSettling {
            self.record_for_sure().await?;
        }
        let (owner, held) = (self.keeper.owner(), self.keeper.held.remove(at));
        let end = Settle { id: held.id, count: held.count(), totals: held.totals, retain: None };
        let answers = self.log.settle(&self.stream, &owner, &[end]).await.map_err(told)?;
        same("a settle of an owner", answers, vec![Ownership::Done])?;
        self.entries.remove(&held.id);
        Ok(())
    }

    /// The owner dies, or is cut off. The next one raises the fence before it reads anything.
    async fn take_over(&mut self) -> Checked {
        let next = Keeper::new(self.keeper.epoch + 1);
        let raised = self.log.fence(&self.stream, next.epoch, &next.name).await.map_err(told)?;
        same("a higher fence", raised, Fence::Raised)?;
        self.stale = Some(std::mem::replace(&mut self.keeper, next));
        Ok(())
    }

    async fn stale_owner_wakes_up(&mut self) -> Checked {
        let Some(stale) = self.stale.take() else { return Ok(()) };
        let steps: Vec<_> = stale.held.iter().map(Held::progress).collect();
        let answers =
            self.log.progress(&self.stream, &stale.owner(), &steps).await.map_err(told)?;
        same("progress of a stale owner", answers, vec![Ownership::OwnedByOther; steps.len()])?;
        let fence = self.log.fence(&self.stream, stale.epoch, &stale.name).await.map_err(told)?;
        same("the fence of a stale owner", fence != Fence::Raised, true)
    }

    /// Whether what is recorded as done is a prefix of each key's messages. What is in no entry any
    /// more is done, and was before everything that is.
    async fn check(&self) -> Checked {
        let ids: Vec<_> = self.entries.keys().copied().collect();
        let owner = self.keeper.owner();
        let recorded = self.log.recorded(&self.stream, &owner, &ids).await.map_err(told)?;
        let mut open_from: BTreeMap<u8, u64> = BTreeMap::new();
        let mut last_of: BTreeMap<u8, u64> = BTreeMap::new();
        for (messages, recorded) in self.entries.values().zip(recorded) {
            let done = recorded.unwrap_or_default().done;
            for (index, (key, number)) in (0..).zip(messages) {
                let before = last_of.insert(*key, *number).unwrap_or(*number - 1);
                // A gap is an entry that was settled.
                let is_settled_between = before + 1 != *number;
                if let Some(open) = open_from.get(key)
                    && (done.contains(index) || is_settled_between)
                {
                    return Err(format!("of key {key} {number} is done and {open} is not"));
                }
                if !done.contains(index) {
                    open_from.entry(*key).or_insert(*number);
                }
            }
        }
        // The last ones of a key may have been settled, too.
        for (key, open) in &open_from {
            let (last, all) = (last_of[key], self.next[usize::from(*key)]);
            if last != all {
                return Err(format!("of key {key} {all} is done and {open} is not"));
            }
        }
        let info = self.log.info(&self.stream).await.map_err(told)?.unwrap_or_default();
        same("adding up", info.accounting.adds_up(), true)?;
        same("the entries", info.length, self.entries.len() as u64)
    }
}

fn sealed(messages: &[Message]) -> Bytes {
    let bytes =
        messages.iter().flat_map(|(key, number)| std::iter::once(*key).chain(number.to_be_bytes()));
    bytes.collect::<Vec<_>>().into()
}

fn open(frame: &Bytes) -> Vec<Message> {
    let message = |bytes: &[u8]| {
        let number = bytes[1..].try_into().expect("eight bytes");
        (bytes[0], u64::from_be_bytes(number))
    };
    frame.chunks(9).map(message).collect()
}

pub(super) async fn run(log: Arc<dyn MessageLog>, seed: u64, care: Care) -> Checked {
    let mut partition = Partition::new(log, seed, care).await?;
    for step in 0..STEPS {
        partition.step().await.map_err(|why| format!("seed {seed}, step {step}: {why}"))?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn owners_that_change_leave_a_prefix_of_each_key() {
    for seed in 0..SEEDS {
        run(Arc::new(log(1 << 30)), seed, Care::All).await.unwrap_or_else(|why| panic!("{why}"));
    }
}

#[tokio::test(start_paused = true)]
async fn the_keyed_model_objects_to_careless_owners() {
    for care in [Care::OneFrame, Care::NotBeforeBurying, Care::NotBeforeSettling] {
        let mut caught = None;
        for seed in 0..SEEDS {
            caught = run(Arc::new(log(1 << 30)), seed, care).await.err();
            if caught.is_some() {
                break;
            }
        }
        let caught = caught.unwrap_or_else(|| panic!("nothing was said of {care:?}"));
        println!("{care:?}: {caught}");
    }
}
