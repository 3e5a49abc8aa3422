use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::Incarnation;

/// For how long the lanes of a forgotten producer refuse its late frames.
const TOMBSTONE: Duration = Duration::from_hours(24);

/// The last sequence of every lane, and the lanes of the gone.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    last: FxHashMap<(Incarnation, u32), u64>,
    forgotten: FxHashMap<(Incarnation, u32), Instant>,
}

/// What a frame is to its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Next,
    Duplicate(u64),
    Gap(u64),
    Forgotten,
}

impl Lanes {
    pub(super) fn judge(
        &self,
        producer: Incarnation,
        lane: u32,
        first: u64,
        last: u64,
        now: Instant,
    ) -> Verdict {
        let Some(&known) = self.last.get(&(producer, lane)) else {
            let forgotten = self.forgotten.get(&(producer, lane)).is_some_and(|end| *end > now);
            return match first {
                _ if forgotten => Verdict::Forgotten,
                1 => Verdict::Next,
                _ => Verdict::Gap(0),
            };
        };
        if last <= known {
            Verdict::Duplicate(known)
        } else if first == known + 1 {
            Verdict::Next
        } else {
            Verdict::Gap(known)
        }
    }

    pub(super) fn advance(&mut self, producer: Incarnation, lane: u32, last: u64) {
        self.last.insert((producer, lane), last);
    }

    pub(super) fn forget(&mut self, producer: Incarnation, now: Instant) {
        self.forgotten.retain(|_, end| *end > now);
        let Self { last, forgotten } = self;
        last.retain(|key, _| {
            let stays = key.0 != producer;
            if !stays {
                forgotten.insert(*key, now + TOMBSTONE);
            }
            stays
        });
    }
}
