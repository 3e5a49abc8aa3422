//! Who is called, and how often against the others. Pure.

use std::{ops::Range, sync::Arc};

use super::HealthState;
use crate::directory::InstanceRecord;

/// The instances of a service that take calls, with their shares.
///
/// An instance has the weight of its record, whole while it passes its checks and a quarter while it
/// is degraded. When fewer than half of those that nobody has taken out pass or are degraded, the
/// checks are believed less than the instances: all of them are called with their whole weight, in
/// *panic mode*.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routing {
    /// In the order of the instances.
    picks: Box<[Pick]>,
    is_panicking: bool,
}

/// An instance that takes calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pick {
    /// Its place among the instances.
    at: u32,
    /// Whether it has its whole weight.
    is_whole: bool,
    /// The weights up to and with this one, in quarters.
    sum: u64,
}

impl Routing {
    /// Of instances with their states, in their order.
    pub(in crate::directory) fn of(
        instances: &[Arc<InstanceRecord>],
        state: impl FnMut(&InstanceRecord) -> HealthState,
    ) -> Self {
        let states = instances.iter().map(|record| &**record).map(state);
        let states: Vec<HealthState> = states.collect();
        let is_counted =
            |state: &&HealthState| !state.is_withdrawn() && **state != HealthState::Starting;
        let counted = states.iter().filter(is_counted).count();
        let well = states.iter().filter(|state| state.quarters() > 0).count();
        let is_panicking = well * 2 < counted;
        let mut sum = 0;
        let mut picks = Vec::new();
        for (at, (record, state)) in instances.iter().zip(&states).enumerate() {
            let is_called_anyway = is_panicking && is_counted(&state);
            let quarters = if is_called_anyway { 4 } else { state.quarters() };
            if quarters > 0 && record.weight > 0 {
                sum += u64::from(record.weight) * u64::from(quarters);
                let at = u32::try_from(at).unwrap_or(u32::MAX);
                picks.push(Pick { at, is_whole: quarters == 4, sum });
            }
        }
        Self { picks: picks.into(), is_panicking }
    }

    /// Whether fewer than half pass, so that all are called.
    pub(in crate::directory) fn is_panicking(&self) -> bool {
        self.is_panicking
    }

    /// How many instances take calls.
    pub fn len(&self) -> usize {
        self.picks.len()
    }

    /// Whether none takes calls.
    pub fn is_empty(&self) -> bool {
        self.picks.is_empty()
    }

    /// Those that take calls: the place of each among the instances, with its weight.
    pub fn iter(&self) -> impl Iterator<Item = (usize, u64)> {
        (0..self.picks.len()).map(|nth| (self.picks[nth].at as usize, self.weight(nth)))
    }

    /// One of those, by their weights: the place among the instances that a number below
    /// [`total`](Self::total) of them leads to.
    pub(crate) fn pick(&self, among: &Range<usize>, number: u64) -> Option<usize> {
        let number = self.before(among.start) + number;
        let nth = self.picks[among.clone()].partition_point(|pick| pick.sum <= number);
        self.picks[among.clone()].get(nth).map(|pick| pick.at as usize)
    }

    /// The weight of some of those in all.
    pub(crate) fn total(&self, among: &Range<usize>) -> u64 {
        match among.end.checked_sub(1) {
            Some(last) if !among.is_empty() => self.picks[last].sum - self.before(among.start),
            _ => 0,
        }
    }

    /// Which of them lie between these places of the instances.
    pub(crate) fn within(&self, places: &Range<usize>) -> Range<usize> {
        let nth = |place: usize| self.picks.partition_point(|pick| (pick.at as usize) < place);
        nth(places.start)..nth(places.end)
    }

    /// Whether one of those has its whole weight.
    pub(crate) fn has_whole(&self, among: &Range<usize>) -> bool {
        self.picks[among.clone()].iter().any(|pick| pick.is_whole)
    }

    fn weight(&self, nth: usize) -> u64 {
        self.picks[nth].sum - self.before(nth)
    }

    fn before(&self, nth: usize) -> u64 {
        nth.checked_sub(1).map_or(0, |before| self.picks[before].sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        directory::InstanceName,
        id::{ActorId, Incarnation, Name},
    };
    use HealthState::{Critical, Degraded, Draining, Maintenance, Passing, Starting};

    fn instances(weights: &[u32]) -> Vec<Arc<InstanceRecord>> {
        let name = |name| Name::new(name).expect("a name");
        let record = |(at, weight): (usize, &u32)| {
            let instance = InstanceName::new(Incarnation::from_u128(at as u128 / 2), at as u64);
            let actor = ActorId::from_u64(at as u64);
            let record = InstanceRecord::new(name("s"), instance, name("n"), actor);
            Arc::new(InstanceRecord { weight: *weight, ..record })
        };
        weights.iter().enumerate().map(record).collect()
    }

    fn routing(states: &[HealthState]) -> Routing {
        let instances = instances(&vec![1; states.len()]);
        Routing::of(&instances, |record| states[record.instance.number() as usize])
    }

    fn weights(routing: &Routing) -> Vec<(usize, u64)> {
        routing.iter().collect()
    }

    #[test]
    fn weights_are_whole_a_quarter_or_nothing() {
        let routing = routing(&[Passing, Degraded, Starting, Critical, Draining, Maintenance]);
        assert_eq!(weights(&routing), [(0, 4), (1, 1)]);
        assert!(!routing.is_panicking());
        let heavy = instances(&[1, 0, 3]);
        let routing = Routing::of(&heavy, |_| Passing);
        assert_eq!(weights(&routing), [(0, 4), (2, 12)]);
    }

    #[test]
    fn when_fewer_than_half_pass_all_are_called_but_those_that_were_taken_out() {
        let half = routing(&[Passing, Critical]);
        assert_eq!((weights(&half), half.is_panicking()), (vec![(0, 4)], false));
        let less = routing(&[Degraded, Critical, Critical, Maintenance, Draining, Starting]);
        assert!(less.is_panicking());
        assert_eq!(weights(&less), [(0, 4), (1, 4), (2, 4)]);
        assert!(routing(&[Critical]).is_panicking());
        // Nobody is there to be believed.
        for none in [routing(&[]), routing(&[Maintenance]), routing(&[Starting])] {
            assert!(none.is_empty() && !none.is_panicking(), "{none:?}");
        }
    }

    #[test]
    fn each_number_leads_to_one_of_them_as_often_as_its_weight_says() {
        let all = instances(&[2, 1, 0, 5, 3]);
        let routing = Routing::of(&all, |_| Passing);
        for among in [0..routing.len(), 1..3, 2..2] {
            let mut counts = [0_u64; 5];
            for number in 0..routing.total(&among) {
                counts[routing.pick(&among, number).expect("below the total")] += 1;
            }
            for (nth, (at, weight)) in routing.iter().enumerate() {
                assert_eq!(counts[at], if among.contains(&nth) { weight } else { 0 });
            }
        }
    }

    #[test]
    fn those_of_one_process_are_found_by_their_places() {
        let states = [Passing, Critical, Degraded, Degraded, Passing, Passing];
        let routing = routing(&states);
        assert_eq!(routing.within(&(0..2)), 0..1);
        assert_eq!(routing.within(&(2..4)), 1..3);
        assert!(!routing.has_whole(&(1..3)) && routing.has_whole(&(0..1)));
        assert_eq!(routing.within(&(6..6)), 5..5);
    }
}
