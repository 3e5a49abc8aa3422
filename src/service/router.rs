//! Which instance gets an ask. Pure, but for the dice.

use std::sync::Arc;

use super::key::{fitness, key_hash};
use crate::{
    directory::{InstanceRecord, ServiceView},
    error::{Failure, FailureKind},
    id::{Incarnation, Name},
    message::Message,
};

/// The instances that handle this message.
///
/// # Errors
/// [`FailureKind::NoSuchService`] when there are none at all, [`FailureKind::Undecodable`] with the
/// known versions or [`FailureKind::NotHandled`] when none of them does.
pub(super) fn candidates<M: Message>(
    service: &Name,
    view: &ServiceView,
) -> Result<Vec<Arc<InstanceRecord>>, Failure> {
    let handles = |record: &&Arc<InstanceRecord>| record.handles(M::NAME, M::VERSION);
    let able: Vec<_> = view.instances.iter().filter(handles).cloned().collect();
    if able.is_empty() { Err(nobody::<M>(service, view)) } else { Ok(able) }
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
    FailureKind::Undecodable {
        message: M::NAME.to_owned(),
        version: M::VERSION,
        reason: format!("the instances of {service} know version {}", known.join(", ")),
    }
    .into()
}

/// The instances in the order in which they are to be tried.
pub(super) fn order(
    mut candidates: Vec<Arc<InstanceRecord>>,
    own: Incarnation,
    key: Option<&str>,
    dice: &mut impl FnMut(usize) -> usize,
) -> Vec<Arc<InstanceRecord>> {
    if let Some(key) = key {
        let key = key_hash(key);
        candidates.sort_by_cached_key(|record| {
            std::cmp::Reverse(fitness(key, key_hash(&record.instance.to_string())))
        });
        return candidates;
    }
    let len = candidates.len();
    if len > 1 {
        candidates.rotate_left(dice(len));
    }
    // Stable: those of this process first, each side in the order of the dice.
    candidates.sort_by_key(|record| record.incarnation() != own);
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{directory::InstanceName, id::ActorId};

    fn record(incarnation: u128, number: u64) -> Arc<InstanceRecord> {
        let instance = InstanceName::new(Incarnation::from_u128(incarnation), number);
        let name = |name| Name::new(name).expect("a name");
        Arc::new(InstanceRecord::new(name("s"), instance, name("n"), ActorId::from_u64(number)))
    }

    #[test]
    fn instances_of_the_own_process_come_first_and_turns_are_taken() {
        let all = || vec![record(1, 0), record(2, 0), record(2, 1), record(3, 0)];
        let mut firsts = Vec::new();
        for turn in 0..4 {
            let ordered = order(all(), Incarnation::from_u128(2), None, &mut |_| turn);
            assert!(ordered[..2].iter().all(|r| r.incarnation() == Incarnation::from_u128(2)));
            firsts.push(ordered[0].instance.number());
        }
        assert!(firsts.contains(&0) && firsts.contains(&1), "{firsts:?}");
    }

    #[test]
    fn a_key_always_gives_the_same_instance() {
        let all = vec![record(1, 0), record(2, 0), record(3, 0)];
        let mut reversed = all.clone();
        reversed.reverse();
        let own = Incarnation::from_u128(9);
        let mut dice = |_: usize| unreachable!("no dice with a key");
        let one = order(all, own, Some("customer-42"), &mut dice);
        let other = order(reversed, own, Some("customer-42"), &mut dice);
        assert_eq!(one[0].instance, other[0].instance);
    }
}
