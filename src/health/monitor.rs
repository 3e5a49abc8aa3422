//! Looks at the instances of a service in this process, and tells the directory.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::{FutureExt, future::join_all};
use oneshot::AsyncReceiver;
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{CheckOutcome, HealthCheck, HealthPolicy, HealthRecord, HealthState, ladder::Ladder};
use crate::{
    actor::{Handlers, ping},
    address::Addr,
    directory::{Directory, InstanceName},
    id::ActorId,
    time::unix_ms,
};

/// An actor that can be asked for a sign of life.
pub(crate) trait Pinged: Send + Sync {
    /// Puts a ping into its mailbox; none when there is no room.
    fn ping(&self) -> Option<AsyncReceiver<()>>;
    /// The message that it is at, for how long, how many wait behind it, and what became of it.
    fn doing(&self) -> Doing;
}

/// What an actor does.
#[derive(Debug, Default)]
pub(crate) struct Doing {
    in_hand: Option<(&'static str, Duration)>,
    waiting: usize,
    /// How often it was built again after a failure.
    restarts: u32,
}

impl<A: Handlers> Pinged for Addr<A> {
    fn ping(&self) -> Option<AsyncReceiver<()>> {
        ping::<A>(self.shared()?)
    }

    fn doing(&self) -> Doing {
        let Some(report) = self.inspect() else { return Doing::default() };
        let in_hand = report.busy.map(|busy| (busy.message, busy.since));
        Doing { in_hand, waiting: report.depth, restarts: report.restarts }
    }
}

/// The instances of one service in this process, and how they do.
pub(crate) struct Monitor {
    directory: Directory,
    policy: HealthPolicy,
    checks: Vec<Arc<dyn HealthCheck>>,
    watched: Mutex<Watched>,
    task: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Watched {
    instances: Vec<Instance>,
    /// Set while the program has taken the service out.
    withdrawn: Option<HealthRecord>,
}

struct Instance {
    name: InstanceName,
    id: ActorId,
    actor: Arc<dyn Pinged>,
    ladder: Ladder,
    /// What the ladder says, with since when and why.
    found: HealthRecord,
    /// A ping that was not answered yet.
    pinged: Option<AsyncReceiver<()>>,
    /// As counted at the last look.
    restarts: u32,
}

/// What a look at one actor gave.
struct Look {
    id: ActorId,
    /// The ping, if it is still on its way.
    pinged: Option<AsyncReceiver<()>>,
    answer: CheckOutcome,
    doing: Doing,
}

impl Monitor {
    pub(crate) fn new(
        directory: Directory,
        policy: HealthPolicy,
        checks: Vec<Arc<dyn HealthCheck>>,
    ) -> Self {
        let (watched, task) = (Mutex::default(), Mutex::default());
        Self { directory, policy, checks, watched, task }
    }

    /// Looks before anything is registered.
    pub(crate) async fn first_look(&self) -> CheckOutcome {
        self.look_at_checks().await
    }

    /// Takes an instance in, by what the first look found. Gives what it is registered with.
    pub(crate) fn admit(
        &self,
        name: InstanceName,
        id: ActorId,
        actor: Arc<dyn Pinged>,
        first: &CheckOutcome,
    ) -> HealthRecord {
        let ladder = Ladder::after(&self.policy, first);
        let found = HealthRecord::new(ladder.state(), unix_ms(), reason(first));
        let (restarts, pinged) = (actor.doing().restarts, None);
        let instance = Instance { name, id, actor, ladder, found: found.clone(), pinged, restarts };
        self.watched.lock().instances.push(instance);
        found
    }

    /// An instance has ended.
    pub(crate) fn forget(&self, id: ActorId) {
        self.watched.lock().instances.retain(|instance| instance.id != id);
    }

    /// How the instances do, as this process says it.
    pub(crate) fn states(&self) -> Vec<(InstanceName, HealthRecord)> {
        let watched = self.watched.lock();
        let said = |instance: &Instance| (instance.name, watched.said(instance));
        watched.instances.iter().map(said).collect()
    }

    /// Takes all of them out, or in again.
    pub(crate) fn withdraw(&self, state: Option<HealthState>, reason: impl Into<String>) {
        let record = state.map(|state| HealthRecord::new(state, unix_ms(), reason));
        self.watched.lock().withdrawn = record;
        self.tell_all();
    }

    /// Whether the program has taken them out in order to stop them.
    pub(crate) fn is_draining(&self) -> bool {
        let watched = self.watched.lock();
        watched.withdrawn.as_ref().is_some_and(|record| record.state == HealthState::Draining)
    }

    fn tell_all(&self) {
        for (name, record) in self.states() {
            self.tell(name, record);
        }
    }

    fn tell(&self, name: InstanceName, record: HealthRecord) {
        if let Err(error) = self.directory.report_health(name, &record) {
            // A directory that is closed has nobody to tell.
            tracing::debug!(%error, instance = %name, "a state was not reported");
        }
    }

    /// Looks again and again, until this is stopped or dropped.
    pub(crate) fn start(self: &Arc<Self>, runtime: &Handle) {
        let (monitor, interval) = (Arc::downgrade(self), self.policy.interval);
        let task = runtime.spawn(async move {
            loop {
                sleep(interval.mul_f64(0.9 + 0.2 * fastrand::f64())).await;
                let Some(monitor) = Weak::upgrade(&monitor) else { return };
                monitor.look().await;
            }
        });
        *self.task.lock() = Some(task);
    }

