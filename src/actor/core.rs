use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    task::Waker,
    time::Duration,
};

use super::{Actor, ActorState, Handlers, Histogram, StopReason, Waits, control::Control};
use crate::{
    host::{HostShared, Slot},
    id::ActorId,
    time::Timer,
};

/// A handler that takes so long without awaiting is named in the log, in nanoseconds.
pub(super) const BLOCKING: u64 = 10_000_000;

const NO_SLOT: u32 = u32::MAX;

/// What is known of an actor besides its messages: who it is, where it lives, what it is doing.
///
/// Whoever looks reads words that the actor's thread wrote: nobody waits for a busy actor.
// In this order: what each message or poll needs comes first.
#[repr(C)]
pub(crate) struct Core {
    host: Arc<HostShared>,
    slot: AtomicU32,
    /// Hash of the name of what is in hand; zero for nothing.
    in_hand: AtomicU32,
    handled: AtomicU64,
    /// Since when it is in hand: the coarse clock at the last look.
    since: AtomicU64,
    pub(super) control: Control,
    pub(crate) waits: Waits,
    /// When the timer wakes it at the latest, on the clock of its host; zero when nobody asked.
    alarm: AtomicU64,
    id: ActorId,
    kind: &'static Kind,
    name: Option<Box<str>>,
    /// CPU time in nanoseconds, in the mean.
    cpu: AtomicU64,
    /// What of the poll under way was the time of others, whose answers it waited for.
    lent: AtomicU64,
    restarts: AtomicU32,
    long_polls: AtomicU32,
    /// How long it may work off what it accepted, and its `stopped` hook may run, in milliseconds.
    drain_ms: u32,
    /// A long poll was told by the loop that saw which message it was.
    is_told: AtomicBool,
}

/// What all actors of a type have in common.
#[derive(Debug)]
pub(crate) struct Kind {
    name: &'static str,
    /// The names of messages and hooks by their hashes.
    names: fn(u32) -> Option<&'static str>,
}

impl Kind {
    pub(super) const fn of<A: Actor>() -> Self {
        Self { name: A::NAME, names: name_of::<A> }
    }
}

/// How full a mailbox is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) depth: usize,
    pub(crate) capacity: usize,
    pub(crate) bytes: usize,
    /// When the oldest message came, on the clock of the host, or before that.
    pub(crate) oldest: Option<u64>,
    pub(crate) displaced: u64,
}

/// What an actor is doing.
#[derive(Debug, Clone)]
pub(crate) struct Activity {
    pub(crate) in_hand: Option<(&'static str, Duration)>,
    pub(crate) handled: u64,
    pub(crate) restarts: u32,
    pub(crate) cpu: Duration,
    pub(crate) long_polls: u32,
}

impl Core {
    pub(super) fn new(
        kind: &'static Kind,
        name: Option<Box<str>>,
        host: Arc<HostShared>,
        drain: Duration,
    ) -> Self {
        static LAST_ID: AtomicU64 = AtomicU64::new(0);
        Self {
            id: ActorId::from_u64(LAST_ID.fetch_add(1, Ordering::Relaxed) + 1),
            kind,
            name,
            host,
            slot: AtomicU32::new(NO_SLOT),
            control: Control::new(),
            waits: Waits::default(),
            in_hand: AtomicU32::new(0),
            restarts: AtomicU32::new(0),
            since: AtomicU64::new(0),
            handled: AtomicU64::new(0),
            cpu: AtomicU64::new(0),
            lent: AtomicU64::new(0),
            long_polls: AtomicU32::new(0),
            is_told: AtomicBool::new(false),
            drain_ms: u32::try_from(drain.as_millis()).unwrap_or(u32::MAX),
            alarm: AtomicU64::new(0),
        }
    }

