use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Weak,
        atomic::{
            AtomicBool,
            Ordering::{AcqRel, Release},
        },
    },
    time::Duration,
};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::{
    sync::{Notify, Semaphore, mpsc, watch},
    time::Instant,
};

use super::{
    decide::Next,
    held::Held,
    registry::Registry,
    unknown::{self, Unknown},
};
use crate::{
    bus::{
        core::Core, event::BusEvent, frame::Frame, keys, membership::Listing, outbox::Destination,
        stats::add,
    },
    error::Failure,
    id::{ActorId, Incarnation, Name},
    log::{Consumer, Entry, EntryId, Owner, Recorded, Retain, StreamKind, StreamName},
};

/// What the settle task of a source has to do.
#[derive(Debug)]
pub(super) enum Job {
    /// All messages of the entry are done.
    Settle(Arc<Held>),
    /// One message goes to the delay set or to the dead letters.
    Move(Arc<Held>, u32, Next),
    /// An entry that can't be worked on goes whole to the dead letters.
    BuryEntry(Entry, String),
    /// Tell the log what has been done of entries that are held for long.
    Record,
    /// Look whether there is anything left to do.
    Wake,
}

/// A message of a held entry.
type Place = (Weak<Held>, u32);

/// What is read, and where what can't be handled goes.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) stream: StreamName,
    pub(crate) group: String,
    /// As whom.
    pub(crate) reader: Incarnation,
    /// Where messages of a topic go to be tried again.
    pub(crate) retries: Option<Destination>,
    /// For which actor there.
    pub(crate) retry_target: Option<ActorId>,
    /// Where dead letters go; to the stream's own when `None`.
    pub(crate) letters: Option<StreamName>,
    /// Whether other processes read for the same group.
    pub(crate) is_shared: bool,
    /// The service that is read for, whose instances may know different messages.
    pub(crate) service: Option<Name>,
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
    pub(super) retry_target: Option<ActorId>,
    /// The process that this is read for, when it is one alone.
    pub(super) inbox: Option<Incarnation>,
    /// The service whose stream it is.
    stream_of: Option<Name>,
    /// Whether other processes read for the same group.
    pub(super) is_shared: bool,
    /// The service whose instances it is for.
    service: Option<Name>,
    unknown: Mutex<Unknown>,
    pub(super) registry: Registry,
    /// Whoever asks the log for entries that it gave to us takes them up before the next one asks.
    pub(super) assignment: Semaphore,
    /// The log may hold entries for us that we do not know of.
    unlisted: AtomicBool,
    /// A claim had no answer: what is found unlisted may be suspect.
    claim_lost: AtomicBool,
    /// Ours, to be tried one message at a time; never more than one listing gives.
    suspects: Mutex<VecDeque<(Entry, Recorded)>>,
    /// A `Job::Record` is on its way.
    pub(super) recording: AtomicBool,
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
        reading: Reading,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Job>) {
        let Reading { stream, group, reader, retries, retry_target, letters, is_shared, service } =
            reading;
        let (jobs, inbox) = mpsc::unbounded_channel();
        let consumer = Consumer { group, name: reader.to_string() };
        let own_inbox = match &retries {
            Some(Destination::Inbox(incarnation)) => Some(*incarnation),
            _ => keys::owner_of_inbox(&core.cluster, &stream),
        };
        let source = Arc::new(Self {
            owner: Owner::Consumer(consumer.clone()),
            inbox: own_inbox,
            stream_of: keys::service_of(&core.cluster, &stream),
            core,
            stream,
            consumer,
            letters,
            retries,
            retry_target,
            is_shared,
            service,
            unknown: Mutex::default(),
            registry: Registry::default(),
            assignment: Semaphore::new(1),
            unlisted: AtomicBool::new(false),
            claim_lost: AtomicBool::new(false),
            suspects: Mutex::default(),
            recording: AtomicBool::new(false),
            asks: Mutex::default(),
            jobs,
            stopping: watch::Sender::new(false),
            reading_ended: watch::Sender::new(false),
            drained: Notify::new(),
            delayed: Notify::new(),
        });
        (source, inbox)
    }

    /// The stream and the group.
    pub(crate) fn place(&self) -> (&StreamName, &str) {
        (&self.stream, &self.consumer.group)
    }

    /// Whether other processes read for the same group.
    pub(crate) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// How long what is settled is kept, as the service is defined now.
    pub(super) fn retain(&self) -> Option<Retain> {
        self.core.definition(self.stream_of.as_ref()?)?.retain
    }

    /// Whether another process could take what this one does not.
    pub(super) fn may_go_elsewhere(&self) -> bool {
        self.stream.kind() != StreamKind::Inbox
    }

    /// What happens to a message that nobody in this process knows: it waits while another instance of
    /// the service may know it.
    pub(super) fn after_unknown(
        &self,
        message: (Arc<str>, u32),
        origin: EntryId,
        failure: &Failure,
    ) -> Next {
        let Some(service) = &self.service else {
            return Next::Bury { reason: failure.to_string() };
        };
        let membership = self.core.membership.as_ref();
        let listing = membership.map_or(Listing::Nobody { lag: Duration::ZERO }, |membership| {
            membership.listing(service, &message.0, message.1)
        });
        let now = Instant::now();
        let age = unknown::age(origin.ms, self.core.clock.log_ms(now));
        let grace = self.core.limits.unknown_grace;
        if self.unknown.lock().is_waited_for(&message, age, listing, grace, now) {
            return Next::Again { counted: false };
        }
        let (name, version) = message;
        let reason =
            format!("{failure}; no instance of {service} that is alive takes {name} {version}");
        Next::Bury { reason }
    }

    /// Whether it reads this stream for this group, or holds something of it.
    pub(crate) fn is_at_work(&self, stream: &StreamName, group: &str) -> bool {
        self.stream == *stream && self.consumer.group == group && !self.is_over()
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
        self.post(Job::Wake);
    }

    /// Whether nothing more will be read and nothing is held.
    pub(super) fn is_over(&self) -> bool {
        self.has_ended_reading() && self.held() == 0
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
        self.registry.len()
    }

    /// The entry is settled, is not ours any more, or is left pending.
    pub(super) fn release(&self, id: EntryId) {
        if self.registry.remove(id) {
            self.drained.notify_waiters();
            if self.has_ended_reading() {
                self.post(Job::Wake);
            }
        }
    }

    /// Lets the reader look for entries that the log holds for us and we do not know of.
    pub(super) fn mark_unlisted(&self) {
        self.unlisted.store(true, Release);
    }

    pub(super) fn take_unlisted(&self) -> bool {
        self.unlisted.swap(false, AcqRel)
    }

    /// Notes that the log may have given us entries of others without our knowing.
    pub(super) fn mark_claim_lost(&self) {
        self.claim_lost.store(true, Release);
        self.mark_unlisted();
    }

    pub(super) fn take_claim_lost(&self) -> bool {
        self.claim_lost.swap(false, AcqRel)
    }

    pub(super) fn queue_suspect(&self, entry: Entry, recorded: Recorded) {
        self.suspects.lock().push_back((entry, recorded));
    }

    pub(super) fn has_suspects(&self) -> bool {
        !self.suspects.lock().is_empty()
    }

    pub(super) fn next_suspect(&self) -> Option<(Entry, Recorded)> {
        self.suspects.lock().pop_front()
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
        held: &Weak<Held>,
        index: u32,
    ) {
        self.asks.lock().insert((asker, correlation), (held.clone(), index));
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
