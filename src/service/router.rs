//! Which instance gets an ask. Pure, but for the dice.

use std::{ops::Range, sync::Arc};

use super::key::{fitness, key_hash};
use crate::{
    directory::{HealthState, InstanceName, InstanceRecord, ServiceView},
    error::{Failure, FailureKind},
    id::{Incarnation, Name},
    message::Message,
};

/// How often the dice are thrown before all instances are looked at.
const THROWS: usize = 4;

/// Where an ask comes from, and where it must not go.
pub(super) struct Asking<'a> {
    /// This process.
    pub(super) own: Incarnation,
    pub(super) key: Option<&'a str>,
    /// Who was asked already.
    pub(super) asked: &'a [InstanceName],
}

/// The instances that handle this message.
///
/// # Errors
/// [`FailureKind::NoSuchService`] when there are none at all, [`FailureKind::VersionUnknown`] with
/// the known versions or [`FailureKind::NotHandled`] when none of them does.
pub(super) fn candidates<M: Message>(
    service: &Name,
    view: &ServiceView,
) -> Result<Vec<Arc<InstanceRecord>>, Failure> {
    let handles = |record: &&Arc<InstanceRecord>| record.handles(M::NAME, M::VERSION);
    let able: Vec<_> = view.instances.iter().filter(handles).cloned().collect();
    if able.is_empty() { Err(nobody::<M>(service, view)) } else { Ok(able) }
}

/// Whether any instance handles this message.
///
/// # Errors
/// As [`candidates`].
pub(super) fn check_handled<M: Message>(service: &Name, view: &ServiceView) -> Result<(), Failure> {
    let is_handled = view.instances.iter().any(|record| record.handles(M::NAME, M::VERSION));
    if is_handled { Ok(()) } else { Err(nobody::<M>(service, view)) }
}

/// The instance that an ask goes to: by its key, else one of this process that passes its checks, else
/// any, by their weights.
///
/// # Errors
/// As [`candidates`], and [`FailureKind::NotReady`] when those that handle it take no calls or were
/// asked already.
pub(super) fn choose<'v, M: Message>(
    service: &Name,
    view: &'v ServiceView,
    asking: &Asking<'_>,
    dice: &mut impl FnMut(u64) -> u64,
) -> Result<&'v Arc<InstanceRecord>, Failure> {
    let may = |record: &InstanceRecord| {
        record.handles(M::NAME, M::VERSION) && !asking.asked.contains(&record.instance)
    };
    let routing = &view.routing;
    let all = 0..routing.len();
    let chosen = match asking.key {
        Some(key) => fittest(view, key, &may),
        None => {
            let own = routing.within(&view.of_incarnation(asking.own));
            let near =
                if routing.has_whole(&own) { by_weight(view, own, &may, dice) } else { None };
            near.or_else(|| by_weight(view, all, &may, dice))
        }
    };
    chosen.ok_or_else(|| match check_handled::<M>(service, view) {
        Ok(()) => not_ready(service, view),
        Err(failure) => failure,
    })
}

/// One of these that take calls, by their weights.
fn by_weight<'v>(
    view: &'v ServiceView,
    among: Range<usize>,
    may: &impl Fn(&InstanceRecord) -> bool,
    dice: &mut impl FnMut(u64) -> u64,
) -> Option<&'v Arc<InstanceRecord>> {
    let total = view.routing.total(&among);
    if total == 0 {
        return None;
    }
    for _ in 0..THROWS {
        let at = view.routing.pick(&among, dice(total))?;
        let record = &view.instances[at];
        if may(record) {
            return Some(record);
        }
    }
    let able: Vec<(usize, u64)> = view
        .routing
        .iter()
        .skip(among.start)
        .take(among.len())
        .filter(|(at, _)| may(&view.instances[*at]))
        .collect();
    let total = able.iter().map(|(_, weight)| weight).sum();
    if total == 0 {
        return None;
    }
    let mut left = dice(total);
    let chosen = able.iter().find(|(_, weight)| match left.checked_sub(*weight) {
        None => true,
        Some(rest) => {
            left = rest;
            false
        }
    });
    chosen.map(|(at, _)| &view.instances[*at])
}

