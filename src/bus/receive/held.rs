use std::sync::{
    Arc, Weak,
    atomic::{
        AtomicBool,
        Ordering::{AcqRel, Acquire, Release},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit},
    time::Instant,
};

use super::{
    account::Account,
    decide::{Next, after_tell},
    intake::Incoming,
    source::{Job, Source},
    unknown::is_unknown,
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
    message::{Conclusion, Content, DeliverySink, RemoteDelivery, RemoteFrame},
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
    pub(super) account: Mutex<Account>,
    /// A message of an entry whose messages are tried one by one was concluded, or none will be.
    concluded: Notify,
    /// The entry belongs to somebody else now: nothing more is said of it.
    disowned: AtomicBool,
    any_cancelled: AtomicBool,
    cancels: Mutex<Done>,
    /// Its messages are tried one by one; this process's one right to do so.
    suspect: Option<OwnedSemaphorePermit>,
    _budget: Option<OwnedSemaphorePermit>,
}

impl Held {
    pub(super) fn new(
        source: Arc<Source>,
        id: EntryId,
        frame: Frame,
        recorded: Recorded,
        suspect: Option<OwnedSemaphorePermit>,
        budget: Option<OwnedSemaphorePermit>,
    ) -> Arc<Self> {
        let before = recorded.done.clone();
        let account = Account::new(frame.count(), recorded, Instant::now());
        Arc::new_cyclic(|me| Self {
            account: Mutex::new(account),
            concluded: Notify::new(),
            disowned: AtomicBool::new(false),
            any_cancelled: AtomicBool::new(false),
            cancels: Mutex::new(Done::default()),
            before,
            me: me.clone(),
            suspect,
            _budget: budget,
            source,
            id,
            frame,
        })
    }

    pub(super) fn is_over(&self) -> bool {
        self.account.lock().is_over()
    }

    /// Whether its messages are tried one by one.
    pub(super) fn is_suspect(&self) -> bool {
        self.suspect.is_some()
    }

    pub(super) fn is_disowned(&self) -> bool {
        self.disowned.load(Acquire)
    }

    pub(super) fn mark_disowned(&self) -> bool {
        let first = !self.disowned.swap(true, AcqRel);
        self.concluded.notify_waiters();
        first
    }

    /// Resolves when this message of a suspect is done, or the entry is not ours any more.
    pub(super) async fn concluded(&self, index: u32) {
        loop {
            let mut concluded = std::pin::pin!(self.concluded.notified());
            concluded.as_mut().enable();
            if self.is_disowned() || self.account.lock().is_done(index) {
                return;
            }
            concluded.await;
        }
    }

    pub(super) fn mark(&self, index: u32) -> Mark {
        Mark { id: self.id, index, count: self.frame.count() }
    }

    /// What its messages came to.
    pub(super) fn totals(&self) -> Totals {
        self.account.lock().totals()
    }

    /// Which attempt at a message this is, and the entry that it was first in.
    pub(super) fn attempt(&self, index: u32, message: &Message<'_>) -> (u32, EntryId) {
        let (base, origin) =
            message.moved.map_or((1, self.id), |moved| (moved.attempt.max(1), moved.origin));
        let alone = if self.is_suspect() { self.account.lock().attempt_at(index) } else { None };
        (alone.unwrap_or(base), origin)
    }

    /// How many messages from this one on are plain tells to the service of one name and version, none
    /// of them done: they can be given out as one run.
    pub(super) fn run_from(&self, index: u32) -> u32 {
        if self.before.0.is_empty() && !self.is_suspect() { self.frame.run_from(index) } else { 0 }
    }

    /// Looks at one message: gives it out if a handler is to have it; what is not for a handler is
    /// done here. `remote` is this entry, as what is given out of it shares it.
    pub(super) fn turn(
        &self,
        remote: &Arc<RemoteFrame>,
        index: u32,
        now: Instant,
    ) -> Option<Incoming> {
        if self.before.contains(index) {
            return None;
        }
        let (message, body) = self.frame.message(index)?;
        add(&self.source.core.counters.messages_received, 1);
        let (attempt, origin) = self.attempt(index, &message);
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
        let Some(name) = self.frame.shared_name(index).cloned() else {
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
            self.source.remember_ask(asker, correlation, &self.me, index);
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
            delivery: RemoteDelivery::new(remote.clone(), index),
            place: None,
        })
    }

    pub(super) fn cancel(&self, index: u32) {
        self.cancels.lock().insert(index);
        self.any_cancelled.store(true, Release);
    }

    /// Counts one message as done; the last one ends the entry.
    pub(super) fn finish(&self, index: u32, disposal: Disposal) {
        let counters = &self.source.core.counters;
        let counter = match disposal {
            Disposal::Handled => &counters.handled,
            Disposal::Expired => &counters.expired,
            Disposal::Cancelled => &counters.cancelled,
            Disposal::Dead => &counters.buried,
            Disposal::Delayed => &counters.postponed,
        };
        add(counter, 1);
        if self.frame.kind(index) == Some(Kind::Ask) {
            self.source.forget_ask(&self.frame, index);
        }
        let was_last = self.account.lock().finish(index, disposal);
        if self.is_suspect() {
            self.concluded.notify_waiters();
        }
        if was_last {
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
    pub(super) fn move_out(&self, index: u32, next: Next) {
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
        let (attempt, origin) = self.attempt(index, &message);
        let attempts_max = self.source.core.limits.attempts_max;
        let name = message.name.and_then(|name| self.frame.shared(name));
        let next = match (conclusion, name) {
            (Conclusion::NotTaken(failure), Some(name)) if is_unknown(failure.kind()) => {
                self.source.after_unknown((name, message.version), origin, failure)
            }
            _ => after_tell(conclusion, attempt, attempts_max, self.source.may_go_elsewhere()),
        };
        match next {
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
                let codec = self.frame.codec(index).unwrap_or_default();
                self.reply(index, Kind::Reply, codec, body);
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

    fn conclude_handled(&self, first: u32, count: u32) {
        if self.source.core.is_ended() {
            return;
        }
        if self.is_suspect() || self.frame.kind(first) == Some(Kind::Ask) {
            for index in first..first.saturating_add(count) {
                self.finish(index, Disposal::Handled);
            }
            return;
        }
        add(&self.source.core.counters.handled, u64::from(count));
        let was_last = {
            let mut account = self.account.lock();
            // The last one decides: it is over when that is done, or not at all.
            (first..first.saturating_add(count))
                .fold(false, |_, index| account.finish(index, Disposal::Handled))
        };
        if was_last {
            self.end();
        }
    }

    fn content(&self, index: u32) -> Option<Content<'_>> {
        let codec = self.frame.codec(index)?.to_byte();
        Some(Content { codec, body: self.frame.body(index)? })
    }

    fn deadline(&self, index: u32) -> Option<Instant> {
        if self.frame.is_plain(index) {
            return None;
        }
        let (message, _) = self.frame.message(index)?;
        let origin = message.moved.map_or(self.id, |moved| moved.origin);
        let deadline_ms = origin.ms.saturating_add(message.remaining_ms?);
        Some(self.source.core.clock.instant(deadline_ms, Instant::now()))
    }

    fn is_cancelled(&self, index: u32) -> bool {
        // What belongs to another process now is that one's to handle.
        self.is_disowned()
            || (self.any_cancelled.load(Acquire) && self.cancels.lock().contains(index))
    }

    fn wants_reply(&self, index: u32) -> bool {
        self.frame.kind(index) == Some(Kind::Ask)
    }
}
