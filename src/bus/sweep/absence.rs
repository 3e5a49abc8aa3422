//! Who is gone, and for how long this process has known it without a doubt. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use crate::{bus::Members, id::Incarnation};

/// At most so many of the gone are remembered; what they left is found again later.
const MISSING_MAX: usize = 10_000;

/// The processes that the directory does not know (any more).
///
/// Time counts only while this process is itself registered without a gap: after an outage of the
/// directory's store every lease is gone while every process may live.
#[derive(Debug, Default)]
pub(super) struct Absences {
    members: Option<Members>,
    known: BTreeSet<Incarnation>,
    missing: BTreeMap<Incarnation, Instant>,
}

impl Absences {
    /// Takes in who is alive now, or that nobody can tell.
    pub(super) fn observe(&mut self, members: Option<Members>, now: Instant) {
        let before = self.members.as_ref().map(|before| before.since);
        if members.as_ref().map(|members| members.since) != before {
            // There was a gap: whoever is missing is missing from now on.
            self.missing.clear();
        }
        self.members = members;
        let Some(members) = &self.members else { return };
        let present = &members.incarnations;
        self.missing.retain(|incarnation, _| !present.contains(incarnation));
        let departed: Vec<_> = self.known.difference(present).copied().collect();
        self.known.clone_from(present);
        departed.into_iter().for_each(|incarnation| self.note(incarnation, now));
    }

    /// Takes in that a process left something behind. It is gone if it is not alive.
    pub(super) fn note(&mut self, incarnation: Incarnation, now: Instant) {
        let Some(members) = &self.members else { return };
        if !members.contains(incarnation) && self.missing.len() < MISSING_MAX {
            self.missing.entry(incarnation).or_insert(now);
        }
    }

    /// Whether a process has been gone for so long that its absence means something.
    pub(super) fn is_gone(&self, incarnation: Incarnation, now: Instant) -> bool {
        let Some(members) = &self.members else { return false };
        let long = members.lease_ttl * 2;
        let missing = self.missing.get(&incarnation);
        now.saturating_duration_since(members.since) > long
            && missing.is_some_and(|since| now.saturating_duration_since(*since) >= long)
    }

    /// Whether anything is known for sure.
    pub(super) fn can_tell(&self) -> bool {
        self.members.is_some()
    }

    /// Whether anybody is missing.
    pub(super) fn is_any(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Those that have been gone for this long.
    pub(super) fn gone_for(&self, window: Duration, now: Instant) -> Vec<Incarnation> {
        let old = |since: &Instant| now.saturating_duration_since(*since) >= window;
        let gone = self
            .missing
            .iter()
            .filter(|(incarnation, since)| old(since) && self.is_gone(**incarnation, now));
        gone.map(|(incarnation, _)| *incarnation).collect()
    }

    /// All that a process left behind is gone too.
    pub(super) fn forget(&mut self, incarnation: Incarnation) {
        self.missing.remove(&incarnation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(5);

    fn process(number: u128) -> Incarnation {
        Incarnation::from_u128(number)
    }

    fn members(since: Instant, numbers: &[u128]) -> Option<Members> {
        let incarnations = numbers.iter().copied().map(process).collect();
        Some(Members { incarnations, since, lease_ttl: TTL })
    }

    #[test]
    fn a_process_is_gone_two_leases_after_it_was_missed() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut absences = Absences::default();
        absences.observe(members(start, &[1, 2]), at(0));
        absences.observe(members(start, &[1]), at(20));
        assert!(!absences.is_gone(process(2), at(29)));
        assert!(absences.is_gone(process(2), at(30)));
        assert!(!absences.is_gone(process(1), at(30)));
        absences.observe(members(start, &[1, 2]), at(31));
        assert!(!absences.is_gone(process(2), at(60)), "it came back");
    }

    #[test]
    fn what_was_missed_before_a_gap_is_missed_from_its_end_on() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut absences = Absences::default();
        absences.observe(members(start, &[1, 2]), at(0));
        absences.observe(members(start, &[1]), at(20));
        absences.observe(None, at(25));
        assert!(!absences.is_gone(process(2), at(60)), "nobody can tell");
        absences.observe(members(at(100), &[1]), at(101));
        absences.note(process(2), at(101));
        assert!(!absences.is_gone(process(2), at(110)));
        assert!(absences.is_gone(process(2), at(111)));
        // Also when the gap itself was not seen.
        absences.observe(members(at(115), &[1]), at(116));
        absences.note(process(2), at(116));
        assert!(!absences.is_gone(process(2), at(125)));
        assert!(absences.is_gone(process(2), at(126)));
    }

    #[test]
    fn those_who_were_gone_for_the_window_are_told_until_they_are_forgotten() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut absences = Absences::default();
        absences.observe(members(start, &[1]), at(0));
        absences.note(process(1), at(0));
        absences.note(process(7), at(0));
        let window = Duration::from_secs(600);
        assert!(absences.gone_for(window, at(599)).is_empty());
        assert_eq!(absences.gone_for(window, at(600)), [process(7)]);
        absences.forget(process(7));
        assert!(absences.gone_for(window, at(601)).is_empty() && !absences.is_any());
    }
}
