//! What was left behind: entries of processes that are gone, and own ones that were never seen.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, select};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{
    account::{Alone, next_attempt},
    decide::Next,
    held::Held,
    reader::Deliver,
    source::Source,
};
use crate::{
    bus::{event::BusEvent, stats::add},
    id::Incarnation,
    log::{Attempt, Claim, ClaimRequest, ClaimedEntry, Entry, LogError, Recorded},
    message::RemoteFrame,
};

/// How often it is looked at what others left behind, on average.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The log has more entries for us than we know of: a read may be on its way. After so many looks
/// in a row it is not.
const LOOKS_BEFORE_LISTING: u32 = 5;

/// What a look at the stream's group showed.
#[derive(Debug, Default)]
struct Survey {
    /// Consumers with pending entries that the directory does not know (any more).
    gone: Vec<String>,
    /// Whether any consumer but us has pending entries.
    others_have_pending: bool,
    /// Whether the log holds entries for us that we do not know of.
    has_unknown: bool,
}

/// Looks again and again, until the source is stopped.
pub(super) async fn recover_all<D: Deliver>(source: &Arc<Source>, deliver: &D) {
    let (mut failures, mut unknown) = (0_u32, 0_u32);
    while !source.is_stopping() {
        let wait = match failures {
            // Every process does this: they should not all do it in the same moment.
            0 => LOOK_EVERY.mul_f64(0.5 + fastrand::f64()),
            _ => source.core.limits.call_backoff.jittered(failures),
        };
        select(pin!(tokio::time::sleep(wait)), pin!(source.stopped())).await;
        match source.look(&mut unknown, deliver).await {
            Ok(()) => failures = 0,
            Err(error) => {
                failures = failures.saturating_add(1);
                add(&source.core.counters.recoveries_failed, 1);
                tracing::debug!(stream = %source.stream, failures, %error, "a recovery failed");
            }
        }
    }
    // Nobody gives them out any more: they stay pending, and whoever claims them goes on.
    while let Some((entry, _)) = source.next_suspect() {
        source.release(entry.id);
    }
}

impl Source {
    async fn look<D: Deliver>(
        self: &Arc<Self>,
        unknown: &mut u32,
        deliver: &D,
    ) -> Result<(), LogError> {
        // Without suspects of its own a source does not wait for those of another.
        while self.has_suspects()
            && let Some(right) = self.right_to_suspects().await
            && let Some((entry, recorded)) = self.next_suspect()
        {
            self.try_one_by_one(entry, recorded, right, deliver).await;
        }
        if self.is_stopping() {
            return Ok(());
        }
        let survey = self.survey().await?;
        *unknown = if survey.has_unknown { *unknown + 1 } else { 0 };
        if *unknown >= LOOKS_BEFORE_LISTING {
            *unknown = 0;
            self.mark_unlisted();
        }
        if !self.is_shared || !survey.others_have_pending {
            return Ok(());
        }
        while self.core.contact.is_steady(Instant::now())
            && let Some(right) = self.right_to_suspects().await
            && let Some(claimed) = self.claim_one(&survey.gone).await?
        {
            self.try_one_by_one(claimed.entry, claimed.recorded, right, deliver).await;
        }
        Ok(())
    }

    /// The right to try messages that may end the process. There is one in a process: with two at a
    /// time an innocent one would be charged with what the other does. `None` when the source stops.
    async fn right_to_suspects(&self) -> Option<OwnedSemaphorePermit> {
        if self.is_stopping() {
            return None;
        }
        let right = self.core.suspects.clone().acquire_owned();
        match select(pin!(right), pin!(self.stopped())).await {
            Either::Left((right, _)) => right.ok(),
            Either::Right(_) => None,
        }
    }

    async fn survey(&self) -> Result<Survey, LogError> {
        let known = self.registry.accounted_for();
        let Some(info) = self.core.call("a look", self.core.log.info(&self.stream)).await? else {
            return Ok(Survey::default());
        };
        let group = info.groups.into_iter().find(|group| group.name == self.consumer.group);
        let members = self.core.members();
        let mut survey = Survey::default();
        for (name, pending) in group.map(|group| group.consumers).unwrap_or_default() {
            if name == self.consumer.name {
                survey.has_unknown = pending > known;
            } else if pending > 0 {
                survey.others_have_pending = true;
                let is_gone = |incarnation: Incarnation| {
                    members.as_ref().is_some_and(|members| !members.contains(incarnation))
                };
                if name.parse().is_ok_and(is_gone) {
                    survey.gone.push(name);
                }
            }
        }
        Ok(survey)
    }

