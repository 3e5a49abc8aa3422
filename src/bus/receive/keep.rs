//! Keeping what is held: the log hears of it again and again, so that nobody takes it for lost.

use std::{
    sync::{Arc, atomic::Ordering::AcqRel},
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::{
    held::Held,
    registry::OnHand,
    source::{Job, Source},
};
use crate::{
    bus::stats::add,
    log::{EntryId, Ownership, Progress},
};

/// How often it is looked at what the log should hear.
pub(super) const BEAT: Duration = Duration::from_secs(1);
/// At most so many entries are named in one call.
const BATCH: usize = 512;

/// The one task that touches what a source holds, whatever else fails or waits, until nothing more
/// will be held.
pub(super) async fn keep_held(source: Arc<Source>) {
    while !source.is_over() {
        // Sources and processes should not all do it in the same moment.
        tokio::time::sleep(BEAT.mul_f64(0.8 + 0.4 * fastrand::f64())).await;
        source.touch_silent().await;
        source.post_news();
    }
}

impl Source {
    /// Touches what the log has not heard of for long.
    async fn touch_silent(&self) {
        let now = Instant::now();
        // The beat that comes after this one must not be too late.
        let age = self.core.limits.touch_every.saturating_sub(BEAT);
        let silent: Vec<EntryId> = self
            .registry
            .on_hand()
            .into_iter()
            .filter(|(_, entry)| match entry {
                OnHand::Waiting(touched) => now.saturating_duration_since(*touched) >= age,
                OnHand::Open(held) => held.upgrade().is_some_and(|held| held.is_silent(age, now)),
            })
            .map(|(id, _)| id)
            .collect();
        for ids in silent.chunks(BATCH) {
            let touch = self.core.log.touch(&self.stream, &self.consumer, ids);
            match timeout(self.core.limits.call_timeout, touch).await {
                Ok(Ok(answers)) => {
                    self.core.contact.heard(Instant::now());
                    for (id, answer) in ids.iter().zip(answers) {
                        self.hear_of_touch(*id, answer, now);
                    }
                }
                // The next beat tries again.
                Ok(Err(error)) => {
                    add(&self.core.counters.touches_failed, 1);
                    tracing::debug!(stream = %self.stream, %error, "what is held was not touched");
                }
                Err(_) => {
                    add(&self.core.counters.touches_failed, 1);
                    tracing::debug!(stream = %self.stream, "what is held was not touched in time");
                }
            }
        }
    }

    fn hear_of_touch(&self, id: EntryId, answer: Ownership, asked: Instant) {
        let held = self.registry.find(id);
        match (answer, held) {
            (Ownership::Done, Some(held)) => held.account.lock().mark_told(None, asked),
            (Ownership::Done, None) => self.registry.mark_touched(id, asked),
            // Not pending any more because it was settled meanwhile: the settling says so itself.
            (_, Some(held)) if held.is_over() => {}
            (_, Some(held)) => self.disown(&held),
            (_, None) => self.release(id),
        }
    }

    /// Lets the settle task tell the log what is done: it alone knows which messages are being moved.
    fn post_news(&self) {
        let is_news = self.news(Instant::now()).next().is_some();
        if is_news && !self.recording.swap(true, AcqRel) {
            self.post(Job::Record);
        }
    }

    /// Entries of which the log does not know what has been done, for a beat or longer. Suspects tell
    /// it themselves, with each attempt.
    fn news(&self, now: Instant) -> impl Iterator<Item = Arc<Held>> {
        let open = self.registry.on_hand().into_iter().filter_map(|(_, entry)| match entry {
            OnHand::Open(held) => held.upgrade(),
            OnHand::Waiting(_) => None,
        });
        open.filter(move |held| {
            !held.is_suspect() && !held.is_disowned() && held.account.lock().has_news(BEAT, now)
        })
    }

    /// Tells the log what has been done of entries that are held for long. A call that fails is made
    /// again, with what is known then, at the next beat.
    pub(super) async fn record_news(&self) {
        let now = Instant::now();
        let news: Vec<_> = self.news(now).collect();
        for held in news.chunks(BATCH) {
            let steps: Vec<Progress> =
                held.iter().map(|held| held.account.lock().progress(held.id)).collect();
            let progress = self.core.log.progress(&self.stream, &self.owner, &steps);
            match timeout(self.core.limits.call_timeout, progress).await {
                Ok(Ok(answers)) => {
                    for ((held, step), answer) in held.iter().zip(&steps).zip(answers) {
                        self.hear_of_progress(held, step, answer, now);
                    }
                }
                Ok(Err(error)) => {
                    tracing::debug!(stream = %self.stream, %error, "progress was not recorded");
                }
                Err(_) => {
                    tracing::debug!(stream = %self.stream, "progress was not recorded in time");
                }
            }
        }
    }

    /// What an answer to a progress means. True when the entry is still ours as we believe.
    pub(super) fn hear_of_progress(
        &self,
        held: &Held,
        step: &Progress,
        answer: Ownership,
        asked: Instant,
    ) -> bool {
        match answer {
            Ownership::Done => held.account.lock().mark_told(Some(step.done.count()), asked),
            Ownership::NotPending | Ownership::OwnedByOther => self.disown(held),
            Ownership::Disagrees => self.dispute(held),
        }
        answer == Ownership::Done
    }
}

impl Held {
    fn is_silent(&self, age: Duration, now: Instant) -> bool {
        // Of what is over too: it is ours until it is settled, and the settling may have to wait.
        !self.is_disowned() && self.account.lock().is_silent(age, now)
    }
}
