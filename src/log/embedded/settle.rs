use std::time::Duration;

use tokio::time::Instant;

use super::{
    Now,
    group::Group,
    record::{Move, Moved, Record},
    stream::Stream,
};
use crate::log::{
    Claim, ClaimRequest, EntryId, Mark, Owner, Ownership, Progress, Recorded, Retain, Settle,
    StreamKind, Totals,
};

impl Stream {
    pub(super) fn progress(&mut self, owner: &Owner, step: &Progress, now: Instant) -> Ownership {
        let standing = self.standing(owner, step.id);
        if standing != Ownership::Done {
            return standing;
        }
        let Some(count) = self.count_of(step.id) else { return Ownership::NotPending };
        let has_marks = step.done.count() > 0 || step.totals.sum() > 0;
        let record = self.record_mut(owner, step.id);
        if has_marks && !record.admits(step, count) {
            return Ownership::Disagrees;
        }
        record.set_attempt(step.attempt);
        if has_marks {
            let before = record.totals();
            record.advance(step.totals, step.done.clone());
            self.count_difference(before, step.totals);
        }
        self.touch_for(owner, step.id, now);
        Ownership::Done
    }

    pub(super) fn touch(&mut self, owner: &Owner, id: EntryId, now: Instant) -> Ownership {
        let standing = self.standing(owner, id);
        if standing == Ownership::Done {
            self.touch_for(owner, id, now);
        }
        standing
    }

    pub(super) fn recorded(&self, owner: &Owner, id: EntryId) -> Option<Recorded> {
        let stored = self.live.get(id)?;
        let record = match self.topic_group(owner) {
            None => return Some(stored.record.public().clone()),
            Some(group) => self.groups.get(group).and_then(|group| group.records.get(&id)),
        };
        Some(record.map(|record| record.public().clone()).unwrap_or_default())
    }

    pub(super) fn settle(&mut self, owner: &Owner, end: &Settle, now: Now) -> Ownership {
        let standing = self.standing(owner, end.id);
        if standing != Ownership::Done {
            return standing;
        }
        let Some(count) = self.count_of(end.id) else { return Ownership::NotPending };
        let record = self.record_mut(owner, end.id);
        if !record.admits_end(end, count) {
            return Ownership::Disagrees;
        }
        let before = record.totals();
        self.count_difference(before, end.totals);
        self.end(owner, end.id, end.retain, now.ms);
        Ownership::Done
    }

    /// Ends an entry that nobody can read: what was not done of it is dead.
    pub(super) fn bury_entry(&mut self, owner: &Owner, id: EntryId, now_ms: u64) -> Ownership {
        let standing = self.standing(owner, id);
        if standing != Ownership::Done {
            return standing;
        }
        let Some(count) = self.count_of(id) else { return Ownership::NotPending };
        let before = self.record_mut(owner, id).totals();
        let left = u64::from(count).saturating_sub(before.sum());
        let dead = before.dead.saturating_add(u32::try_from(left).unwrap_or(u32::MAX));
        self.count_difference(before, Totals { dead, ..before });
        self.end(owner, id, None, now_ms);
        Ownership::Done
    }

    fn end(&mut self, owner: &Owner, id: EntryId, retain: Option<Retain>, now_ms: u64) {
        if let Owner::Consumer(consumer) = owner
            && let Some(group) = self.groups.get_mut(&consumer.group)
        {
            group.acknowledge(id);
        }
        if self.name.kind() != StreamKind::Topic {
            self.take_out(id, retain, now_ms);
        }
    }

    /// What moving one message would meet. Nothing is changed.
    pub(super) fn probe_move(
        &mut self,
        owner: &Owner,
        mark: Mark,
        to: Move,
    ) -> Result<Moved, Ownership> {
        let standing = self.standing(owner, mark.id);
        if standing != Ownership::Done {
            return Err(standing);
        }
        if self.count_of(mark.id) != Some(mark.count) {
            return Err(Ownership::Disagrees);
        }
        Ok(self.record_mut(owner, mark.id).probe(mark.index, to))
    }

