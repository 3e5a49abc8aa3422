use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures_util::future::{Either, select};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout},
};

use super::{
    held::Held,
    intake::{Incoming, Intake, Offered},
    source::Source,
};
use crate::{
    bus::{frame::Frame, stats::add},
    error::{Failure, FailureKind},
    log::{Entry, EntryId, LogError, ReadGroupRequest, Recorded},
    message::Conclusion,
};

/// How a source hands messages on.
pub(super) trait Deliver: Send + Sync + 'static {
    /// At most so many entries are read at once.
    const ENTRIES_MAX: usize;
    /// Whether what nobody will read any more is turned away when reading ends.
    const EMPTIES: bool;
    /// Whether what is held counts against the budget of raw bytes.
    const BUDGETED: bool;
    /// Hands one message on, or waits until it can be.
    fn deliver(&self, source: &Arc<Source>, message: Incoming) -> impl Future<Output = ()> + Send;
}

/// Credits: one frame at a time, and the next message of it only when there is room for it. So at
/// most one frame of the stream is held beyond what mailboxes have taken.
pub(super) struct ByCredit(pub(super) Arc<dyn Intake>);

impl Deliver for ByCredit {
    const ENTRIES_MAX: usize = 1;
    const EMPTIES: bool = false;
    const BUDGETED: bool = true;

    async fn deliver(&self, source: &Arc<Source>, mut message: Incoming) {
        loop {
            if source.is_stopping() {
                return message.delivery.conclude(Conclusion::NotTaken(leaving()));
            }
            if let Some(late) = overdue(&message) {
                return message.delivery.conclude(late);
            }
            match offer(&*self.0, message) {
                Offered::Taken => return,
                Offered::Refused { message, failure } => {
                    return message.delivery.conclude(Conclusion::NotTaken(failure));
                }
                Offered::Full { message: back, room } => {
                    select(room, pin!(source.stopped())).await;
                    // Room that is there at once, again and again, must not starve the other tasks.
                    tokio::task::yield_now().await;
                    message = *back;
                }
            }
        }
    }
}

/// Offers a message. When the intake panics (as a user's `Deserialize` may), the reader lives: the
/// message was concluded as it was dropped by the panic.
pub(super) fn offer(intake: &dyn Intake, message: Incoming) -> Offered {
    let offered = catch_unwind(AssertUnwindSafe(|| intake.offer(message)));
    offered.unwrap_or_else(|_| {
        tracing::error!("an intake panicked; its message counts as one whose handler did");
        Offered::Taken
    })
}

pub(super) fn leaving() -> Failure {
    FailureKind::Stopped { actor: "this instance".to_owned() }.into()
}

/// The conclusion of a message that nobody needs any more.
pub(super) fn overdue(message: &Incoming) -> Option<Conclusion> {
    if message.delivery.is_cancelled() {
        return Some(Conclusion::Cancelled);
    }
    let late = message.deadline.is_some_and(|deadline| deadline <= Instant::now());
    late.then(|| {
        let after = Duration::ZERO;
        Conclusion::NotTaken(FailureKind::DeadlinePassed { after }.into())
    })
}

/// The one task that reads a source, until it is stopped.
pub(super) async fn read_all<D: Deliver>(source: Arc<Source>, deliver: D) {
    let mut failures = 0_u32;
    // A read failed, and what the log may have given us by it has not been listed yet.
    let mut unlisted = false;
    while !source.is_stopping() {
        if unlisted {
            unlisted = !source.recover(&deliver).await;
        }
        match source.read(D::ENTRIES_MAX, source.core.limits.read_block).await {
            Ok(entries) => {
                failures = 0;
                for entry in entries {
                    source.take_in(entry, Recorded::default(), &deliver).await;
                }
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                add(&source.core.counters.reads_failed, 1);
                tracing::debug!(stream = %source.stream, failures, %error, "a read failed");
                let wait = tokio::time::sleep(source.core.limits.call_backoff.jittered(failures));
                select(pin!(wait), pin!(source.stopped())).await;
                unlisted = true;
            }
        }
    }
    if D::EMPTIES {
        while let Ok(entries) = source.read(D::ENTRIES_MAX, Duration::ZERO).await
            && !entries.is_empty()
        {
            for entry in entries {
                source.take_in(entry, Recorded::default(), &deliver).await;
            }
        }
    }
    source.mark_reading_ended();
}

impl Source {
    async fn read(&self, entries_max: usize, block: Duration) -> Result<Vec<Entry>, LogError> {
        let limits = &self.core.limits;
        let request = ReadGroupRequest {
            streams: vec![self.stream.clone()],
            consumer: self.consumer.clone(),
            count: entries_max,
            block,
        };
        let read = timeout(block + limits.call_timeout, self.core.log.read_group(request));
        let batches = read.await.unwrap_or_else(|_| {
            let what = "a read had no answer in time".to_owned();
            Err(LogError::Unavailable { what, source: None })
        })?;
        Ok(batches.into_iter().flat_map(|batch| batch.entries).collect())
    }

    /// After a read that failed: entries that the log gave to us in an answer that we never saw.
    /// False when the log could not say.
    async fn recover<D: Deliver>(self: &Arc<Self>, deliver: &D) -> bool {
        self.begin_listing();
        let limit = self.held() + 64;
        let pending = self.core.log.pending_of(&self.stream, &self.consumer, limit);
        let listed = timeout(self.core.limits.call_timeout, pending).await;
        let Ok(Ok(mut entries)) = listed else {
            self.end_listing();
            return false;
        };
        entries.retain(|entry| self.is_new(entry.id));
        let ids: Vec<EntryId> = entries.iter().map(|entry| entry.id).collect();
        let recorded = self
            .core
            .persist("recorded", || self.core.log.recorded(&self.stream, &self.owner, &ids))
            .await
            .unwrap_or_default();
        for (entry, recorded) in entries.into_iter().zip(recorded) {
            if let Some(recorded) = recorded {
                self.take_in(entry, recorded, deliver).await;
            }
        }
        self.end_listing();
        true
    }

    /// Hands the messages of an entry on, those that are not done.
    pub(super) async fn take_in<D: Deliver>(
        self: &Arc<Self>,
        entry: Entry,
        recorded: Recorded,
        deliver: &D,
    ) {
        let frame = match Frame::parse(entry.frame.clone()) {
            Ok(frame) if frame.letter().is_some_and(|letter| letter.unreadable) => {
                return self.bury_entry(&entry, "it could not be read before either".into()).await;
            }
            Ok(frame) => frame,
            Err(error) => return self.bury_entry(&entry, error.to_string()).await,
        };
        let budget = if D::BUDGETED { self.budget(entry.frame.len()).await } else { None };
        if !self.admit(entry.id) {
            return;
        }
        add(&self.core.counters.frames_received, 1);
        let count = frame.count();
        let held = Held::new(self.clone(), entry.id, frame, recorded, budget);
        if held.is_over() {
            return held.end();
        }
        for index in 0..count {
            if let Some(message) = held.turn(index, Instant::now()) {
                deliver.deliver(self, message).await;
            }
        }
    }

    /// A share of the bytes that may be held; none when it is not to be had because we stop.
    async fn budget(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let max = self.core.limits.held_bytes_max;
        let share = u32::try_from(bytes.min(max)).unwrap_or(u32::MAX);
        let permit = self.core.budget.clone().acquire_many_owned(share);
        match select(pin!(permit), pin!(self.stopped())).await {
            Either::Left((permit, _)) => permit.ok(),
            Either::Right(_) => None,
        }
    }
}
