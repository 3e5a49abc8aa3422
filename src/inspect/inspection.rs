use std::{cmp::Reverse, sync::Arc, time::Duration};

use rustc_hash::FxHashMap;
use serde::Serialize;

use super::{ActorReport, HostReport, seconds};
use crate::host::HostShared;

/// A system as [`System::inspect`](crate::System::inspect) shows it.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// For how long its counters have run: since the system started, or since the inspection that
    /// was given to [`since`](Self::since). In seconds when serialized.
    #[serde(serialize_with = "seconds::serialize")]
    pub period: Duration,
    /// The threads that host actors.
    pub hosts: Vec<HostReport>,
    /// Every actor that lives in the system, oldest first.
    pub actors: Vec<ActorReport>,
}

impl Inspection {
    /// Of the hosts of one system.
    pub(crate) fn of(hosts: &[Arc<HostShared>]) -> Self {
        // One host after the other, and each list of residents cloned and let go: who spawns an
        // actor meanwhile waits for that at most.
        let residents = hosts.iter().flat_map(|host| host.residents());
        let mut actors: Vec<_> = residents.map(|resident| ActorReport::of(&*resident)).collect();
        actors.sort_unstable_by_key(|actor| actor.id);
        let now = hosts.first().map_or(0, |host| host.timer().clock().now());
        Self {
            period: Duration::from_nanos(now),
            hosts: hosts.iter().map(|host| HostReport::of(host)).collect(),
            actors,
        }
    }

    /// The same with counters that run since an earlier inspection of this system: messages handled
    /// and displaced, restarts, handling times, CPU time and long polls. Actors that are newer than
    /// that keep theirs; those that have ended since are missing.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before: FxHashMap<_, _> =
            earlier.actors.iter().map(|actor| (actor.id, actor)).collect();
        let since = |actor: &ActorReport| match before.get(&actor.id) {
            Some(earlier) => actor.since(earlier),
            None => actor.clone(),
        };
        Self {
            period: self.period.saturating_sub(earlier.period),
            hosts: self.hosts.clone(),
            actors: self.actors.iter().map(since).collect(),
        }
    }

    /// The actors that used most CPU time, at most so many, the hottest first. Those that used none
    /// are left out.
    ///
    /// An actor whose [`cpu`](ActorReport::cpu) is near the [`period`](Self::period) has filled its
    /// thread.
    pub fn hottest(&self, count: usize) -> Vec<&ActorReport> {
        let mut actors: Vec<_> = self.actors.iter().filter(|actor| !actor.cpu.is_zero()).collect();
        actors.sort_by_key(|actor| Reverse(actor.cpu));
        actors.truncate(count);
        actors
    }
}