    pub(crate) fn stop(&self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }

    async fn look(&self) {
        let checked = self.look_at_checks();
        let (checked, looks) = futures_util::future::join(checked, self.ping_all()).await;
        let mut changed = Vec::new();
        {
            let mut watched = self.watched.lock();
            for look in looks {
                let at = watched.instances.iter().position(|instance| instance.id == look.id);
                let Some(at) = at else { continue };
                let instance = &mut watched.instances[at];
                instance.pinged = look.pinged;
                let before = std::mem::replace(&mut instance.restarts, look.doing.restarts);
                let seen = seen_by_callers(before, &look.doing);
                let outcome = look.answer.max(seen).max(checked.clone());
                if instance.ladder.take(&outcome) {
                    let state = instance.ladder.state();
                    instance.found = HealthRecord::new(state, unix_ms(), reason(&outcome));
                    let said = watched.said(&watched.instances[at]);
                    changed.push((watched.instances[at].name, said));
                }
            }
        }
        for (name, record) in changed {
            tracing::info!(instance = %name, state = %record.state, reason = record.reason, "health");
            self.tell(name, record);
        }
    }

    /// The worst that the checks of the service find.
    async fn look_at_checks(&self) -> CheckOutcome {
        let limit = self.policy.timeout;
        let looks = self.checks.iter().map(|check| async move {
            // Also while it makes its future.
            let look = AssertUnwindSafe(async { check.check().await }).catch_unwind();
            let found = match timeout(limit, look).await {
                Ok(Ok(found)) => found,
                Ok(Err(_)) => CheckOutcome::Fail("the check panicked".to_owned()),
                Err(_) => CheckOutcome::Fail(format!("no answer within {limit:?}")),
            };
            named(found, check.name())
        });
        join_all(looks).await.into_iter().max().unwrap_or(CheckOutcome::Pass)
    }

    /// Pings every actor, and waits as long as the policy says.
    async fn ping_all(&self) -> Vec<Look> {
        let deadline = Instant::now() + self.policy.timeout;
        let pings: Vec<_> = {
            let mut watched = self.watched.lock();
            let ping = |instance: &mut Instance| {
                // One at a time: an actor that is slow is not to be slowed by pings.
                let pinged = instance.pinged.take().or_else(|| instance.actor.ping());
                (instance.id, instance.actor.clone(), pinged)
            };
            watched.instances.iter_mut().map(ping).collect()
        };
        let mut looks = Vec::with_capacity(pings.len());
        for (id, actor, mut pinged) in pings {
            let answered = match &mut pinged {
                Some(pinged) => timeout_at(deadline, pinged).await.ok(),
                None => None,
            };
            let doing = actor.doing();
            let answer = match answered {
                Some(Ok(())) => CheckOutcome::Pass,
                // It has ended, or drops its messages: the next ping will show it.
                Some(Err(_)) => CheckOutcome::Warn("it does not take messages".to_owned()),
                None => unanswered(&doing, self.policy.hung),
            };
            let pinged = pinged.filter(|_| answered.is_none());
            looks.push(Look { id, pinged, answer, doing });
        }
        looks
    }
}

impl Watched {
    /// What an instance says of itself: that it was taken out, else what its checks found.
    fn said(&self, instance: &Instance) -> HealthRecord {
        self.withdrawn.clone().unwrap_or_else(|| instance.found.clone())
    }
}

/// What it means that an actor does not answer in time: that it has much to do, or that its handler
/// hangs.
fn unanswered(doing: &Doing, hung: Duration) -> CheckOutcome {
    match doing.in_hand {
        Some((message, since)) if since >= hung => {
            CheckOutcome::Fail(format!("it has been at {message} for {} s", since.as_secs()))
        }
        Some((message, _)) => {
            CheckOutcome::Warn(format!("it is at {message}, and {} wait", doing.waiting))
        }
        None => CheckOutcome::Warn(format!("it answers no ping, and {} wait", doing.waiting)),
    }
}

/// What became of calls: an actor that was built again let those down whose message it failed at. Calls
/// that fail in order are the callers' business.
fn seen_by_callers(restarts_before: u32, doing: &Doing) -> CheckOutcome {
    match doing.restarts.saturating_sub(restarts_before) {
        0 => CheckOutcome::Pass,
        times => CheckOutcome::Warn(format!("it failed and was built again {times} times")),
    }
}

fn named(outcome: CheckOutcome, name: &str) -> CheckOutcome {
    match outcome {
        CheckOutcome::Pass => CheckOutcome::Pass,
        CheckOutcome::Warn(reason) => CheckOutcome::Warn(format!("{name}: {reason}")),
        CheckOutcome::Fail(reason) => CheckOutcome::Fail(format!("{name}: {reason}")),
    }
}

fn reason(outcome: &CheckOutcome) -> &str {
    match outcome {
        CheckOutcome::Pass => "",
        CheckOutcome::Warn(reason) | CheckOutcome::Fail(reason) => reason,
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.stop();
    }
}