    /// Takes over one entry of a consumer that is gone, or that was silent for very long.
    async fn claim_one(&self, gone: &[String]) -> Result<Option<ClaimedEntry>, LogError> {
        let limits = &self.core.limits;
        if !gone.is_empty() {
            let claimed = self.claim(Some(gone.to_vec()), limits.claim_idle_gone).await?;
            if claimed.is_some() {
                return Ok(claimed);
            }
        }
        self.claim(None, limits.claim_idle).await
    }

    async fn claim(
        &self,
        from: Option<Vec<String>>,
        idle: Duration,
    ) -> Result<Option<ClaimedEntry>, LogError> {
        let Ok(_assignment) = self.assignment.acquire().await else { return Ok(None) };
        let request = ClaimRequest { consumer: self.consumer.clone(), from, idle, limit: 1 };
        let claim = self.core.call("a claim", self.core.log.claim(&self.stream, request)).await;
        let claim = claim.inspect_err(|_| self.mark_claim_lost())?;
        let Claim::Taken { entries, gone } = claim else {
            // The log does not know yet who is idle.
            return Ok(None);
        };
        if !gone.is_empty() {
            let entries = gone.len();
            tracing::debug!(stream = %self.stream, entries, "pending entries had been trimmed");
        }
        let Some(claimed) = entries.into_iter().next() else { return Ok(None) };
        let entry = claimed.entry.id;
        if let Some(held) = self.registry.find(entry) {
            // It was taken from us and comes back: what was done of it meanwhile is recorded.
            self.disown(&held);
        }
        if !self.registry.admit(entry) {
            // It waits here already.
            return Ok(None);
        }
        add(&self.core.counters.entries_claimed, 1);
        let (stream, from) = (self.stream.clone(), claimed.previous.clone());
        self.core.events.tell(BusEvent::Claimed { stream, entry, from });
        Ok(Some(claimed))
    }

    /// Goes on with an admitted entry that was delivered before: after what is recorded of it, one
    /// message at a time, each try recorded before it begins.
    async fn try_one_by_one<D: Deliver>(
        self: &Arc<Self>,
        entry: Entry,
        recorded: Recorded,
        right: OwnedSemaphorePermit,
        deliver: &D,
    ) {
        let tried = recorded.attempt;
        let Some(held) = self.open(entry, recorded, Some(right), D::BUDGETED).await else { return };
        let remote = RemoteFrame::new(held.clone());
        for index in 0..held.frame.count() {
            if held.before.contains(index) {
                continue;
            }
            match self.begin_alone(&held, index, tried).await {
                Begun::Yes => {
                    if let Some(message) = held.turn(&remote, index, Instant::now()) {
                        deliver.deliver(self, message).await;
                    }
                }
                Begun::Buried => {}
                Begun::Lost => return,
            }
            // When the source stops, the rest is turned away without waiting.
            select(pin!(held.concluded(index)), pin!(self.stopped())).await;
            if held.is_disowned() {
                return;
            }
        }
    }

    async fn begin_alone(&self, held: &Held, index: u32, tried: Option<Attempt>) -> Begun {
        let Some((message, _)) = held.frame.message(index) else { return Begun::Lost };
        let (base, max) = (held.attempt(index, &message).0, self.core.limits.attempts_max);
        match next_attempt(tried, index, base, max) {
            Alone::GiveUp(number) => {
                held.account.lock().begin(Attempt { index, number });
                let reason =
                    format!("its process ended while it was handled, attempt {number} of {max}");
                held.move_out(index, Next::Bury { reason });
                Begun::Buried
            }
            Alone::Try(number) => {
                held.account.lock().begin(Attempt { index, number });
                self.record_attempt(held).await
            }
        }
    }

    /// Records the try that begins now, with all that is done so far.
    async fn record_attempt(&self, held: &Held) -> Begun {
        let step = held.account.lock().progress(held.id);
        let steps = [step];
        let asked = Instant::now();
        let record = self
            .core
            .persist("progress", || self.core.log.progress(&self.stream, &self.owner, &steps));
        let answer = match select(pin!(record), pin!(self.stopped())).await {
            Either::Left((answer, _)) => answer,
            // No handler will run: the message is turned away.
            Either::Right(_) => return Begun::Yes,
        };
        match answer.map(|answers| answers.first().copied()) {
            Ok(Some(answer)) if self.hear_of_progress(held, &steps[0], answer, asked) => Begun::Yes,
            Ok(Some(_)) => Begun::Lost,
            Ok(None) => {
                tracing::error!(stream = %self.stream, "a progress had no answer for its entry");
                self.disown(held);
                Begun::Lost
            }
            Err(error) => {
                // It stays pending, for us: it is found unlisted after a while.
                tracing::error!(stream = %self.stream, %error, "an attempt can't be recorded");
                self.disown(held);
                Begun::Lost
            }
        }
    }
}

/// Whether a message may be given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    Yes,
    /// It goes to the dead letters instead.
    Buried,
    /// The entry is not ours any more.
    Lost,
}
