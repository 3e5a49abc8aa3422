use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    Now, check,
    delay::DelaySet,
    group::Group,
    lanes::{Lanes, Verdict},
    memory::Memory,
    once::Once,
    part::Part,
    replay::Runs,
    wait::Waiters,
};
use crate::log::{
    Accounting, Append, AppendRequest, DedupId, Done, Due, EntryId, Fence, LogError, Place, Start,
    StreamInfo, StreamName,
};

/// A stream with all that belongs to it.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) name: StreamName,
    /// False while only blocked readers know of it.
    pub(super) exists: bool,
    /// It was taken out of the log's map: whoever still has it looks there again.
    pub(super) is_detached: bool,
    keep_until: Option<Instant>,
    pub(super) live: Part,
    pub(super) dead: Part,
    pub(super) retained: Part,
    pub(super) lanes: Lanes,
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) delay: DelaySet,
    once: Once,
    pub(super) fence: Option<(u64, String)>,
    /// How far replays of retained entries came.
    pub(super) runs: Runs,
    /// What only counts up; `delayed` and `held` are computed.
    pub(super) counted: Accounting,
    pub(super) waiters: Waiters,
    memory: Arc<Memory>,
}

impl Stream {
    pub(super) fn new(name: StreamName, memory: Arc<Memory>) -> Self {
        Self {
            name,
            exists: false,
            is_detached: false,
            keep_until: None,
            live: Part::new(Arc::clone(&memory)),
            dead: Part::new(Arc::clone(&memory)),
            retained: Part::new(Arc::clone(&memory)),
            lanes: Lanes::default(),
            groups: BTreeMap::new(),
            delay: DelaySet::new(Arc::clone(&memory)),
            once: Once::new(Arc::clone(&memory)),
            fence: None,
            runs: Runs::default(),
            counted: Accounting::default(),
            waiters: Waiters::default(),
            memory,
        }
    }

    /// Removes all but the blocked readers, whose wait ends.
    pub(super) fn wipe(&mut self) {
        let mut waiters = std::mem::take(&mut self.waiters);
        waiters.end_all();
        let is_detached = self.is_detached;
        *self = Self::new(self.name.clone(), Arc::clone(&self.memory));
        self.waiters = waiters;
        self.is_detached = is_detached;
    }

    pub(super) fn open(&mut self, keep: Option<Duration>, now: Instant) {
        self.exists = true;
        self.keep_until = keep.and_then(|keep| now.checked_add(keep));
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.keep_until.is_some_and(|end| end <= now)
    }

    pub(super) fn part(&self, place: Place) -> &Part {
        match place {
            Place::Live => &self.live,
            Place::Dead => &self.dead,
            Place::Retained => &self.retained,
        }
    }

    pub(super) fn append(&mut self, request: &AppendRequest, now: Now) -> Append {
        match self.admit(request, now) {
            Ok(_) | Err(Append::Duplicate { .. } | Append::Gap { .. })
                if request.is_without_lane() =>
            {
                Append::Stored(self.store(
                    request.frame.clone(),
                    request.count,
                    Done::default(),
                    now.ms,
                ))
            }
            Err(answer) => answer,
            Ok(last) => {
                let skip = self.skip(request, now.ms);
                self.count_in(request, last);
                self.counted.cancelled += skip.count();
                if skip.count() == u64::from(request.count) {
                    return Append::Duplicate { last };
                }
                Append::Stored(self.store(request.frame.clone(), request.count, skip, now.ms))
            }
        }
    }

    /// Which messages of a frame were stored before, by their dedup ids; those of the others are known
    /// from now on.
    fn skip(&mut self, request: &AppendRequest, now_ms: u64) -> Done {
        let mut skip = Done::default();
        for DedupId { index, id, window } in &request.dedup {
            if self.once.knows(id, millis(*window), now_ms) {
                skip.insert(*index);
            }
        }
        skip
    }

    pub(super) fn append_delayed(
        &mut self,
        request: &AppendRequest,
        id: &str,
        due_ms: u64,
        now: Now,
    ) -> Result<Append, LogError> {
        let last = match self.admit(request, now) {
            Err(answer) => return Ok(answer),
            Ok(last) => last,
        };
        if self.delay.holds(id) {
            return Err(check::taken(id));
        }
        let skipped = self.skip(request, now.ms).count();
        self.count_in(request, last);
        self.counted.cancelled += skipped;
        if skipped > 0 {
            return Ok(Append::Duplicate { last });
        }
        self.delay.insert(due_ms, Some(id), request.frame.clone());
        Ok(Append::Stored(self.live.next_id(now.ms)))
    }

