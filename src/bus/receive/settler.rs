use std::{
    sync::{Arc, atomic::Ordering::Release},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::{
    decide::Next,
    held::Held,
    source::{Job, Source},
};
use crate::{
    bus::{
        event::BusEvent,
        frame::{Letter, Moved, letter_of_entry, letter_of_message, moved_message},
        lane::Parcel,
        outbox::Destination,
        outgoing::Body,
        stats::add,
    },
    log::{
        BuryEntryRequest, BuryRequest, Disposal, Entry, LogError, Ownership, PostponeRequest,
        Settle,
    },
};

/// At most so many jobs are taken up at once.
const BATCH: usize = 128;

/// Ended entries are settled together: so many at most, and so long after the first of them. A call for
/// each would be a third of what an ask costs the log.
const SETTLED_TOGETHER_MAX: usize = 64;
const SETTLE_AFTER: Duration = Duration::from_millis(2);

/// Entries whose messages are all done.
#[derive(Default)]
struct Ended {
    entries: Vec<Arc<Held>>,
    due: Option<Instant>,
}

impl Ended {
    fn push(&mut self, held: Arc<Held>) {
        self.entries.push(held);
        self.due.get_or_insert_with(|| Instant::now() + SETTLE_AFTER);
    }

    fn is_due(&self) -> bool {
        self.entries.len() >= SETTLED_TOGETHER_MAX
            || self.due.is_some_and(|due| due <= Instant::now())
    }

    fn take(&mut self) -> Vec<Arc<Held>> {
        self.due = None;
        std::mem::take(&mut self.entries)
    }
}

/// The one task that tells the log what became of a source's entries.
pub(super) async fn settle_all(source: Arc<Source>, mut inbox: mpsc::UnboundedReceiver<Job>) {
    let mut jobs = Vec::with_capacity(BATCH);
    let mut ended = Ended::default();
    while !source.is_over() {
        let more = inbox.recv_many(&mut jobs, BATCH);
        let received = match ended.due {
            Some(due) => timeout_at(due, more).await.ok(),
            None => Some(more.await),
        };
        if received == Some(0) {
            return source.settle(ended.take()).await;
        }
        for job in jobs.drain(..) {
            match job {
                Job::Settle(held) => ended.push(held),
                Job::Move(held, index, next) => source.move_out(&held, index, next).await,
                Job::BuryEntry(entry, reason) => source.bury_entry(&entry, reason).await,
                Job::Record => {
                    // What ends after this may be posted again.
                    source.recording.store(false, Release);
                    source.record_news().await;
                }
                Job::Wake => {}
            }
        }
        if ended.is_due() || source.is_stopping() {
            source.settle(ended.take()).await;
        }
    }
}

impl Source {
    async fn settle(&self, mut ended: Vec<Arc<Held>>) {
        ended.retain(|held| !held.is_disowned());
        if ended.is_empty() {
            return;
        }
        let entries: Vec<Settle> = ended
            .iter()
            .map(|held| Settle {
                id: held.id,
                count: held.frame.count(),
                totals: held.totals(),
                retain: self.retain(),
            })
            .collect();
        let answers = self
            .core
            .persist("settle", || self.core.log.settle(&self.stream, &self.owner, &entries))
            .await;
        let answers = match answers {
            Ok(answers) => answers,
            Err(error) => {
                tracing::error!(stream = %self.stream, %error, "entries can't be settled");
                for held in &ended {
                    self.registry.give_up(held.id);
                    self.disown(held);
                }
                return;
            }
        };
        for (held, answer) in ended.iter().zip(answers) {
            match answer {
                // Not pending: an earlier call did it and its answer was lost.
                Ownership::Done | Ownership::NotPending => {
                    add(&self.core.counters.entries_settled, 1);
                    self.release(held.id);
                }
                Ownership::OwnedByOther => self.disown(held),
                Ownership::Disagrees => self.dispute(held),
            }
        }
    }

    /// The log contradicts what we believe of an entry. That is dropped, and what the log has is read
    /// anew, once: an entry that is disputed again holds another number of messages than the log
    /// counts, or the like, and nothing else would ever end it.
    pub(super) fn dispute(&self, held: &Held) {
        self.disown(held);
        if self.registry.dispute(held.id) {
            return self.mark_unlisted();
        }
        if self.registry.admit(held.id) {
            let entry = Entry::new(held.id, held.frame.bytes().clone());
            let reason = "the log's account of it contradicts what is in it".to_owned();
            self.post(Job::BuryEntry(entry, reason));
        }
    }

    async fn move_out(&self, held: &Arc<Held>, index: u32, next: Next) {
        if held.is_disowned() {
            return;
        }
        let moved = match next {
            Next::Again { counted } => self.again(held, index, counted).await,
            Next::Bury { reason } => self.bury(held, index, reason).await,
            Next::Handled | Next::Expired | Next::Cancelled => return,
        };
        match moved {
            Ok((Ownership::Done, disposal)) => held.finish(index, disposal),
            Ok((Ownership::Disagrees, _)) => self.dispute(held),
            Ok(_) => self.disown(held),
            Err(error) => {
                // It stays pending, for us: it is found unlisted after a while.
                tracing::error!(stream = %self.stream, %error, "a message can't be moved");
                self.disown(held);
            }
        }
    }

    async fn again(
        &self,
        held: &Held,
        index: u32,
        counted: bool,
    ) -> Result<(Ownership, Disposal), LogError> {
        let Some((message, body)) = held.frame.message(index) else { return Err(past_the_end()) };
        let (attempt, origin) = held.attempt(index, &message);
        let wait = self.wait_before(attempt, counted);
        let moved = Moved { attempt: attempt.saturating_add(u32::from(counted)), origin };
        let due_ms = self.core.clock.log_ms(Instant::now()).saturating_add(millis(wait));
        if let Some(retries) = &self.retries {
            let mut message = message;
            message.moved = Some(moved);
            message.target = message.target.or(self.retry_target);
            let id = self.core.delayed_id();
            let delayed = Some((id, due_ms));
            let parcel =
                Parcel { message, body: Body::Bytes(body), delayed, dedup: None, ask: None };
            return self.again_elsewhere(retries, parcel).await;
        }
        let frame = moved_message(&held.frame, index, moved).ok_or_else(past_the_end)?;
        let request = PostponeRequest { mark: held.mark(index), frame, due_ms };
        let log = &self.core.log;
        let moved = self
            .core
            .persist("postpone", || log.postpone(&self.stream, &self.owner, request.clone()))
            .await?;
        self.delayed.notify_one();
        Ok((moved, Disposal::Delayed))
    }

    /// A topic has no delay set: what is put in there would go to all groups. Its messages wait in
    /// the stream of their own subscriber.
    async fn again_elsewhere(
        &self,
        retries: &Destination,
        mut parcel: Parcel<'_, '_>,
    ) -> Result<(Ownership, Disposal), LogError> {
        let placed = self.core.place(retries, &mut parcel).await;
        let stored = match placed {
            Ok((placed, _)) => placed.receipt.stored().await,
            Err(failure) => Err(failure),
        };
        match stored {
            Ok(()) => Ok((Ownership::Done, Disposal::Handled)),
            Err(failure) => Err(LogError::Refused(failure.to_string())),
        }
    }

    async fn bury(
        &self,
        held: &Held,
        index: u32,
        reason: String,
    ) -> Result<(Ownership, Disposal), LogError> {
        let Some((message, _)) = held.frame.message(index) else { return Err(past_the_end()) };
        let (attempts, origin) = held.attempt(index, &message);
        let last_ms = self.core.clock.log_ms(Instant::now());
        let letter = Letter {
            reason: reason.clone(),
            attempts,
            origin,
            index,
            first_ms: origin.ms,
            last_ms,
            inbox: self.inbox,
            unreadable: false,
        };
        let letter = letter_of_message(&held.frame, index, &letter).ok_or_else(past_the_end)?;
        let mark = held.mark(index);
        let request = BuryRequest { mark, letter, into: self.letters.clone() };
        let log = &self.core.log;
        let moved = self
            .core
            .persist("bury", || log.bury(&self.stream, &self.owner, request.clone()))
            .await?;
        if moved == Ownership::Done {
            self.core.events.tell(BusEvent::Buried {
                stream: self.stream.clone(),
                entry: held.id,
                message: message.name.unwrap_or_default().to_owned(),
                reason,
            });
        }
        Ok((moved, Disposal::Dead))
    }

    /// An entry that can't be read goes whole to the dead letters.
    pub(super) async fn bury_entry(&self, entry: &Entry, reason: String) {
        add(&self.core.counters.entries_unreadable, 1);
        let letter = Letter {
            reason: reason.clone(),
            attempts: 0,
            origin: entry.id,
            index: 0,
            first_ms: entry.id.ms,
            last_ms: self.core.clock.log_ms(Instant::now()),
            inbox: self.inbox,
            unreadable: true,
        };
        let letter = letter_of_entry(&entry.frame, &letter);
        let request = BuryEntryRequest { id: entry.id, letter, into: self.letters.clone() };
        let log = &self.core.log;
        let buried = self
            .core
            .persist("bury", || log.bury_entry(&self.stream, &self.owner, request.clone()))
            .await;
        match buried {
            Ok(_) => self.release(entry.id),
            Err(error) => {
                tracing::error!(stream = %self.stream, %error, "an entry can't be buried");
                self.registry.give_up(entry.id);
                return self.release(entry.id);
            }
        }
        let (stream, entry) = (self.stream.clone(), entry.id);
        self.core.events.tell(BusEvent::Unreadable { stream, entry, reason });
    }

    /// An entry that others than us have put there comes again, counted.
    pub(super) async fn adopt(&self, entry: &Entry, count: u32) {
        let log = &self.core.log;
        let adopted = self
            .core
            .persist("adopt", || log.adopt(&self.stream, &self.owner, entry.id, count))
            .await;
        if let Err(error) = adopted {
            tracing::error!(stream = %self.stream, %error, "an entry can't be adopted");
            self.registry.give_up(entry.id);
        }
        self.release(entry.id);
    }

    fn wait_before(&self, attempt: u32, counted: bool) -> Duration {
        let backoff = self.core.limits.retry_backoff;
        if counted {
            return backoff.jittered(attempt);
        }
        // Nobody had room or was there: no attempt to count, and no reason to hurry.
        backoff.base.saturating_mul(5) + backoff.base.mul_f64(10.0 * fastrand::f64())
    }
}

fn past_the_end() -> LogError {
    LogError::Refused("there is no such message in the entry".to_owned())
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