    /// Records a move that [`probe_move`](Self::probe_move) found fresh.
    pub(super) fn record_move(&mut self, owner: &Owner, mark: Mark, to: Move) {
        let record = self.record_mut(owner, mark.id);
        let before = record.totals();
        record.mark(mark.index, to);
        let after = record.totals();
        self.count_difference(before, after);
    }

    pub(super) fn claim(&mut self, request: &ClaimRequest, now: Instant) -> Claim {
        let Self { live, groups, name, .. } = self;
        let Some(group) = groups.get_mut(&request.consumer.group) else {
            return Claim::Taken { entries: Vec::new(), gone: Vec::new() };
        };
        let is_topic = name.kind() == StreamKind::Topic;
        let record = |group: &Group, id: EntryId| {
            let record =
                if is_topic { group.records.get(&id) } else { live.get(id).map(|e| &e.record) };
            record.cloned().unwrap_or_default()
        };
        group.claim(live, request, record, now)
    }

    /// By which right the caller holds an entry: [`Ownership::Done`] when it does.
    pub(super) fn standing(&mut self, owner: &Owner, id: EntryId) -> Ownership {
        let is_there = self.live.contains(id);
        match owner {
            Owner::Consumer(consumer) => {
                let Some(group) = self.groups.get_mut(&consumer.group) else {
                    return Ownership::NotPending;
                };
                match group.owner_of(id) {
                    None => Ownership::NotPending,
                    Some(name) if name != consumer.name => Ownership::OwnedByOther,
                    Some(_) if is_there => Ownership::Done,
                    Some(_) => {
                        group.acknowledge(id);
                        Ownership::NotPending
                    }
                }
            }
            Owner::Fence { epoch, owner } => match &self.fence {
                Some((stands, holder)) if stands == epoch && holder == owner => {
                    if is_there {
                        Ownership::Done
                    } else {
                        Ownership::NotPending
                    }
                }
                _ => Ownership::OwnedByOther,
            },
        }
    }

    fn count_of(&self, id: EntryId) -> Option<u32> {
        self.live.get(id).map(|stored| stored.count)
    }

    /// The group that keeps what this owner records, where it isn't kept with the entry.
    fn topic_group<'a>(&self, owner: &'a Owner) -> Option<&'a str> {
        match owner {
            Owner::Consumer(consumer) if self.name.kind() == StreamKind::Topic => {
                Some(&consumer.group)
            }
            _ => None,
        }
    }

    /// The record of an entry that [`standing`](Self::standing) found to be there.
    fn record_mut(&mut self, owner: &Owner, id: EntryId) -> &mut Record {
        match self.topic_group(owner) {
            Some(group) => {
                let group = self.groups.get_mut(group).expect("the owner's group was found before");
                group.records.entry(id).or_default()
            }
            None => {
                &mut self
                    .live
                    .get_mut(id)
                    .expect("the entry was found before, under one lock")
                    .record
            }
        }
    }

    fn touch_for(&mut self, owner: &Owner, id: EntryId, now: Instant) {
        if let Owner::Consumer(consumer) = owner
            && let Some(group) = self.groups.get_mut(&consumer.group)
        {
            group.touch(id, now);
        }
    }

    fn count_difference(&mut self, before: Totals, after: Totals) {
        if !self.name.is_counted() {
            return;
        }
        let grown = |before: u32, after: u32| u64::from(after - before);
        self.counted.handled += grown(before.handled, after.handled);
        self.counted.expired += grown(before.expired, after.expired);
        self.counted.cancelled += grown(before.cancelled, after.cancelled);
        self.counted.dead += grown(before.dead, after.dead);
    }

    fn take_out(&mut self, id: EntryId, retain: Option<Retain>, now_ms: u64) {
        let Some(stored) = self.live.remove(id) else { return };
        if self.name.is_counted() {
            self.counted.frames_out += 1;
        }
        if let Some(Retain { age, entries_max }) = retain {
            self.retained.push_skipping(now_ms, stored.frame, stored.count, stored.skip);
            self.retained.trim(EntryId { ms: now_ms.saturating_sub(millis(age)), seq: 0 });
            self.retained.trim_to(entries_max);
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
