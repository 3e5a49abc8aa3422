use std::{
    fmt,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::{Notify, mpsc, watch};

use super::{decide::Next, held::Held};
use crate::{
    bus::{core::Core, event::BusEvent, frame::Frame, outbox::Destination, stats::add},
    id::Incarnation,
    log::{Consumer, EntryId, Owner, StreamKind, StreamName},
};

/// What the settle task of a source has to do.
#[derive(Debug)]
pub(super) enum Job {
    /// All messages of the entry are done.
    Settle(Arc<Held>),
    /// One message goes to the delay set or to the dead letters.
    Move(Arc<Held>, u32, Next),
    /// Nothing more is read: end when nothing is held any more.
    ReadingEnded,
}

/// A message of a held entry.
type Place = (Weak<Held>, u32);

#[derive(Debug, Default)]
struct Registry {
    held: FxHashSet<EntryId>,
    /// While pending entries are being listed: what was settled since.
    settled_since: Option<FxHashSet<EntryId>>,
}

/// A stream that this process reads as a consumer of a group, and what it holds of it.
pub(crate) struct Source {
    pub(super) core: Arc<Core>,
    pub(super) stream: StreamName,
    pub(super) consumer: Consumer,
    pub(super) owner: Owner,
    /// Where dead letters go; to the stream's own when `None`.
    pub(super) letters: Option<StreamName>,
    /// Where messages of a topic go to be tried again.
    pub(super) retries: Option<Destination>,
    registry: Mutex<Registry>,
    /// Asks that are being handled, by asker and correlation id.
    asks: Mutex<FxHashMap<(Incarnation, u64), Place>>,
    /// Unbounded in form; it never holds more than there are messages in held entries.
    jobs: mpsc::UnboundedSender<Job>,
    stopping: watch::Sender<bool>,
    reading_ended: watch::Sender<bool>,
    drained: Notify,
    /// Something was put into the delay set.
    pub(super) delayed: Notify,
}

impl Source {
    pub(super) fn new(
        core: Arc<Core>,
        stream: StreamName,
        group: &str,
        retries: Option<Destination>,
        letters: Option<StreamName>,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Job>) {
        let (jobs, inbox) = mpsc::unbounded_channel();
        let consumer = Consumer { group: group.to_owned(), name: core.incarnation.to_string() };
        let source = Arc::new(Self {
            owner: Owner::Consumer(consumer.clone()),
            core,
            stream,
            consumer,
            letters,
            retries,
            registry: Mutex::default(),
            asks: Mutex::default(),
            jobs,
            stopping: watch::Sender::new(false),
            reading_ended: watch::Sender::new(false),
            drained: Notify::new(),
            delayed: Notify::new(),
        });
        (source, inbox)
    }

    /// Whether another process could take what this one does not.
    pub(super) fn may_go_elsewhere(&self) -> bool {
        self.stream.kind() != StreamKind::Inbox
    }

    /// Whether it reads this stream for this group, or holds something of it.
    pub(crate) fn is_at_work(&self, stream: &StreamName, group: &str) -> bool {
        let is_over = self.has_ended_reading() && self.held() == 0;
        self.stream == *stream && self.consumer.group == group && !is_over
    }

    pub(super) fn post(&self, job: Job) {
        if self.jobs.send(job).is_err() {
            // The settle task ends after the last entry, or with the bus: nobody is owed anything.
            tracing::debug!(stream = %self.stream, "a conclusion came after the end");
        }
    }

    pub(super) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Resolves when nothing more is to be read.
    pub(super) async fn stopped(&self) {
        becomes_true(&self.stopping).await;
    }

    pub(super) fn mark_reading_ended(&self) {
        self.reading_ended.send_replace(true);
        self.post(Job::ReadingEnded);
    }

    pub(super) fn has_ended_reading(&self) -> bool {
        *self.reading_ended.borrow()
    }

    /// Resolves when the reading has come to its end.
    pub(super) async fn reading_ended(&self) {
        becomes_true(&self.reading_ended).await;
    }

    /// Resolves when nothing is held any more.
    pub(crate) async fn drained(&self) {
        loop {
            let mut drained = std::pin::pin!(self.drained.notified());
            drained.as_mut().enable();
            if self.held() == 0 {
                return;
            }
            drained.await;
        }
    }

    pub(super) fn held(&self) -> usize {
        self.registry.lock().held.len()
    }

    /// Registers an entry. False when it is held already, or was settled while its listing was on
    /// its way.
    pub(super) fn admit(&self, id: EntryId) -> bool {
        let mut registry = self.registry.lock();
        let settled = registry.settled_since.as_ref().is_some_and(|settled| settled.contains(&id));
        !settled && registry.held.insert(id)
    }

    /// Whether [`admit`](Self::admit) would take it.
    pub(super) fn is_new(&self, id: EntryId) -> bool {
        let registry = self.registry.lock();
        let settled = registry.settled_since.as_ref().is_some_and(|settled| settled.contains(&id));
        !settled && !registry.held.contains(&id)
    }

    pub(super) fn release(&self, id: EntryId) {
        let mut registry = self.registry.lock();
        registry.held.remove(&id);
        if let Some(settled) = &mut registry.settled_since {
            settled.insert(id);
        }
        let empty = registry.held.is_empty();
        drop(registry);
        if empty {
            self.drained.notify_waiters();
        }
    }

    pub(super) fn begin_listing(&self) {
        self.registry.lock().settled_since = Some(FxHashSet::default());
    }

    pub(super) fn end_listing(&self) {
        self.registry.lock().settled_since = None;
    }

    /// The entry is not ours any more: what we believe of it is dropped.
    pub(super) fn disown(&self, held: &Held) {
        if held.mark_disowned() {
            add(&self.core.counters.entries_disowned, 1);
            let event = BusEvent::Disowned { stream: self.stream.clone(), entry: held.id };
            self.core.events.tell(event);
            self.release(held.id);
        }
    }

    pub(super) fn remember_ask(
        &self,
        asker: Incarnation,
        correlation: u64,
        held: &Arc<Held>,
        index: u32,
    ) {
        self.asks.lock().insert((asker, correlation), (Arc::downgrade(held), index));
    }

    pub(super) fn forget_ask(&self, frame: &Frame, index: u32) {
        let Some((message, _)) = frame.message(index) else { return };
        if let (Some(asker), Some(correlation)) = (message.reply_to, message.correlation) {
            self.asks.lock().remove(&(asker, correlation));
        }
    }

    pub(super) fn cancel_ask(&self, asker: Incarnation, correlation: u64) {
        let found = self.asks.lock().get(&(asker, correlation)).cloned();
        if let Some((held, index)) = found
            && let Some(held) = held.upgrade()
        {
            held.cancel(index);
        }
    }
}

async fn becomes_true(flag: &watch::Sender<bool>) {
    // The sender lives as long as the borrow of it: the wait can't fail.
    if flag.subscribe().wait_for(|is_true| *is_true).await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("stream", &self.stream)
            .field("held", &self.held())
            .finish_non_exhaustive()
    }
}
