use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::{Now, stream::Stream};
use crate::log::{
    Done, EntryId, Place, ReplayFrame, ReplayRequest, ReplayStop, Replayed, StreamKind,
};

/// For how long it is known how far a run came.
const RUN_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How far replays of retained entries came, by the name of their run.
#[derive(Debug, Default)]
pub(super) struct Runs(HashMap<String, (EntryId, u32, Instant)>);

impl Runs {
    fn has_copied(&self, run: &str, frame: &ReplayFrame, now: Instant) -> bool {
        self.0
            .get(run)
            .is_some_and(|(id, part, ends)| *ends > now && (frame.id, frame.part) <= (*id, *part))
    }

    fn advance(&mut self, run: &str, frame: &ReplayFrame, now: Instant) {
        self.0.retain(|_, (_, _, ends)| *ends > now);
        self.0.insert(run.to_owned(), (frame.id, frame.part, now + RUN_KEPT));
    }
}

impl Stream {
    /// Puts entries into this stream again: dead letters move, retained entries are copied.
    pub(super) fn replay(&mut self, request: &ReplayRequest, now: Now) -> Replayed {
        let mut replayed = Replayed::default();
        let mut left = request.limit;
        for frame in in_order(request) {
            let has_run = |run: &String| self.runs.has_copied(run, frame, now.instant);
            if left == 0 || !self.part(request.from).contains(frame.id) {
                continue;
            }
            if request.run.as_ref().is_some_and(has_run) {
                continue;
            }
            if self.is_full_for(request, frame) {
                replayed.stop = Some(ReplayStop::Full);
                return replayed;
            }
            if request.from == Place::Dead {
                self.dead.remove(frame.id);
            }
            if let Some(run) = &request.run {
                self.runs.advance(run, frame, now.instant);
            }
            self.take_again(frame, now.ms);
            left -= 1;
            replayed.messages += u64::from(frame.count);
            replayed.last = Some(frame.id);
        }
        replayed
    }

    /// Moves dead letters into another stream.
    pub(super) fn replay_into(
        &mut self,
        target: &mut Self,
        request: &ReplayRequest,
        now: Now,
    ) -> Replayed {
        let mut replayed = Replayed::default();
        if target.name.kind() == StreamKind::Inbox && !target.exists {
            replayed.stop = Some(ReplayStop::Gone);
            return replayed;
        }
        let mut left = request.limit;
        for frame in in_order(request) {
            if left == 0 || !self.dead.contains(frame.id) {
                continue;
            }
            if target.is_full_for(request, frame) {
                replayed.stop = Some(ReplayStop::Full);
                return replayed;
            }
            self.dead.remove(frame.id);
            target.exists = true;
            target.take_again(frame, now.ms);
            left -= 1;
            replayed.messages += u64::from(frame.count);
            replayed.last = Some(frame.id);
        }
        replayed
    }

    fn take_again(&mut self, frame: &ReplayFrame, now_ms: u64) {
        self.store(frame.frame.clone(), frame.count, Done::default(), now_ms);
        if self.name.is_counted() {
            self.counted.appended += u64::from(frame.count);
        }
    }

    fn is_full_for(&self, request: &ReplayRequest, frame: &ReplayFrame) -> bool {
        let would_hold = self.backlog() + u64::from(frame.count);
        self.name.is_counted() && request.backlog_max.is_some_and(|max| would_hold > max)
    }
}

/// What is named within the range, oldest first; of two for one part the first counts.
fn in_order(request: &ReplayRequest) -> Vec<&ReplayFrame> {
    let range = request.first..=request.last;
    let mut frames: Vec<_> =
        request.frames.iter().filter(|frame| range.contains(&frame.id)).collect();
    frames.sort_by_key(|frame| (frame.id, frame.part));
    frames.dedup_by_key(|frame| (frame.id, frame.part));
    frames
}
