//! Whether a disappearance is believed at once. Pure: `now` is an argument.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use crate::id::Name;

/// Disappearances within this time count together.
pub(super) const WINDOW: Duration = Duration::from_secs(10);
/// So many nodes at least are a mass.
const NODES_MIN: usize = 3;
/// And more than so many of a hundred.
const PERCENT_MAX: usize = 30;

/// When a step is made, and what this node knows of its own lease then.
#[derive(Debug, Clone, Copy)]
pub(in crate::directory) struct Moment {
    pub(in crate::directory) now: Instant,
    /// When this node could last not be sure of its lease: now, while it can't be.
    pub(in crate::directory) lapsed: Option<Instant>,
}

/// Tells the death of a node from the loss of many leases at once, which is the store's doing.
///
/// Leases end in any number while their nodes live: after a store that was stopped for longer than
/// their time, or that was restored. Then nobody must fall out of the routing tables, because
/// everybody is back within seconds.
#[derive(Debug)]
pub(super) struct Guard {
    own: Name,
    ttl: Duration,
    /// Nodes whose registration vanished without a farewell, with when.
    lost: BTreeMap<Name, Instant>,
    own_lost: Option<Instant>,
}

/// What to do with those that vanished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They are gone.
    Believed,
    /// Too many nodes vanished at once: what they had stays for a while.
    MassLoss,
    /// This node's own lease vanished too, and it lives: everything stays for a while.
    OwnLapse,
}

impl Guard {
    pub(super) fn new(own: Name, ttl: Duration) -> Self {
        Self { own, ttl, lost: BTreeMap::new(), own_lost: None }
    }

    /// How long a suspect is kept.
    pub(super) fn ttl(&self) -> Duration {
        self.ttl
    }

    /// A node's registration vanished.
    pub(super) fn note_lost(&mut self, node: &Name, now: Instant) {
        if *node == self.own {
            self.own_lost = Some(now);
        }
        self.lost.insert(node.clone(), now);
    }

    /// Whether a node's registration vanished lately, though it may be back.
    pub(super) fn is_lost(&self, node: &Name) -> bool {
        self.lost.contains_key(node)
    }

    /// Looks at what vanished up to now, among nodes of which `standing` are registered.
    pub(super) fn judge<'a>(
        &mut self,
        standing: impl Iterator<Item = &'a Name>,
        at: Moment,
    ) -> Verdict {
        let recent = |when: &Instant| at.now.saturating_duration_since(*when) <= WINDOW;
        self.lost.retain(|_, when| recent(when));
        if self.lapsed(at).as_ref().is_some_and(recent) {
            return Verdict::OwnLapse;
        }
        let lost = self.lost.len();
        let others = standing.filter(|node| !self.lost.contains_key(*node)).count();
        if lost >= NODES_MIN && lost * 100 > (lost + others) * PERCENT_MAX {
            Verdict::MassLoss
        } else {
            Verdict::Believed
        }
    }

    /// Until when at least every suspect is kept: a node that could not renew its own lease has
    /// nothing to hold against others.
    pub(super) fn kept_until(&self, at: Moment) -> Option<Instant> {
        self.lapsed(at).map(|lapsed| lapsed + self.ttl)
    }

    fn lapsed(&self, at: Moment) -> Option<Instant> {
        at.lapsed.max(self.own_lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: String) -> Name {
        Name::new(text).expect("a name")
    }

    fn names(count: usize) -> Vec<Name> {
        (0..count).map(|n| name(format!("n{n}"))).collect()
    }

    /// The verdict when of so many nodes some vanish, so long apart each.
    fn verdict(nodes: usize, lost: usize, apart: Duration) -> Verdict {
        let all = names(nodes);
        let mut guard = Guard::new(name("own".into()), Duration::from_secs(5));
        let mut now = Instant::now();
        let mut verdict = Verdict::Believed;
        for gone in 0..lost {
            now += apart;
            guard.note_lost(&all[gone], now);
            verdict = guard.judge(all[gone + 1..].iter(), Moment { now, lapsed: None });
        }
        verdict
    }

    #[test]
    fn three_nodes_and_over_thirty_percent_at_once_are_a_mass() {
        let second = Duration::from_secs(1);
        for (nodes, lost, expected) in [
            (1, 1, Verdict::Believed),
            (3, 2, Verdict::Believed),
            (3, 3, Verdict::MassLoss),
            (9, 3, Verdict::MassLoss),
            (10, 3, Verdict::Believed),
            (10, 4, Verdict::MassLoss),
            (100, 30, Verdict::Believed),
            (100, 31, Verdict::Believed),
        ] {
            assert_eq!(verdict(nodes, lost, second), expected, "{lost} of {nodes}");
        }
        assert_eq!(verdict(100, 31, second / 10), Verdict::MassLoss);
    }

    #[test]
    fn what_vanishes_one_after_the_other_is_believed() {
        assert_eq!(verdict(9, 3, Duration::from_secs(5)), Verdict::MassLoss);
        assert_eq!(verdict(9, 9, Duration::from_millis(5_001)), Verdict::Believed);
    }

    #[test]
    fn a_node_that_lost_its_own_lease_believes_nothing_for_a_while() {
        let mut guard = Guard::new(name("own".into()), Duration::from_secs(5));
        let (all, start) = (names(2), Instant::now());
        guard.note_lost(&all[0], start);
        let at = |now, lapsed| Moment { now, lapsed };
        let later = start + WINDOW;
        assert_eq!(guard.judge(all[1..].iter(), at(later, Some(start))), Verdict::OwnLapse);
        let later = later + Duration::from_millis(1);
        assert_eq!(guard.judge(all[1..].iter(), at(later, Some(start))), Verdict::Believed);
        // Its registration vanished in the store before it knew.
        guard.note_lost(&name("own".into()), later);
        assert_eq!(guard.judge(all[1..].iter(), at(later, None)), Verdict::OwnLapse);
        assert_eq!(guard.kept_until(at(later, None)), Some(later + Duration::from_secs(5)));
    }
}
