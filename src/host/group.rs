use std::{collections::VecDeque, sync::Arc};

use super::Slot;

/// Whose CPU time is counted together, and its share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupKey {
    pub(crate) name: Arc<str>,
    pub(crate) weight: u32,
}

/// Virtual time that a nanosecond of a group of weight one takes.
const SCALE: u64 = 1 << 10;

/// Those whose CPU time is counted together.
#[derive(Debug)]
pub(super) struct Group {
    /// Nothing for those that have no share of their own.
    pub(super) key: Option<GroupKey>,
    pub(super) members: u32,
    pub(super) due: VecDeque<Slot>,
    /// CPU time by weight: the group with the least is next.
    pub(super) virtual_time: u64,
}

impl Group {
    pub(super) const fn new(key: Option<GroupKey>) -> Self {
        Self { key, members: 0, due: VecDeque::new(), virtual_time: 0 }
    }

    pub(super) fn charge(&mut self, nanoseconds: u64) {
        let weight = self.key.as_ref().map_or(1, |key| key.weight.max(1));
        self.virtual_time += nanoseconds.saturating_mul(SCALE) / u64::from(weight);
    }
}