/// The instance that fits the key best: when an instance comes, goes, or takes a smaller share, only
/// keys of its own move.
///
/// Source of the weights: C. Schindelhauer, G. Schomaker, "Weighted Distributed Hash Tables", 2005.
fn fittest<'v>(
    view: &'v ServiceView,
    key: &str,
    may: &impl Fn(&InstanceRecord) -> bool,
) -> Option<&'v Arc<InstanceRecord>> {
    let key = key_hash(key);
    let able = view.routing.iter().map(|(at, weight)| (&view.instances[at], weight));
    let able = able.filter(|(record, _)| may(record));
    let score = |(record, weight): (&'v Arc<InstanceRecord>, u64)| {
        let fit = fitness(key, key_hash(&record.instance.to_string()));
        // In (0, 1): 53 bits and a half.
        let share = ((fit >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        (record, weight as f64 / -share.ln())
    };
    able.map(score).max_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(record, _)| record)
}

/// Why nobody takes calls though there is somebody.
#[cold]
fn not_ready(service: &Name, view: &ServiceView) -> Failure {
    let mut counts: Vec<(HealthState, usize)> = Vec::new();
    for record in &view.instances {
        let state = view.health_of(record.instance);
        match counts.iter_mut().find(|(counted, _)| *counted == state) {
            Some((_, count)) => *count += 1,
            None => counts.push((state, 1)),
        }
    }
    counts.sort_unstable();
    let states = counts.iter().map(|(state, count)| match state {
        HealthState::Passing | HealthState::Degraded => {
            format!("{count} of weight 0 or asked already")
        }
        state => format!("{count} {state}"),
    });
    let states: Vec<_> = states.collect();
    FailureKind::NotReady { service: service.to_string(), states: states.join(", ") }.into()
}

