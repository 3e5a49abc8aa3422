use std::sync::{
    Arc, Weak,
    atomic::{
        AtomicBool, AtomicU32,
        Ordering::{AcqRel, Acquire, Relaxed, Release},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{
    decide::{Next, after_tell},
    intake::Incoming,
    source::{Job, Source},
};
use crate::{
    bus::{
        codec::Codec,
        frame::{Frame, Kind, Message},
        refusal,
        stats::add,
    },
    error::{Delivery, Failure, FailureKind},
    log::{Disposal, Done, EntryId, Mark, Recorded, Totals},
    message::{Conclusion, DeliverySink, RemoteDelivery},
};

/// An entry that was read and is not settled: it waits until each of its messages was concluded.
///
/// It is settled explicitly, by the last conclusion, and never because it was dropped.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) source: Arc<Source>,
    pub(super) id: EntryId,
    pub(super) frame: Frame,
    /// Messages that were done before this process got the entry.
    pub(super) before: Done,
    me: Weak<Self>,
    /// Messages that are not concluded yet.
    left: AtomicU32,
    expired: AtomicU32,
    cancelled: AtomicU32,
    dead: AtomicU32,
    delayed: AtomicU32,
    /// The entry belongs to somebody else now: nothing more is said of it.
    disowned: AtomicBool,
    any_cancelled: AtomicBool,
    cancels: Mutex<Done>,
    _budget: Option<OwnedSemaphorePermit>,
}

impl Held {
    pub(super) fn new(
        source: Arc<Source>,
        id: EntryId,
        frame: Frame,
        recorded: Recorded,
        budget: Option<OwnedSemaphorePermit>,
    ) -> Arc<Self> {
        let Recorded { totals, done, .. } = recorded;
        let done_before = u32::try_from(done.count()).unwrap_or(u32::MAX);
        Arc::new_cyclic(|me| Self {
            left: AtomicU32::new(frame.count().saturating_sub(done_before)),
            expired: AtomicU32::new(totals.expired),
            cancelled: AtomicU32::new(totals.cancelled),
            dead: AtomicU32::new(totals.dead),
            delayed: AtomicU32::new(totals.delayed),
            disowned: AtomicBool::new(false),
            any_cancelled: AtomicBool::new(false),
            cancels: Mutex::new(Done::default()),
            before: done,
            me: me.clone(),
            _budget: budget,
            source,
            id,
            frame,
        })
    }

    pub(super) fn is_over(&self) -> bool {
        self.left.load(Acquire) == 0
    }

    pub(super) fn is_disowned(&self) -> bool {
        self.disowned.load(Acquire)
    }

    pub(super) fn mark_disowned(&self) -> bool {
        !self.disowned.swap(true, AcqRel)
    }

    pub(super) fn mark(&self, index: u32) -> Mark {
        Mark { id: self.id, index, count: self.frame.count() }
    }

    /// What its messages came to. Read when nothing is left.
    pub(super) fn totals(&self) -> Totals {
        let (expired, cancelled) = (self.expired.load(Relaxed), self.cancelled.load(Relaxed));
        let (dead, delayed) = (self.dead.load(Relaxed), self.delayed.load(Relaxed));
        let others = expired + cancelled + dead + delayed;
        let handled = self.frame.count().saturating_sub(others);
        Totals { handled, expired, cancelled, dead, delayed }
    }

    /// Which attempt at a message this is, and the entry that it was first in.
    pub(super) fn attempt(&self, message: &Message<'_>) -> (u32, EntryId) {
        message.moved.map_or((1, self.id), |moved| (moved.attempt.max(1), moved.origin))
    }

    /// Looks at one message: gives it out if a handler is to have it; what is not for a handler is
    /// done here.
    pub(super) fn turn(&self, index: u32, now: Instant) -> Option<Incoming> {
        if self.before.contains(index) {
            return None;
        }
        let (message, body) = self.frame.message(index)?;
        add(&self.source.core.counters.messages_received, 1);
        let (attempt, origin) = self.attempt(&message);
        match message.kind {
            Kind::Cancel => {
                if let Some(correlation) = message.correlation {
                    self.source.cancel_ask(self.frame.producer(), correlation);
                }
                self.finish(index, Disposal::Handled);
                return None;
            }
            Kind::Reply | Kind::Refusal => {
                self.move_out(index, Next::Bury { reason: "a reply has no place here".into() });
                return None;
            }
            Kind::Tell | Kind::Ask | Kind::Publish => {}
        }
        let name = message.name.and_then(|name| self.frame.shared(name));
        let (Some(name), Some(me)) = (name, self.me.upgrade()) else {
            self.move_out(index, Next::Bury { reason: "it has no name".into() });
            return None;
        };
        let clock = &self.source.core.clock;
        let deadline_ms = message.remaining_ms.map(|ms| origin.ms.saturating_add(ms));
        if deadline_ms.is_some_and(|deadline| deadline < clock.log_ms(now)) {
            self.finish(index, Disposal::Expired);
            return None;
        }
        if message.kind == Kind::Ask
            && let (Some(asker), Some(correlation)) = (message.reply_to, message.correlation)
        {
            self.source.remember_ask(asker, correlation, &me, index);
        }
        Some(Incoming {
            kind: message.kind,
            name,
            version: message.version,
            topic: message.topic.and_then(|topic| self.frame.shared(topic)),
            codec: message.codec,
            body,
            target: message.target,
            key_hash: message.key_hash,
            attempt,
            deadline: deadline_ms.map(|ms| clock.instant(ms, now)),
            sender: self.frame.producer(),
            origin,
            trace: message.trace,
            chain: message.chain,
            delivery: RemoteDelivery::new(me, index),
        })
    }

    pub(super) fn cancel(&self, index: u32) {
        self.cancels.lock().insert(index);
        self.any_cancelled.store(true, Release);
    }

    /// Counts one message as done; the last one ends the entry.
    pub(super) fn finish(&self, index: u32, disposal: Disposal) {
        let counters = &self.source.core.counters;
        let (total, counter) = match disposal {
            Disposal::Handled => (None, &counters.handled),
            Disposal::Expired => (Some(&self.expired), &counters.expired),
            Disposal::Cancelled => (Some(&self.cancelled), &counters.cancelled),
            Disposal::Dead => (Some(&self.dead), &counters.buried),
            Disposal::Delayed => (Some(&self.delayed), &counters.postponed),
        };
        if let Some(total) = total {
            total.fetch_add(1, Relaxed);
        }
        add(counter, 1);
        if self.frame.kind(index) == Some(Kind::Ask) {
            self.source.forget_ask(&self.frame, index);
        }
        // Releases the totals to whoever sees that nothing is left.
        let left = self.left.fetch_sub(1, AcqRel);
        debug_assert!(left > 0, "each message is concluded once");
        if left == 1 {
            self.end();
        }
    }

    /// Hands the entry over to be settled.
    pub(super) fn end(&self) {
        if let Some(me) = self.me.upgrade() {
            self.source.post(Job::Settle(me));
        }
    }

    /// What needs the log before it is done.
    fn move_out(&self, index: u32, next: Next) {
        if let Some(me) = self.me.upgrade() {
            self.source.post(Job::Move(me, index, next));
        }
    }

    fn conclude_tell(&self, index: u32, conclusion: &Conclusion) {
        if matches!(conclusion, Conclusion::Handled { failure: false, .. }) {
            // By far the most: without reading the message again.
            return self.finish(index, Disposal::Handled);
        }
        let Some((message, _)) = self.frame.message(index) else { return };
        let (attempt, _) = self.attempt(&message);
        let attempts_max = self.source.core.limits.attempts_max;
        match after_tell(conclusion, attempt, attempts_max, self.source.may_go_elsewhere()) {
            Next::Handled => self.finish(index, Disposal::Handled),
            Next::Expired => self.finish(index, Disposal::Expired),
            Next::Cancelled => self.finish(index, Disposal::Cancelled),
            next @ (Next::Again { .. } | Next::Bury { .. }) => self.move_out(index, next),
        }
    }

    fn conclude_ask(&self, index: u32, conclusion: Conclusion) {
        let mut disposal = Disposal::Handled;
        match conclusion {
            Conclusion::Handled { reply: Some(body), .. } => {
                let codec = self.frame.message(index).map(|(message, _)| message.codec);
                self.reply(index, Kind::Reply, codec.unwrap_or_default(), body);
            }
            Conclusion::Handled { reply: None, .. } => {
                self.refuse(index, &FailureKind::Unanswered.into());
            }
            Conclusion::Panicked => self.refuse(index, &FailureKind::Panicked.into()),
            Conclusion::Abandoned => {
                let kind = FailureKind::Unanswered;
                self.refuse(index, &Failure::with_delivery(kind, Delivery::Unknown));
            }
            Conclusion::Cancelled => disposal = Disposal::Cancelled,
            Conclusion::NotTaken(failure) => {
                if matches!(failure.kind(), FailureKind::DeadlinePassed { .. }) {
                    disposal = Disposal::Expired;
                }
                self.refuse(index, &failure);
            }
        }
        self.finish(index, disposal);
    }

    fn refuse(&self, index: u32, failure: &Failure) {
        self.reply(index, Kind::Refusal, Codec::Bincode, refusal::to_wire(failure));
    }

    fn reply(&self, index: u32, kind: Kind, codec: Codec, body: Bytes) {
        let Some((ask, _)) = self.frame.message(index) else { return };
        let (Some(to), Some(correlation)) = (ask.reply_to, ask.correlation) else { return };
        self.source.core.reply(to, correlation, kind, codec, body);
    }
}

impl DeliverySink for Held {
    fn conclude(&self, index: u32, conclusion: Conclusion) {
        if self.source.core.is_ended() {
            return;
        }
        if self.frame.kind(index) == Some(Kind::Ask) {
            self.conclude_ask(index, conclusion);
        } else {
            self.conclude_tell(index, &conclusion);
        }
    }

    fn is_cancelled(&self, index: u32) -> bool {
        self.any_cancelled.load(Acquire) && self.cancels.lock().contains(index)
    }

    fn wants_reply(&self, index: u32) -> bool {
        self.frame.kind(index) == Some(Kind::Ask)
    }
}
