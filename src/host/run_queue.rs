use super::{
    Slot,
    group::{Group, GroupKey},
};

/// The most groups of a host; whoever comes later shares the first.
const GROUPS_MAX: usize = 64;
const QUEUED: u8 = 0x80;

/// The slots that are due for a poll, each at most once, by group.
///
/// Within a group they take turns; between groups the one that had the least CPU time for its
/// weight is next.
#[derive(Debug)]
pub(super) struct RunQueue {
    groups: Vec<Group>,
    /// The groups that have something due, a bit each.
    ready: u64,
    /// By slot: its group, and whether it is queued.
    slots: Vec<u8>,
    /// Groups that have members.
    in_use: usize,
    /// The virtual time of the group that was last chosen among several.
    floor: u64,
}

impl RunQueue {
    pub(super) fn new() -> Self {
        Self { groups: vec![Group::new(None)], ready: 0, slots: Vec::new(), in_use: 0, floor: 0 }
    }

    /// Whether CPU time has to be counted by group.
    #[inline]
    pub(super) fn has_groups(&self) -> bool {
        self.in_use > 1
    }

    pub(super) fn join(&mut self, slot: Slot, key: Option<&GroupKey>) {
        let group = self.group_for(key);
        let members = &mut self.groups[group].members;
        *members += 1;
        if *members == 1 {
            self.in_use += 1;
        }
        let at = slot.0 as usize;
        if self.slots.len() <= at {
            self.slots.resize(at + 1, 0);
        }
        self.slots[at] = u8::try_from(group).expect("there are 64 groups at most");
    }

    fn group_for(&mut self, key: Option<&GroupKey>) -> usize {
        let Some(key) = key else { return 0 };
        let is_it = |group: &Group| group.key.as_ref().is_some_and(|own| own.name == key.name);
        if let Some(at) = self.groups.iter().position(is_it) {
            return at;
        }
        let free = self.groups.iter().skip(1).position(|group| group.members == 0);
        let mut fresh = Group::new(Some(key.clone()));
        fresh.virtual_time = self.floor;
        match free {
            Some(at) => {
                self.groups[at + 1] = fresh;
                at + 1
            }
            None if self.groups.len() < GROUPS_MAX => {
                self.groups.push(fresh);
                self.groups.len() - 1
            }
            None => {
                tracing::warn!(
                    group = &*key.name,
                    "a host has {GROUPS_MAX} groups with CPU shares; further ones share one"
                );
                0
            }
        }
    }

    pub(super) fn leave(&mut self, slot: Slot) {
        let group = &mut self.groups[(self.slots[slot.0 as usize] & !QUEUED) as usize];
        group.members -= 1;
        if group.members == 0 {
            self.in_use -= 1;
        }
    }

    /// Whether a slot waits for its turn.
    #[inline]
    pub(super) fn is_queued(&self, slot: Slot) -> bool {
        self.slots.get(slot.0 as usize).is_some_and(|state| state & QUEUED != 0)
    }

    #[inline]
    pub(super) fn push(&mut self, slot: Slot) {
        // A wake-up may come before the arrival that it belongs to: that brings one of its own.
        let Some(state) = self.slots.get_mut(slot.0 as usize) else { return };
        if *state & QUEUED != 0 {
            return;
        }
        let at = *state as usize;
        *state |= QUEUED;
        let Some(group) = self.groups.get_mut(at) else { return };
        if self.ready & (1 << at) == 0 {
            self.ready |= 1 << at;
            // Whoever had nothing to do does not save it up.
            group.virtual_time = group.virtual_time.max(self.floor);
        }
        group.due.push_back(slot);
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Slot> {
        if self.ready == 0 {
            return None;
        }
        let mut at = self.ready.trailing_zeros() as usize;
        if !self.ready.is_power_of_two() {
            at = self.least();
        }
        let group = &mut self.groups[at];
        let slot = group.due.pop_front()?;
        if group.due.is_empty() {
            self.ready &= !(1 << at);
        }
        self.slots[slot.0 as usize] &= !QUEUED;
        Some(slot)
    }

    /// The ready group that had the least.
    fn least(&mut self) -> usize {
        let (mut least, mut left) = (self.ready.trailing_zeros() as usize, self.ready);
        while left != 0 {
            let at = left.trailing_zeros() as usize;
            left &= left - 1;
            if self.groups[at].virtual_time < self.groups[least].virtual_time {
                least = at;
            }
        }
        self.floor = self.groups[least].virtual_time;
        least
    }

    /// Notes CPU time that a slot took.
    pub(super) fn charge(&mut self, slot: Slot, nanoseconds: u64) {
        let at = (self.slots[slot.0 as usize] & !QUEUED) as usize;
        self.groups[at].charge(nanoseconds);
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.ready == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, weight: u32) -> GroupKey {
        GroupKey { name: name.into(), weight }
    }

    #[test]
    fn a_slot_is_queued_once_and_in_turn() {
        let mut queue = RunQueue::new();
        for slot in 0..3 {
            queue.join(Slot(slot), None);
        }
        for slot in [1, 0, 1, 2, 0] {
            queue.push(Slot(slot));
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|slot| slot.0).collect();
        assert_eq!(order, [1, 0, 2]);
        assert!(queue.is_empty());
    }

    #[test]
    fn groups_get_cpu_time_by_their_weights() {
        let mut queue = RunQueue::new();
        let groups = [key("a", 3), key("b", 1)];
        for slot in 0..2 {
            queue.join(Slot(slot), Some(&groups[slot as usize]));
        }
        let mut took = [0u64; 2];
        for turn in 0..4000 {
            queue.push(Slot(0));
            queue.push(Slot(1));
            let slot = queue.pop().expect("both are due");
            // Polls of unequal length.
            let nanoseconds = 1000 + turn % 7 * 100;
            took[slot.0 as usize] += nanoseconds;
            queue.charge(slot, nanoseconds);
        }
        let ratio = took[0] as f64 / took[1] as f64;
        assert!((2.95..3.05).contains(&ratio), "{took:?}");
    }

    #[test]
    fn who_had_nothing_to_do_does_not_save_it_up() {
        let mut queue = RunQueue::new();
        queue.join(Slot(0), Some(&key("busy", 1)));
        queue.join(Slot(1), Some(&key("lazy", 1)));
        queue.join(Slot(2), Some(&key("also busy", 1)));
        for _ in 0..1000 {
            for slot in [0, 2] {
                queue.push(Slot(slot));
            }
            let slot = queue.pop().expect("two are due");
            queue.charge(slot, 1000);
        }
        let mut lazy = 0;
        for _ in 0..30 {
            (0..3).for_each(|slot| queue.push(Slot(slot)));
            let slot = queue.pop().expect("three are due");
            lazy += u32::from(slot == Slot(1));
            queue.charge(slot, 1000);
        }
        assert!((9..=12).contains(&lazy), "{lazy} of 30");
    }

    #[test]
    fn more_groups_than_there_is_room_for_share_one() {
        let mut queue = RunQueue::new();
        for slot in 0..100 {
            queue.join(Slot(slot), Some(&key(&format!("group {slot}"), 1)));
            queue.push(Slot(slot));
        }
        assert_eq!(std::iter::from_fn(|| queue.pop()).count(), 100);
        (0..100).for_each(|slot| queue.leave(Slot(slot)));
        assert!(!queue.has_groups());
    }
}
