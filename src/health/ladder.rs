//! The states of an instance by what its checks find. Pure.

use super::{CheckOutcome, HealthPolicy, HealthState};

/// Where an instance stands, and for how long its checks have said that it should stand elsewhere.
///
/// `Starting` ends with the first look that does not fail. From then on `fall` bad looks in a row
/// lead one state down, from passing to degraded to critical, and `rise` good ones one state up. What
/// is bad or good depends on where it stands: a warning brings nobody below degraded, and nobody above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ladder {
    rise: u32,
    fall: u32,
    state: HealthState,
    /// Looks in a row that say it should stand lower.
    worse: u32,
    /// Looks in a row that say it should stand higher.
    better: u32,
}

impl Ladder {
    /// An instance of which this was found before it was registered.
    pub(super) fn after(policy: &HealthPolicy, first: &CheckOutcome) -> Self {
        let state = match first {
            CheckOutcome::Pass => HealthState::Passing,
            CheckOutcome::Warn(_) => HealthState::Degraded,
            CheckOutcome::Fail(_) => HealthState::Starting,
        };
        let worse = u32::from(state == HealthState::Starting);
        Self { rise: policy.rise, fall: policy.fall, state, worse, better: 0 }
    }

    pub(super) fn state(&self) -> HealthState {
        self.state
    }

    /// Takes what a look found; true when the state changed.
    pub(super) fn take(&mut self, outcome: &CheckOutcome) -> bool {
        use HealthState::{Critical, Degraded, Passing, Starting};
        let (lower, higher) = match (self.state, outcome) {
            (Starting, CheckOutcome::Pass) => return self.step_to(Passing),
            (Starting, CheckOutcome::Warn(_)) => return self.step_to(Degraded),
            (Starting, CheckOutcome::Fail(_)) => (Some(Critical), None),
            (Passing, CheckOutcome::Pass) => (None, None),
            (Passing, _) => (Some(Degraded), None),
            (Degraded, CheckOutcome::Pass) => (None, Some(Passing)),
            (Degraded, CheckOutcome::Warn(_)) => (None, None),
            (Degraded, CheckOutcome::Fail(_)) => (Some(Critical), None),
            (_, CheckOutcome::Fail(_)) => (None, None),
            (_, _) => (None, Some(Degraded)),
        };
        self.worse = if lower.is_some() { self.worse + 1 } else { 0 };
        self.better = if higher.is_some() { self.better + 1 } else { 0 };
        let down = lower.filter(|_| self.worse >= self.fall);
        let up = higher.filter(|_| self.better >= self.rise);
        down.or(up).is_some_and(|state| self.step_to(state))
    }

    fn step_to(&mut self, state: HealthState) -> bool {
        (self.state, self.worse, self.better) = (state, 0, 0);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use HealthState::{Critical, Degraded, Passing, Starting};

    fn outcome(letter: char) -> CheckOutcome {
        match letter {
            'p' => CheckOutcome::Pass,
            'w' => CheckOutcome::Warn(String::new()),
            _ => CheckOutcome::Fail(String::new()),
        }
    }

    /// The state after these looks, of which the first came before the registration.
    fn after(looks: &str) -> HealthState {
        let mut looks = looks.chars().map(outcome);
        let mut ladder = Ladder::after(&HealthPolicy::new(), &looks.next().expect("a look"));
        for look in looks {
            let before = ladder.state();
            assert_eq!(ladder.take(&look), before != ladder.state());
        }
        ladder.state()
    }

    #[test]
    fn each_step_takes_as_many_looks_as_the_policy_says() {
        for (looks, expected) in [
            ("p", Passing),
            ("w", Degraded),
            ("f", Starting),
            ("ff", Starting),
            ("fff", Critical),
            ("fp", Passing),
            ("ffw", Degraded),
            ("pff", Passing),
            ("pfff", Degraded),
            ("pfwf", Degraded),
            ("pffpff", Passing),
            ("pffffff", Critical),
            ("pfffff", Degraded),
            ("pfffffwf", Degraded),
            ("pwwwwwwwww", Degraded),
            ("pfffp", Degraded),
            ("pfffpp", Passing),
            ("pfffpwp", Degraded),
            ("pffffffp", Critical),
            ("pffffffpf", Critical),
            ("pffffffpp", Degraded),
            ("pffffffww", Degraded),
            ("pffffffpppp", Passing),
            ("pffffffppwwww", Degraded),
        ] {
            assert_eq!(after(looks), expected, "{looks}");
        }
    }

    #[test]
    fn no_sequence_skips_a_state_once_it_has_started() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut ladder = Ladder::after(&HealthPolicy::new().rise(1).fall(1), &CheckOutcome::Pass);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..10_000 {
            let before = ladder.state();
            ladder.take(&outcome(random.choice(['p', 'w', 'f']).expect("three")));
            seen.insert(ladder.state());
            let skipped =
                matches!((before, ladder.state()), (Passing, Critical) | (Critical, Passing));
            assert!(!skipped && ladder.state() != Starting);
        }
        assert_eq!(seen.len(), 3);
    }
}
