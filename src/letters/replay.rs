use std::{fmt, future::IntoFuture};

use super::{
    REPLAY_RATE_DEFAULT, ReplayProgress, RunningReplay, Selection, plan::Plan, run::Work,
    scan::Shelf,
};
use crate::id::Incarnation;

/// A replay that is about to begin: await it, or [`start`](Self::start) it to look at it and to stop it.
///
/// What is meant is settled when it begins: messages that come there later, such as those that fail
/// again, are not replayed by it.
#[must_use = "nothing is replayed until it is awaited or started"]
pub struct Replay {
    shelf: Shelf,
    selection: Selection,
    plan: Plan,
    rate: u32,
    name: String,
    on_progress: Option<OnProgress>,
}

pub(super) type OnProgress = Box<dyn FnMut(&ReplayProgress) + Send>;

impl Replay {
    pub(super) fn new(shelf: Shelf, selection: Selection, plan: Plan) -> Self {
        let name = Incarnation::fresh().to_string();
        let rate = REPLAY_RATE_DEFAULT;
        Self { shelf, selection, plan, rate, name, on_progress: None }
    }

    /// How many messages per second at most: 1 to
    /// [`REPLAY_RATE_MAX`](super::REPLAY_RATE_MAX), 1000 unless it is given. They go evenly, twenty
    /// times a second where the rate allows it, and time that was lost is not made up for.
    pub fn rate(mut self, messages_per_second: u32) -> Self {
        self.rate = messages_per_second;
        self
    }

    /// Names it. A replay of retained messages goes on where the last one of the same name stood,
    /// wherever that ran and however it ended, within a day, given the same selection; so one that may be
    /// killed is named. To dead letters, which move, it means nothing.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Calls this at the beginning, after each step and at the end, on the I/O runtime: it must not
    /// block.
    pub fn on_progress(mut self, hear: impl FnMut(&ReplayProgress) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(hear));
        self
    }

    /// Begins it.
    pub fn start(self) -> RunningReplay {
        let Self { shelf, selection, plan, rate, name, on_progress } = self;
        RunningReplay::start(Work { shelf, selection, plan, rate, name, on_progress })
    }
}

impl IntoFuture for Replay {
    type Output = <RunningReplay as Future>::Output;
    type IntoFuture = RunningReplay;

    fn into_future(self) -> RunningReplay {
        self.start()
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("stream", &self.shelf.stream)
            .field("selection", &self.selection)
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}
