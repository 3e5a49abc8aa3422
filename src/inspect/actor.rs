use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{HistogramReport, seconds};
use crate::{
    actor::{Activity, ActorState, Core, Handlers, Histogram, StopReason},
    address::Addr,
    host::Resident,
    id::ActorId,
};

/// An actor as [`Addr::inspect`] and [`System::inspect`](crate::System::inspect) show it.
///
/// Counters run since it was spawned, over restarts. Times are in seconds when serialized.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ActorReport {
    /// Its identity within its process.
    pub id: ActorId,
    /// Its name: that of its type, unless it was given one. Several may have the same.
    pub name: String,
    /// Where it stands among those that supervise each other: a slash and its name, as nobody
    /// supervises actors yet.
    pub path: String,
    /// The name of its type.
    pub type_name: &'static str,
    /// The thread it lives on: [`HostReport::index`](super::HostReport::index).
    pub arbiter: usize,
    /// Where it is in its life.
    pub state: ActorState,
    /// Why it has ended, if it has; a sentence when serialized.
    #[serde(serialize_with = "sentence")]
    pub ended: Option<StopReason>,
    /// Messages that wait. An actor at work publishes every 32nd: up to that many too many.
    pub depth: usize,
    /// The most messages that may wait.
    pub capacity: usize,
    /// The most bytes that may wait.
    pub bytes: usize,
    /// For how long the oldest message has waited, at most: what was taken out together counts from
    /// the first of it. None when none waits.
    #[serde(serialize_with = "seconds::optional")]
    pub oldest_age: Option<Duration>,
    /// Messages that had to make room for newer ones.
    pub displaced: u64,
    /// Messages that were handled. Published once per turn: up to 64 are missing while it works.
    pub handled: u64,
    /// How often it was built again.
    pub restarts: u32,
    /// What it is doing; none when it waits for messages.
    pub busy: Option<InHand>,
    /// The actor of this process that its handler waits for. None while it waits for none, or for
    /// several at a time.
    pub waits_for: Option<Awaited>,
    /// How long its handlers took: of one in 64.
    pub handling: HistogramReport,
    /// The time that it held its thread. It is not measured but sampled, every 2 ms, by who is at
    /// work then: right in the mean for an actor with much to do, and not worth much below some
    /// 100 ms.
    #[serde(serialize_with = "seconds::serialize")]
    pub cpu: Duration,
    /// How often it held its thread for more than 10 ms. Each is in the log with its message.
    pub long_polls: u32,
}

/// What an actor is doing.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct InHand {
    /// The name of the message that it handles; of a timer's method or a hook, otherwise.
    pub message: &'static str,
    /// For how long, to some 2 ms.
    #[serde(serialize_with = "seconds::serialize")]
    pub since: Duration,
}

/// The actor that another one waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Awaited {
    /// Its identity within this process.
    pub id: ActorId,
    /// Its name.
    pub name: String,
}

impl ActorReport {
    pub(super) fn of(resident: &dyn Resident) -> Self {
        let (core, look) = (resident.core(), resident.look());
        let Activity { in_hand, handled, restarts, cpu, long_polls } = core.activity();
        let now = core.timer().clock().now();
        Self {
            id: core.id(),
            name: core.name().to_owned(),
            path: format!("/{}", core.name()),
            type_name: core.type_name(),
            arbiter: core.host().index(),
            state: core.state(),
            ended: core.ended(),
            depth: look.depth,
            capacity: look.capacity,
            bytes: look.bytes,
            oldest_age: look.oldest.map(|oldest| Duration::from_nanos(now.saturating_sub(oldest))),
            displaced: look.displaced,
            handled,
            restarts,
            busy: in_hand.map(|(message, since)| InHand { message, since }),
            waits_for: waits_for(core),
            handling: core.times().as_deref().map(handling).unwrap_or_default(),
            cpu,
            long_polls,
        }
    }

    /// The same with what was counted since that report of the same actor.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self {
            displaced: self.displaced.saturating_sub(earlier.displaced),
            handled: self.handled.saturating_sub(earlier.handled),
            restarts: self.restarts.saturating_sub(earlier.restarts),
            handling: self.handling.since(&earlier.handling),
            cpu: self.cpu.saturating_sub(earlier.cpu),
            long_polls: self.long_polls.saturating_sub(earlier.long_polls),
            ..self.clone()
        }
    }
}

fn waits_for(core: &Core) -> Option<Awaited> {
    core.awaited(|other| Awaited { id: other.id(), name: other.name().to_owned() })
}

fn handling(times: &Histogram) -> HistogramReport {
    HistogramReport::new(times.buckets().into_iter().map(|(below, count)| (below, count.into())))
}

fn sentence<S: Serializer>(reason: &Option<StopReason>, serializer: S) -> Result<S::Ok, S::Error> {
    reason.as_ref().map(StopReason::to_string).serialize(serializer)
}

impl<A: Handlers> Addr<A> {
    /// What the actor is doing, and how much it has done. Asks words in memory and not the actor: it
    /// answers at once, also while the actor blocks its thread or has ended.
    ///
    /// None for an actor in another process.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// #[derive(Message)]
    /// struct Nap(Duration);
    ///
    /// #[derive(Actor, Default)]
    /// struct Sleeper;
    /// #[handlers]
    /// impl Sleeper {
    ///     #[handle]
    ///     async fn nap(&mut self, Nap(time): Nap) { tokio::time::sleep(time).await; }
    /// }
    ///
    /// #[callboard::main]
    /// async fn main() -> callboard::Result<()> {
    ///     let system = System::start().await?;
    ///     let sleeper = system.spawn(Sleeper::default)?;
    ///     sleeper.ask(Nap(Duration::from_millis(1))).await?;
    ///     let report = sleeper.inspect().expect("it lives here");
    ///     assert_eq!((report.name.as_str(), report.restarts), ("Sleeper", 0));
    ///     system.shutdown().await
    /// }
    /// ```
    pub fn inspect(&self) -> Option<ActorReport> {
        self.shared().map(|shared| ActorReport::of(&**shared))
    }
}
