use std::{
    hash::Hasher,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use rustc_hash::FxHasher;

/// How a [`Pool`](crate::Pool) chooses the member that a message goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Routing {
    /// One after the other.
    #[default]
    RoundRobin,
    /// The one with the fewest messages before it, those in its mailbox and the one that an async
    /// handler works on. Of more than eight members two are looked at, chosen at random, which comes
    /// close to the best at no cost (Mitzenmacher, "The Power of Two Choices", 2001).
    LeastLoaded,
    /// By `.key(..)`, which every send needs then: the same key leads to the same member. When a
    /// member ends only its own keys move (rendezvous hashing: Thaler and Ravishankar, 1998).
    ByKey,
}

/// The largest pool of which all members are looked at.
const LOOK_AT_ALL_MAX: usize = 8;

/// What a choice remembers, apart from the members.
#[derive(Debug)]
pub(super) struct Choice {
    routing: Routing,
    next: AtomicUsize,
    /// Members that have been seen to take no more.
    ended: Box<[AtomicBool]>,
}

impl Choice {
    pub(super) fn new(routing: Routing, members: usize) -> Self {
        let ended = (0..members).map(|_| AtomicBool::new(false)).collect();
        Self { routing, next: AtomicUsize::new(0), ended }
    }

    pub(super) fn routing(&self) -> Routing {
        self.routing
    }

    /// Passes this member over from now on.
    pub(super) fn note_ended(&self, at: usize) {
        self.ended[at].store(true, Ordering::Relaxed);
    }

    pub(super) fn has_ended(&self, at: usize) -> bool {
        self.ended[at].load(Ordering::Relaxed)
    }

    /// The next member; none when all have ended. A key must be there for [`Routing::ByKey`].
    pub(super) fn choose(&self, key: Option<u64>, load: impl Fn(usize) -> usize) -> Option<usize> {
        match (key, self.routing) {
            (Some(key), _) => self.by_key(key),
            (None, Routing::LeastLoaded) => self.least_loaded(load),
            (None, _) => self.from(self.turn()).next(),
        }
    }

    /// Those that have not ended, from one member round to it.
    pub(super) fn from(&self, first: usize) -> impl Iterator<Item = usize> + '_ {
        let members = self.ended.len();
        (first..members).chain(0..first).filter(|at| !self.has_ended(*at))
    }

    #[inline]
    fn turn(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed) % self.ended.len()
    }

    fn least_loaded(&self, load: impl Fn(usize) -> usize) -> Option<usize> {
        let members = self.ended.len();
        if members > LOOK_AT_ALL_MAX {
            let one = fastrand::usize(..members);
            // Another one than the first.
            let other = (one + 1 + fastrand::usize(..members - 1)) % members;
            match (self.has_ended(one), self.has_ended(other)) {
                (false, false) if load(other) < load(one) => return Some(other),
                (false, _) => return Some(one),
                (true, false) => return Some(other),
                (true, true) => {}
            }
        }
        // In turn, so that equals share; the first of the least.
        self.from(self.turn()).min_by_key(|at| load(*at))
    }

    fn by_key(&self, key: u64) -> Option<usize> {
        self.from(0).max_by_key(|at| mix(key ^ mix(*at as u64 + 1)))
    }
}

pub(super) fn hash(key: &str) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(key.as_bytes());
    mix(hasher.finish())
}

/// The finish of SplitMix64: every bit of the input moves every bit of the output.
fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle(_: usize) -> usize {
        0
    }

    #[test]
    fn round_robin_takes_turns_and_passes_over_who_ended() {
        let choice = Choice::new(Routing::RoundRobin, 3);
        let turns: Vec<_> = (0..4).filter_map(|_| choice.choose(None, idle)).collect();
        assert_eq!(turns, [0, 1, 2, 0]);
        choice.note_ended(2);
        let turns: Vec<_> = (0..4).filter_map(|_| choice.choose(None, idle)).collect();
        assert_eq!(turns, [1, 0, 0, 1]);
        (0..3).for_each(|at| choice.note_ended(at));
        assert_eq!(choice.choose(None, idle), None);
    }

    #[test]
    fn least_loaded_takes_the_least_loaded_and_equals_share() {
        let choice = Choice::new(Routing::LeastLoaded, 4);
        let loads = [3, 1, 2, 1];
        let turns: Vec<_> = (0..4).filter_map(|_| choice.choose(None, |at| loads[at])).collect();
        assert_eq!(turns, [1, 1, 3, 3]);
    }

    #[test]
    fn of_many_members_the_less_loaded_half_gets_most() {
        let choice = Choice::new(Routing::LeastLoaded, 16);
        let light = (0..1_000)
            .filter_map(|_| choice.choose(None, |at| usize::from(at >= 8)))
            .filter(|at| *at < 8)
            .count();
        // Three quarters of all pairs have a light one.
        assert!((650..=850).contains(&light), "{light}");
    }

    #[test]
    fn of_many_members_the_last_one_left_is_found() {
        let choice = Choice::new(Routing::LeastLoaded, 16);
        (0..15).for_each(|at| choice.note_ended(at));
        assert!((0..100).all(|_| choice.choose(None, idle) == Some(15)));
    }

    #[test]
    fn keys_spread_evenly_and_only_those_of_an_ended_member_move() {
        let choice = Choice::new(Routing::ByKey, 5);
        let lead = |choice: &Choice| -> Vec<_> {
            (0..5_000)
                .map(|n| choice.choose(Some(hash(&format!("order-{n}"))), idle).expect("a member"))
                .collect()
        };
        let before = lead(&choice);
        for member in 0..5 {
            let keys = before.iter().filter(|at| **at == member).count();
            assert!((800..=1_200).contains(&keys), "{member}: {keys}");
        }
        choice.note_ended(3);
        for (before, after) in before.iter().zip(lead(&choice)) {
            assert!(*before == after || *before == 3);
            assert_ne!(after, 3);
        }
    }
}