    pub(super) fn cancel_delayed(&mut self, id: &str) -> bool {
        let was_there = self.delay.cancel(id);
        if was_there && self.name.is_counted() {
            self.counted.cancelled += 1;
        }
        was_there
    }

    pub(super) fn due(&mut self, limit: usize, now_ms: u64) -> Due {
        let mut released = 0;
        while released < limit {
            let Some(frame) = self.delay.pop_due(now_ms) else { break };
            self.store(frame, 1, Done::default(), now_ms);
            released += 1;
        }
        Due { released, next_ms: self.delay.next_ms() }
    }

    pub(super) fn ensure_group(&mut self, group: &str, start: Start) -> &mut Group {
        self.exists = true;
        let last = self.live.last();
        self.groups.entry(group.to_owned()).or_insert_with(|| {
            Group::starting_after(match start {
                Start::Beginning => EntryId::MIN,
                Start::New => last,
                Start::After(id) => id,
            })
        })
    }

    pub(super) fn raise_fence(&mut self, epoch: u64, owner: &str) -> Fence {
        match &self.fence {
            Some((stands, holder)) if *stands > epoch || (*stands == epoch && holder != owner) => {
                Fence::Refused { epoch: *stands, owner: holder.clone() }
            }
            _ => {
                self.exists = true;
                self.fence = Some((epoch, owner.to_owned()));
                Fence::Raised
            }
        }
    }

    pub(super) fn trim(&mut self, place: Place, before: EntryId) -> u64 {
        match place {
            Place::Dead => self.dead.trim(before),
            Place::Retained => self.retained.trim(before),
            Place::Live => {
                self.groups.values_mut().for_each(|group| group.forget_records(..before));
                self.live.trim(before)
            }
        }
    }

    pub(super) fn info(&self) -> StreamInfo {
        StreamInfo {
            length: self.live.len() as u64,
            first: self.live.first(),
            last: self.live.last(),
            groups: self.groups.iter().map(|(name, group)| group.info(name)).collect(),
            dead_letters: self.dead.len() as u64,
            retained: self.retained.len() as u64,
            retained_bytes: self.retained.memory_bytes(),
            fence: self.fence.clone(),
            accounting: self.accounting(),
        }
    }

    /// Whether a reader of this group would find something (without a group: after this entry).
    pub(super) fn has_new(&self, group: Option<&str>, after: EntryId) -> bool {
        let after = match group {
            None => after,
            Some(group) => self.groups.get(group).map_or(EntryId::MIN, Group::last_delivered),
        };
        self.live.has_after(after)
    }

    fn accounting(&self) -> Accounting {
        if !self.name.is_counted() {
            return Accounting::default();
        }
        Accounting { delayed: self.delay.len() as u64, held: self.live.held(), ..self.counted }
    }

    /// The last sequence of the frame if it may be stored, else the answer.
    fn admit(&self, request: &AppendRequest, now: Now) -> Result<u64, Append> {
        let AppendRequest { producer, lane, first, count, .. } = *request;
        if request.must_exist && !self.exists {
            return Err(Append::Gone);
        }
        let last = first.saturating_add(u64::from(count) - 1);
        match self.lanes.judge(producer, lane, first, last, now.instant) {
            Verdict::Duplicate(last) => return Err(Append::Duplicate { last }),
            Verdict::Gap(last) => return Err(Append::Gap { last }),
            Verdict::Forgotten => return Err(Append::Forgotten),
            Verdict::Next => {}
        }
        let is_full =
            request.backlog_max.is_some_and(|max| self.backlog() + u64::from(count) > max);
        if is_full && self.name.is_counted() { Err(Append::Full) } else { Ok(last) }
    }

    /// Held and delayed messages, by what was counted.
    pub(super) fn backlog(&self) -> u64 {
        let Accounting { appended, handled, expired, cancelled, dead, .. } = self.counted;
        appended - handled - expired - cancelled - dead
    }

    fn count_in(&mut self, request: &AppendRequest, last: u64) {
        self.exists = true;
        self.lanes.advance(request.producer, request.lane, last);
        if self.name.is_counted() {
            self.counted.appended += u64::from(request.count);
        }
    }

    pub(super) fn store(&mut self, frame: Bytes, count: u32, skip: Done, now_ms: u64) -> EntryId {
        let id = self.live.push_skipping(now_ms, frame, count, skip);
        if self.name.is_counted() {
            self.counted.frames_in += 1;
        }
        self.waiters.wake_for_entry();
        id
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