    pub(crate) fn id(&self) -> ActorId {
        self.id
    }

    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.kind.name)
    }

    pub(crate) fn type_name(&self) -> &'static str {
        self.kind.name
    }

    pub(super) fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms.into())
    }

    pub(crate) fn host(&self) -> &Arc<HostShared> {
        &self.host
    }

    #[inline]
    pub(crate) fn timer(&self) -> &Timer {
        self.host.timer()
    }

    pub(crate) fn state(&self) -> ActorState {
        self.control.state()
    }

    pub(crate) fn ended(&self) -> Option<StopReason> {
        self.control.ended()
    }

    pub(super) fn settle_in(&self, slot: Slot) {
        self.slot.store(slot.0, Ordering::Release);
    }

    /// Where it lives; nothing before it has arrived there.
    #[inline]
    pub(crate) fn slot(&self) -> Option<Slot> {
        let slot = self.slot.load(Ordering::Acquire);
        (slot != NO_SLOT).then_some(Slot(slot))
    }

    /// Makes the host poll this actor.
    #[inline(always)]
    pub(crate) fn wake(&self) {
        // An actor without a slot will be polled when it gets one.
        if let Some(slot) = self.slot() {
            self.host.wake(slot);
        }
    }

    /// Sees to it that the timer wakes this actor, whose waker this is, by that time.
    ///
    /// An actor that waits again and again, as one does that asks, has its alarm set once in a
    /// while: one that comes too early does no harm. The timer moves the coarse clock before it
    /// wakes, so an alarm that lies ahead of that clock has not gone off unseen.
    #[inline]
    pub(crate) fn alarm_by(&self, due: u64, waker: &Waker) {
        let alarm = self.alarm.load(Ordering::Relaxed);
        if alarm > due || alarm <= self.timer().clock().coarse() {
            self.set_alarm(due, waker);
        }
    }

    #[cold]
    fn set_alarm(&self, due: u64, waker: &Waker) {
        let registration = self.timer().register(due, waker.clone());
        self.alarm.store(registration.fires, Ordering::Relaxed);
        self.control.keep_alarm(registration);
    }

    /// Notes what is in hand, by the hash of its name.
    #[inline]
    pub(crate) fn take_in_hand(&self, name: u32) {
        self.in_hand.store(name, Ordering::Relaxed);
    }

    /// Notes that time went by.
    #[inline]
    pub(super) fn look_at_clock(&self) {
        self.since.store(self.timer().clock().coarse(), Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn count_handled(&self, more: u64) {
        // One writer: the actor's own thread.
        self.handled.store(self.handled.load(Ordering::Relaxed) + more, Ordering::Relaxed);
    }

    /// Whether something is in hand.
    pub(super) fn is_busy(&self) -> bool {
        self.in_hand.load(Ordering::Relaxed) != 0
    }

    #[cold]
    pub(super) fn sample(&self, nanoseconds: u64) {
        self.control.sample(nanoseconds);
    }

    pub(super) fn restarted(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn charge(&self, nanoseconds: u64) {
        self.cpu.store(self.cpu.load(Ordering::Relaxed) + nanoseconds, Ordering::Relaxed);
    }

    /// Notes how long what is in hand has held the thread: since then, by [`Clock::watch`](crate::time::Clock::watch).
    #[inline]
    pub(super) fn held_thread_since(&self, began: u64) {
        let took = self.timer().clock().watch().saturating_sub(began);
        if took >= BLOCKING {
            self.held_thread_for(took);
        }
    }

    #[cold]
    fn held_thread_for(&self, took: u64) {
        let own = took.saturating_sub(self.lent.load(Ordering::Relaxed));
        if own >= BLOCKING {
            self.message_blocked(Duration::from_nanos(own));
        }
    }

    /// Notes that the message in hand blocked the thread.
    #[cold]
    pub(super) fn message_blocked(&self, took: Duration) {
        self.tell_of_block(took);
        self.is_told.store(true, Ordering::Relaxed);
    }

    /// Notes that a poll took long.
    #[cold]
    pub(crate) fn blocked(&self, took: Duration) {
        if !self.is_told.swap(false, Ordering::Relaxed) {
            self.tell_of_block(took);
        }
    }

    /// Notes that others worked so long within this one's poll.
    pub(crate) fn lend(&self, nanoseconds: u64) {
        self.lent.store(self.lent.load(Ordering::Relaxed) + nanoseconds, Ordering::Relaxed);
    }

    /// What was [lent](Self::lend) since the last call.
    pub(crate) fn take_lent(&self) -> u64 {
        let lent = self.lent.load(Ordering::Relaxed);
        self.lent.store(0, Ordering::Relaxed);
        lent
    }

    fn tell_of_block(&self, took: Duration) {
        self.long_polls.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            actor = self.name(),
            handling = self.in_hand().unwrap_or("nothing"),
            ?took,
            "an actor blocked its thread; move what blocks to `tokio::task::spawn_blocking`"
        );
    }

    /// The name of what is in hand.
    pub(crate) fn in_hand(&self) -> Option<&'static str> {
        match self.in_hand.load(Ordering::Relaxed) {
            0 => None,
            hash => (self.kind.names)(hash).or_else(|| self.control.foreign_name(hash)),
        }
    }

    pub(crate) fn activity(&self) -> Activity {
        let since = self.since.load(Ordering::Relaxed);
        let for_how_long = || {
            let now = self.timer().clock().coarse();
            Duration::from_nanos(if since == 0 { 0 } else { now.saturating_sub(since) })
        };
        Activity {
            in_hand: self.in_hand().map(|name| (name, for_how_long())),
            handled: self.handled.load(Ordering::Relaxed),
            restarts: self.restarts.load(Ordering::Relaxed),
            cpu: Duration::from_nanos(self.cpu.load(Ordering::Relaxed)),
            long_polls: self.long_polls.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn times(&self) -> Option<Arc<Histogram>> {
        self.control.times()
    }
}

/// A hash of a name that is never zero.
///
/// Source: FNV-1a, 32 bits (G. Fowler, L. C. Noll, P. Vo).
pub(crate) const fn name_hash(name: &str) -> u32 {
    let (bytes, mut hash, mut at) = (name.as_bytes(), 0x811c_9dc5_u32, 0);
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    if hash == 0 { 1 } else { hash }
}

pub(super) const STARTED: &str = "started";
pub(super) const STOPPED: &str = "stopped";

fn name_of<A: Handlers>(hash: u32) -> Option<&'static str> {
    let messages = A::__table().into_iter().map(|row| row.message);
    let ticks = A::__ticks().iter().map(|tick| tick.method);
    messages.chain(ticks).chain([STARTED, STOPPED]).find(|name| name_hash(name) == hash)
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("id", &self.id).field("name", &self.name()).finish()
    }
}
