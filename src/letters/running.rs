use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{sync::watch, task::JoinHandle};

use super::{
    LettersError, ReplayError, ReplayProgress, ReplayReport,
    run::{Run, Work, report_of},
};

/// A replay that goes on. It is a future of its report.
///
/// # Cancel safety
/// Dropped, the replay ends after the step that is on its way. What that did is done; the rest lies where
/// it lay. Begun again (with the same [name](super::Replay::named), if it is one of retained messages) it
/// goes on there.
#[must_use = "dropped, the replay ends"]
pub struct RunningReplay {
    task: JoinHandle<Result<ReplayReport, ReplayError>>,
    stop: watch::Sender<bool>,
    progress: watch::Receiver<ReplayProgress>,
    name: String,
}

impl RunningReplay {
    pub(super) fn start(work: Work) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (sender, progress) = watch::channel(ReplayProgress::default());
        let (name, runtime) = (work.name.clone(), work.shelf.core.runtime.clone());
        let run = Run::new(work, stopped, sender);
        Self { task: runtime.spawn(run.complete()), stop, progress, name }
    }

    /// Its name: given, or made up.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How far it is now.
    pub fn progress(&self) -> ReplayProgress {
        *self.progress.borrow()
    }

    /// Waits until it has come further, and says how far; none when it has ended.
    ///
    /// # Cancel safety
    /// Waiting again is fine.
    pub async fn changed(&mut self) -> Option<ReplayProgress> {
        self.progress.changed().await.ok()?;
        Some(*self.progress.borrow_and_update())
    }

    /// Tells it to end after the step that is on its way. Await it for the report.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

impl Future for RunningReplay {
    type Output = Result<ReplayReport, ReplayError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = ready!(Pin::new(&mut self.task).poll(cx));
        Poll::Ready(ended.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => {
                let report = Box::new(report_of(&self.name, *self.progress.borrow()));
                Err(ReplayError { report, source: LettersError::Stopped })
            }
        }))
    }
}

impl Drop for RunningReplay {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for RunningReplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningReplay")
            .field("name", &self.name)
            .field("progress", &self.progress())
            .finish_non_exhaustive()
    }
}
