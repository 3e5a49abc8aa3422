//! Sweeping: what the gone left behind and nobody else will ever read.
//!
//! Owns the inboxes of processes that are gone, their consumers in groups, their groups of topics and
//! their lanes. What they held of services' streams is taken over by whoever reads those. Every
//! process sweeps; that two do it at once does no harm, as each entry is given to one of them.

mod absence;
mod house;
mod inbox;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::time::Instant;

use self::absence::Absences;
use super::{core::Core, keys, stats::add};
use crate::{
    id::Incarnation,
    log::{LogError, StreamName},
};

/// How often it is looked who is there, on average.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often what is left is looked for while nobody is known to be missing, in looks.
const LOOKS_PER_LIST: u32 = 6;
/// Lanes of the gone are kept for so long.
const LANES_KEPT: Duration = Duration::from_secs(600);

/// What one process knows of the gone.
#[derive(Debug, Default)]
struct Sweeper {
    absences: Absences,
    /// Processes whose silence in their inbox was seen; their streams end when they are empty.
    silent: BTreeSet<Incarnation>,
}

/// The one task that sweeps, for ever.
pub(super) async fn sweep(core: Arc<Core>) {
    let mut sweeper = Sweeper::default();
    let (mut failures, mut looks) = (0_u32, 0_u32);
    loop {
        let wait = match failures {
            0 => LOOK_EVERY.mul_f64(0.5 + fastrand::f64()),
            // A failed sweep is no reason to look away.
            _ => core.limits.call_backoff.jittered(failures),
        };
        tokio::time::sleep(wait).await;
        sweeper.absences.observe(core.members(), Instant::now());
        looks = looks.saturating_add(1);
        let is_time = looks >= LOOKS_PER_LIST || sweeper.absences.is_any();
        let can_tell = sweeper.absences.can_tell() && core.contact.is_steady(Instant::now());
        if !is_time || !can_tell {
            continue;
        }
        match sweeper.pass(&core).await {
            Ok(()) => (failures, looks) = (0, 0),
            Err(error) => {
                failures = failures.saturating_add(1);
                add(&core.counters.recoveries_failed, 1);
                tracing::debug!(failures, %error, "a sweep failed");
            }
        }
    }
}

impl Sweeper {
    async fn pass(&mut self, core: &Arc<Core>) -> Result<(), LogError> {
        let prefix = keys::inboxes(&core.cluster);
        let inboxes = core.call("a list of inboxes", core.log.streams(&prefix)).await?;
        let owned = |stream: StreamName| {
            keys::owner_of_inbox(&core.cluster, &stream).map(|owner| (owner, stream))
        };
        let inboxes: Vec<_> = inboxes.into_iter().filter_map(owned).collect();
        self.silent.retain(|silent| inboxes.iter().any(|(owner, _)| owner == silent));
        for (owner, stream) in inboxes {
            if self.is_gone(owner) {
                self.sweep_inbox(core, owner, &stream).await?;
            }
        }
        self.keep_house(core).await
    }

    /// Whether a process that left something behind is gone for good, as far as the directory knows.
    fn is_gone(&mut self, incarnation: Incarnation) -> bool {
        let now = Instant::now();
        self.absences.note(incarnation, now);
        self.absences.is_gone(incarnation, now)
    }
}
