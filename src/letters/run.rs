//! What a replay does, step by step.

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, select};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    LettersError, ReplayError, ReplayProgress, ReplayReport, Selection, Skip, SkipReason,
    pace::Pace,
    plan::{Part, Plan},
    progress::SKIPS_NAMED_MAX,
    replay::OnProgress,
    scan::{PATIENCE, Shelf},
};
use crate::{
    bus::{BusEvent, add, keys},
    id::Name,
    log::{EntryId, Place, ReplayFrame, ReplayRequest, ReplayStop, StreamName},
};

/// How often it is looked whether a full stream has room again.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What a replay is made of.
pub(super) struct Work {
    pub(super) shelf: Shelf,
    pub(super) selection: Selection,
    pub(super) plan: Plan,
    pub(super) rate: u32,
    pub(super) name: String,
    pub(super) on_progress: Option<OnProgress>,
}

pub(super) fn report_of(name: &str, progress: ReplayProgress) -> ReplayReport {
    ReplayReport {
        name: name.to_owned(),
        total: progress.total,
        replayed: progress.replayed,
        skipped: progress.skipped,
        skips: Vec::new(),
        last: None,
        was_stopped: false,
        elapsed: progress.elapsed,
    }
}

/// A replay at work.
pub(super) struct Run {
    work: Work,
    stopped: watch::Receiver<bool>,
    progress: watch::Sender<ReplayProgress>,
    begun: Instant,
    report: ReplayReport,
}

/// Frames that go in one step, all into one stream.
#[derive(Default)]
struct Batch {
    into: Option<StreamName>,
    frames: Vec<ReplayFrame>,
    messages: u64,
}

/// What goes in one step.
struct Step {
    request: ReplayRequest,
    messages: u64,
    last: EntryId,
}

/// How a step ended.
enum Ended {
    /// All that was there went.
    Sure,
    /// All that was there went, some of it perhaps by a call that had no answer.
    Unsure,
    /// The stream that the rest was for is gone.
    Gone,
    /// It was told to stop.
    Stopped,
}

impl Run {
    pub(super) fn new(
        work: Work,
        stopped: watch::Receiver<bool>,
        progress: watch::Sender<ReplayProgress>,
    ) -> Self {
        let report = report_of(&work.name, ReplayProgress::default());
        Self { work, stopped, progress, begun: Instant::now(), report }
    }

    /// Goes through what is meant.
    pub(super) async fn complete(mut self) -> Result<ReplayReport, ReplayError> {
        let ended = self.run().await;
        self.tell(false);
        let replayed = self.report.replayed;
        if replayed > 0 {
            let stream = self.work.shelf.stream.clone();
            self.work.shelf.core.events.tell(BusEvent::Replayed { stream, messages: replayed });
        }
        match ended {
            Ok(()) => Ok(self.report),
            Err(source) => Err(ReplayError { report: Box::new(self.report), source }),
        }
    }

    async fn run(&mut self) -> Result<(), LettersError> {
        let mut pace = Pace::new(self.work.rate)?;
        self.work.selection.check()?;
        if let Err(error) = Name::new(&self.work.name) {
            let reason = error.to_string();
            return Err(LettersError::Bound { setting: "the name of a replay", reason });
        }
        let Some(last) = self.survey().await? else { return Ok(()) };
        self.begun = Instant::now();
        self.tell(false);
        let shelf = self.work.shelf.clone();
        let selection = self.work.selection.clone().to_id(last);
        let mut scan = shelf.scan(&selection);
        let mut batch = Batch::default();
        loop {
            let entries = scan.next().await?;
            if entries.is_empty() {
                break;
            }
            for entry in entries {
                for part in self.work.plan.parts(&shelf, &selection, &entry) {
                    if !self.take(part, &mut batch, &mut pace).await? {
                        return Ok(());
                    }
                }
            }
        }
        self.flush(&mut batch, &mut pace).await.map(drop)
    }

    /// Counts what is meant, and fixes what the last of it is.
    async fn survey(&mut self) -> Result<Option<EntryId>, LettersError> {
        let (shelf, selection) = (self.work.shelf.clone(), self.work.selection.clone());
        let mut scan = shelf.scan(&selection);
        let mut last = None;
        loop {
            let entries = scan.next().await?;
            let Some(newest) = entries.last() else { return Ok(last) };
            last = Some(newest.id);
            let counts = entries.iter().map(|entry| self.work.plan.count(&selection, entry));
            let count: u64 = counts.sum();
            self.report.total += count;
            if *self.stopped.borrow() {
                self.report.was_stopped = true;
                return Ok(None);
            }
        }
    }

    /// Puts a part behind what waits for its step. False when it was told to stop.
    async fn take(
        &mut self,
        part: Part,
        batch: &mut Batch,
        pace: &mut Pace,
    ) -> Result<bool, LettersError> {
        let (into, frame) = match part {
            Part::Goes(into, frame) => (into, frame),
            Part::Stays(skip) => {
                // In order: what comes before it goes before it is reported.
                let goes_on = self.flush(batch, pace).await?;
                if goes_on {
                    self.skip(skip);
                }
                return Ok(goes_on);
            }
        };
        let messages = u64::from(frame.count);
        let fits = batch.into == into && batch.messages + messages <= pace.step();
        if !batch.frames.is_empty() && !fits && !self.flush(batch, pace).await? {
            return Ok(false);
        }
        batch.into = into;
        batch.messages += messages;
        batch.frames.push(frame);
        Ok(true)
    }

