use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures_util::future::{Either, join, select};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout},
};

use super::{
    held::Held,
    intake::{Incoming, Intake, Offered, Run},
    recover::recover_all,
    source::Source,
};
use crate::{
    bus::{frame::Frame, stats::add},
    error::{Failure, FailureKind},
    log::{Entry, EntryId, LogError, ReadGroupRequest, Recorded},
    message::{Conclusion, RemoteFrame},
};

/// At most so many entries are found by one listing.
const LISTED_MAX: usize = 64;

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
    /// Hands on as many of a run as there is room for at once.
    fn deliver_run(&self, run: &Run<'_>) -> u32;
}

/// Credits: one frame at a time, and the next message of it only when there is room for it. So at
/// most one frame of the stream is held beyond what mailboxes have taken.
pub(super) struct ByCredit(pub(super) Arc<dyn Intake>);

impl Deliver for ByCredit {
    const ENTRIES_MAX: usize = 1;
    const EMPTIES: bool = false;
    const BUDGETED: bool = true;

    fn deliver_run(&self, run: &Run<'_>) -> u32 {
        offer_run(&*self.0, run)
    }

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

/// Offers a run. When the intake panics it has taken none, as far as it said.
fn offer_run(intake: &dyn Intake, run: &Run<'_>) -> u32 {
    let taken = catch_unwind(AssertUnwindSafe(|| intake.offer_run(run)));
    taken.map_or(0, |taken| taken.min(run.count()))
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

/// The one task that takes entries of a source, until it is stopped: what is new, and what was left
/// behind.
pub(super) async fn take_all<D: Deliver>(source: Arc<Source>, deliver: D) {
    join(read_all(&source, &deliver), recover_all(&source, &deliver)).await;
    source.mark_reading_ended();
}

async fn read_all<D: Deliver>(source: &Arc<Source>, deliver: &D) {
    let mut failures = 0_u32;
    while !source.is_stopping() {
        if source.take_unlisted() && !source.list_own(deliver).await {
            source.mark_unlisted();
        }
        match source.read(D::ENTRIES_MAX, source.core.limits.read_block).await {
            Ok(entries) => {
                failures = 0;
                source.take_in_all(entries, deliver).await;
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                add(&source.core.counters.reads_failed, 1);
                tracing::debug!(stream = %source.stream, failures, %error, "a read failed");
                // What the log may have given us by it has to be listed.
                source.mark_unlisted();
                let wait = tokio::time::sleep(source.core.limits.call_backoff.jittered(failures));
                select(pin!(wait), pin!(source.stopped())).await;
            }
        }
    }
    if D::EMPTIES {
        while let Ok(entries) = source.read(D::ENTRIES_MAX, Duration::ZERO).await
            && !entries.is_empty()
        {
            source.take_in_all(entries, deliver).await;
        }
    }
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

    async fn take_in_all<D: Deliver>(self: &Arc<Self>, mut entries: Vec<Entry>, deliver: &D) {
        // At once, so that those which wait for the first ones are touched meanwhile.
        entries.retain(|entry| self.registry.admit(entry.id));
        for entry in entries {
            let recorded = entry.recorded();
            self.take_in(entry, recorded, deliver).await;
        }
    }

    /// Entries that the log holds for us and we do not know of: it gave them in an answer that we
    /// never saw, or what we believed of them was wrong. False when the log could not say.
    async fn list_own<D: Deliver>(self: &Arc<Self>, deliver: &D) -> bool {
        let Ok(assignment) = self.assignment.acquire().await else { return false };
        let claim_lost = self.take_claim_lost();
        self.registry.begin_listing();
        let listed = self.own_unlisted().await;
        self.registry.end_listing();
        drop(assignment);
        let Some(listed) = listed else {
            if claim_lost {
                self.mark_claim_lost();
            }
            return false;
        };
        for (entry, recorded) in listed {
            // It was claimed, and may be what ended its process.
            if claim_lost || recorded.attempt.is_some() {
                self.queue_suspect(entry, recorded);
            } else {
                self.take_in(entry, recorded, deliver).await;
            }
        }
        true
    }

    /// Lists and admits them.
    async fn own_unlisted(&self) -> Option<Vec<(Entry, Recorded)>> {
        let (log, limit) = (&self.core.log, self.core.limits.call_timeout);
        let entries_max = usize::try_from(self.registry.accounted_for()).unwrap_or(0) + LISTED_MAX;
        let pending = log.pending_of(&self.stream, &self.consumer, entries_max);
        let Ok(Ok(mut entries)) = timeout(limit, pending).await else { return None };
        entries.retain(|entry| self.registry.admit(entry.id));
        let ids: Vec<EntryId> = entries.iter().map(|entry| entry.id).collect();
        if ids.is_empty() {
            return Some(Vec::new());
        }
        let recorded = timeout(limit, log.recorded(&self.stream, &self.owner, &ids)).await;
        let Ok(Ok(recorded)) = recorded else {
            // They will be listed again.
            ids.iter().for_each(|id| self.release(*id));
            return None;
        };
        let mut listed = Vec::new();
        for (entry, recorded) in entries.into_iter().zip(recorded) {
            match recorded {
                Some(recorded) => listed.push((entry, recorded)),
                None => self.release(entry.id),
            }
        }
        Some(listed)
    }

    /// Hands the messages of an admitted entry on, those that are not done.
    async fn take_in<D: Deliver>(self: &Arc<Self>, entry: Entry, recorded: Recorded, deliver: &D) {
        let Some(held) = self.open(entry, recorded, None, D::BUDGETED).await else { return };
        let remote = RemoteFrame::new(held.clone());
        let mut index = 0;
        while index < held.frame.count() {
            let count = if self.is_stopping() { 0 } else { held.run_from(index) };
            let run = Run { remote: &remote, frame: &held.frame, first: index, count };
            let taken = if count > 0 { deliver.deliver_run(&run) } else { 0 };
            add(&self.core.counters.messages_received, u64::from(taken));
            index += taken;
            if taken == 0 {
                if let Some(message) = held.turn(&remote, index, Instant::now()) {
                    deliver.deliver(self, message).await;
                }
                index += 1;
            }
        }
    }

    /// Opens an admitted entry. `None` when there is nothing (left) to be done with it.
    pub(super) async fn open(
        self: &Arc<Self>,
        entry: Entry,
        recorded: Recorded,
        suspect: Option<OwnedSemaphorePermit>,
        is_budgeted: bool,
    ) -> Option<Arc<Held>> {
        let frame = match Frame::parse(entry.frame.clone()) {
            Ok(frame) if frame.letter().is_some_and(|letter| letter.unreadable) => {
                self.bury_entry(&entry, "it could not be read before either".into()).await;
                return None;
            }
            Ok(frame) if !entry.is_counted && self.stream.is_counted() => {
                self.adopt(&entry, frame.count()).await;
                return None;
            }
            Ok(frame) => frame,
            Err(error) => {
                self.bury_entry(&entry, error.to_string()).await;
                return None;
            }
        };
        let budget = if is_budgeted { self.budget(entry.frame.len()).await } else { None };
        let held = Held::new(self.clone(), entry.id, frame, recorded, suspect, budget);
        if !self.registry.open_up(&held) {
            // Somebody took it while it waited.
            return None;
        }
        add(&self.core.counters.frames_received, 1);
        if held.is_over() {
            held.end();
            return None;
        }
        Some(held)
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