#[cold]
fn nobody<M: Message>(service: &Name, view: &ServiceView) -> Failure {
    if view.instances.is_empty() {
        return FailureKind::NoSuchService { service: service.to_string() }.into();
    }
    let messages = || view.instances.iter().flat_map(|record| &record.messages);
    let mut versions: Vec<u32> =
        messages().filter(|entry| entry.name == M::NAME).map(|entry| entry.version).collect();
    versions.sort_unstable();
    versions.dedup();
    if versions.is_empty() {
        let mut names: Vec<_> = messages().map(|entry| entry.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        return FailureKind::NotHandled {
            target: format!("the service {service}"),
            message: M::NAME.to_owned(),
            how: format!("from other processes; it handles {}", names.join(", ")),
        }
        .into();
    }
    let known: Vec<_> = versions.iter().map(u32::to_string).collect();
    FailureKind::VersionUnknown {
        target: format!("the service {service}"),
        message: M::NAME.to_owned(),
        version: M::VERSION,
        known: known.join(", "),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{directory::MessageEntry, id::ActorId};

    struct Hello;

    impl Message for Hello {
        type Reply = ();
        type Error = std::convert::Infallible;
        type Outcome = ();
        const NAME: &'static str = "hello";
        const VERSION: u32 = 2;
        fn into_result((): ()) -> Result<(), std::convert::Infallible> {
            Ok(())
        }
    }

    fn record(incarnation: u128, number: u64) -> InstanceRecord {
        let instance = InstanceName::new(Incarnation::from_u128(incarnation), number);
        let name = |name| Name::new(name).expect("a name");
        let mut record =
            InstanceRecord::new(name("s"), instance, name("n"), ActorId::from_u64(number));
        record.messages = vec![MessageEntry { name: "hello".into(), version: 2 }];
        record
    }

    /// Two processes with two instances each; number 3 is degraded.
    fn view() -> ServiceView {
        let records = [record(1, 0), record(1, 1), record(2, 2), record(2, 3)];
        ServiceView::sample(records, |number| match number {
            3 => HealthState::Degraded,
            _ => HealthState::Passing,
        })
    }

    fn name() -> Name {
        Name::new("s").expect("a name")
    }

    fn asking(own: u128) -> Asking<'static> {
        Asking { own: Incarnation::from_u128(own), key: None, asked: &[] }
    }

    /// How often each instance is chosen when the dice show every number.
    fn counts(view: &ServiceView, asking: &Asking<'_>) -> BTreeMap<u64, u64> {
        let mut counts = BTreeMap::new();
        let (mut next, mut below) = (0, 1);
        while next < below {
            let mut dice = |total| {
                below = total;
                next
            };
            let chosen = choose::<Hello>(&name(), view, asking, &mut dice).expect("somebody");
            *counts.entry(chosen.instance.number()).or_default() += 1;
            next += 1;
        }
        counts
    }

    #[test]
    fn those_of_the_own_process_come_first_and_the_others_by_their_weights() {
        let view = view();
        assert_eq!(counts(&view, &asking(1)), [(0, 4), (1, 4)].into());
        assert_eq!(counts(&view, &asking(2)), [(2, 4), (3, 1)].into());
        assert_eq!(counts(&view, &asking(9)), [(0, 4), (1, 4), (2, 4), (3, 1)].into());
    }

    #[test]
    fn a_process_whose_own_instances_are_all_degraded_asks_the_others_too() {
        let records = [record(1, 0), record(2, 1)];
        let view = ServiceView::sample(records, |number| match number {
            0 => HealthState::Degraded,
            _ => HealthState::Passing,
        });
        assert_eq!(counts(&view, &asking(1)), [(0, 1), (1, 4)].into());
    }

    #[test]
    fn who_was_asked_is_not_asked_again_and_the_own_process_comes_first_still() {
        let view = view();
        let asked = [0, 3].map(|at: usize| view.instances[at].instance);
        let asking = Asking { asked: &asked, ..asking(1) };
        assert_eq!(counts(&view, &asking).keys().copied().collect::<Vec<_>>(), [1]);
        let asked = [0, 1, 3].map(|at: usize| view.instances[at].instance);
        let asking = Asking { asked: &asked, ..asking };
        assert_eq!(counts(&view, &asking).keys().copied().collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn who_does_not_handle_the_message_is_not_chosen_however_the_dice_fall() {
        let mut old = record(1, 0);
        old.messages[0].version = 1;
        old.weight = 1000;
        let view = ServiceView::sample([old, record(2, 1)], |_| HealthState::Passing);
        for own in [1, 2, 9] {
            let mut dice = |_| 0;
            let chosen = choose::<Hello>(&name(), &view, &asking(own), &mut dice);
            assert_eq!(chosen.expect("one does").instance.number(), 1);
        }
    }

    #[test]
    fn a_key_stays_with_its_instance_and_moves_only_from_one_that_does_worse() {
        let numbers = 0..5;
        let all =
            ServiceView::sample(numbers.clone().map(|n| record(1, n)), |_| HealthState::Passing);
        let worse = ServiceView::sample(numbers.map(|n| record(1, n)), |number| match number {
            2 => HealthState::Degraded,
            3 => HealthState::Critical,
            _ => HealthState::Passing,
        });
        let mut dice = |_| unreachable!("no dice with a key");
        let (mut kept, mut of_worse) = (0, 0);
        for n in 0..5_000 {
            let key = format!("customer-{n}");
            let asking = Asking { key: Some(&key), ..asking(9) };
            let mut chosen = |view| {
                let chosen = choose::<Hello>(&name(), view, &asking, &mut dice);
                chosen.expect("somebody").instance.number()
            };
            match (chosen(&all), chosen(&worse)) {
                (2, 2) => kept += 1,
                (2, _) => of_worse += 1,
                (3, other) => assert_ne!(other, 3),
                (before, after) => assert_eq!(before, after, "{key}"),
            }
        }
        let share = f64::from(kept) / f64::from(kept + of_worse);
        // Of five with a weight of 4: a quarter of the weight keeps 1 / (1 + 3 * 4 ..) of its keys.
        assert!((0.15..0.35).contains(&share), "{kept} kept, {of_worse} moved");
    }

    #[test]
    fn why_nobody_is_asked_is_said() {
        let states = |number| match number {
            0 => HealthState::Maintenance,
            1 => HealthState::Starting,
            _ => HealthState::Draining,
        };
        let view = ServiceView::sample((0..3).map(|n| record(1, n)), states);
        let failure = choose::<Hello>(&name(), &view, &asking(1), &mut |_| 0).expect_err("nobody");
        let text = failure.to_string();
        assert!(text.contains("1 starting, 1 draining, 1 maintenance"), "{text}");
        let mut unable = record(1, 0);
        unable.messages[0].version = 7;
        let view = ServiceView::sample([unable], |_| HealthState::Passing);
        let failure = choose::<Hello>(&name(), &view, &asking(1), &mut |_| 0).expect_err("nobody");
        assert!(matches!(failure.kind(), FailureKind::VersionUnknown { .. }), "{failure}");
        let none = ServiceView::sample([], |_| HealthState::Passing);
        let failure = choose::<Hello>(&name(), &none, &asking(1), &mut |_| 0).expect_err("nobody");
        assert!(matches!(failure.kind(), FailureKind::NoSuchService { .. }), "{failure}");
    }
}