    /// Replays what waits, at its time. False when it was told to stop before that.
    async fn flush(&mut self, batch: &mut Batch, pace: &mut Pace) -> Result<bool, LettersError> {
        let Batch { into, frames, messages } = std::mem::take(batch);
        let Some(last) = frames.last().map(|frame| frame.id) else { return Ok(true) };
        let at = pace.admit(messages, Instant::now());
        if !self.wait(at).await {
            return Ok(false);
        }
        let request = self.request(into, frames);
        let step = Step { request, messages, last };
        let (moved, outcome) = self.replay(&step).await;
        self.count(moved, last);
        if step.request.run.is_some() && outcome.is_ok() {
            // What a run of this name had put there before took no time of ours.
            pace.give_back(messages.saturating_sub(moved));
        }
        let goes_on = outcome.map(|ended| self.conclude(&step, moved, ended));
        self.tell(false);
        goes_on
    }

    /// Makes the calls of one step. How many messages went, and how it ended.
    async fn replay(&mut self, step: &Step) -> (u64, Result<Ended, LettersError>) {
        let (mut moved, mut calls) = (0, 0_u32);
        loop {
            let shelf = &self.work.shelf;
            if shelf.core.is_ended() {
                return (moved, Err(LettersError::Stopped));
            }
            let replay = || {
                calls += 1;
                shelf.core.log.replay(&shelf.stream, step.request.clone())
            };
            let replayed = match shelf.core.patiently("a replay", PATIENCE, replay).await {
                Ok(replayed) => replayed,
                Err(error) => return (moved, Err(shelf.failed("replay from", error))),
            };
            moved += replayed.messages;
            match replayed.stop {
                // What a call without an answer has moved the next one did not find.
                None if calls > 1 => return (moved, Ok(Ended::Unsure)),
                None => return (moved, Ok(Ended::Sure)),
                Some(ReplayStop::Gone) => return (moved, Ok(Ended::Gone)),
                Some(ReplayStop::Full) => {
                    calls = 0;
                    self.tell(true);
                    if !self.wait(Instant::now() + LOOK_EVERY).await {
                        return (moved, Ok(Ended::Stopped));
                    }
                }
            }
        }
    }

    /// Accounts for what did not go. False when it was told to stop.
    fn conclude(&mut self, step: &Step, moved: u64, ended: Ended) -> bool {
        let left = step.messages.saturating_sub(moved);
        match ended {
            Ended::Stopped => return false,
            Ended::Gone => {
                let went = usize::try_from(moved).unwrap_or(usize::MAX);
                for frame in step.request.frames.iter().skip(went) {
                    self.skip(Skip { id: frame.id, reason: SkipReason::ProcessGone });
                }
            }
            Ended::Sure if step.request.run.is_none() => {
                for _ in 0..left {
                    self.skip(Skip { id: step.last, reason: SkipReason::Taken });
                }
            }
            Ended::Sure | Ended::Unsure => self.count(left, step.last),
        }
        true
    }

    fn request(&self, into: Option<StreamName>, frames: Vec<ReplayFrame>) -> ReplayRequest {
        let Work { shelf, name, .. } = &self.work;
        let stream = into.as_ref().unwrap_or(&shelf.stream);
        let core = &shelf.core;
        let backlog_max = keys::service_of(&core.cluster, stream).and_then(|service| {
            let defined = core.definition(&service).map(|definition| definition.backlog_max);
            defined.or(core.limits.backlog_max)
        });
        ReplayRequest {
            from: shelf.place,
            first: EntryId::MIN,
            last: EntryId::MAX,
            limit: frames.len(),
            into,
            run: (shelf.place == Place::Retained).then(|| name.clone()),
            // The other half is for those who send.
            backlog_max: backlog_max.map(|max| max.div_ceil(2)),
            frames,
        }
    }

    /// Waits until then. False when it was told to stop, also if that is so already.
    async fn wait(&mut self, at: Instant) -> bool {
        if !*self.stopped.borrow() {
            let stopped = pin!(self.stopped.wait_for(|stopped| *stopped));
            if let Either::Left(_) = select(pin!(sleep_until(at)), stopped).await {
                return true;
            }
        }
        self.report.was_stopped = true;
        false
    }

    fn count(&mut self, replayed: u64, last: EntryId) {
        if replayed == 0 {
            return;
        }
        add(&self.work.shelf.core.counters.replayed, replayed);
        let report = &mut self.report;
        report.replayed += replayed;
        report.last = Some(last);
    }

    fn skip(&mut self, skip: Skip) {
        let report = &mut self.report;
        report.skipped += 1;
        report.last = Some(skip.id);
        if report.skips.len() < SKIPS_NAMED_MAX {
            report.skips.push(skip);
        }
    }

    fn tell(&mut self, is_waiting: bool) {
        let elapsed = self.begun.elapsed();
        let report = &mut self.report;
        report.elapsed = elapsed;
        let ReplayReport { total, replayed, skipped, .. } = *report;
        let progress = ReplayProgress { total, replayed, skipped, elapsed, is_waiting };
        self.progress.send_replace(progress);
        if let Some(hear) = &mut self.work.on_progress {
            hear(&progress);
        }
    }
}
