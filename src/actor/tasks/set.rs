use std::{
    any::Any,
    cell::Cell,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::{TaskHandle, handle::Progress};

/// What a panic carried.
pub(crate) type Panic = Box<dyn Any + Send>;

/// The futures that live beside an actor, shared by its context, which adds some, and its cell,
/// which polls them.
///
/// Empty it is one word, and a poll one look at it.
#[derive(Default)]
pub(crate) struct Tasks(Cell<Option<Box<FuturesUnordered<Task>>>>);

impl Tasks {
    pub(in crate::actor) fn spawn(&self, future: impl Future<Output = ()> + 'static) -> TaskHandle {
        let progress = Arc::new(Progress::default());
        let set = self.0.take().unwrap_or_default();
        set.push(Task { future: Some(Box::pin(future)), progress: progress.clone() });
        self.0.set(Some(set));
        TaskHandle(progress)
    }

    /// Polls those that are due. A panic in one of them ends the incarnation.
    #[inline]
    pub(in crate::actor) fn poll(&self, cx: &mut Context<'_>) -> Result<(), Panic> {
        match self.0.take() {
            None => Ok(()),
            Some(set) => self.poll_set(set, cx),
        }
    }

    fn poll_set(
        &self,
        mut set: Box<FuturesUnordered<Task>>,
        cx: &mut Context<'_>,
    ) -> Result<(), Panic> {
        loop {
            let polled = set.poll_next_unpin(cx);
            // Spawned by one that was polled just now.
            if let Some(fresh) = self.0.take() {
                fresh.into_iter().for_each(|task| set.push(task));
            }
            match polled {
                Poll::Ready(Some(Ok(()))) => {}
                Poll::Ready(Some(Err(panic))) => {
                    self.0.set(Some(set));
                    return Err(panic);
                }
                Poll::Ready(None) if set.is_empty() => return Ok(()),
                Poll::Ready(None) => {}
                Poll::Pending => {
                    self.0.set(Some(set));
                    return Ok(());
                }
            }
        }
    }

    /// Drops all of them: their incarnation ends.
    pub(in crate::actor) fn clear(&self) {
        // One that spawns while it is dropped is dropped in the next round.
        while let Some(set) = self.0.take() {
            drop(set);
        }
    }
}

/// One of them. It catches its own panics, in a poll and in a drop.
struct Task {
    /// None once it is finished.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    progress: Arc<Progress>,
}

impl Task {
    /// Drops the future, which is user code as much as its polls are.
    fn end(&mut self) -> Result<(), Panic> {
        let future = self.future.take();
        self.progress.finish();
        catch_unwind(AssertUnwindSafe(|| drop(future)))
    }
}

impl Future for Task {
    type Output = Result<(), Panic>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        // First the waker, then the look: whoever aborts meanwhile wakes.
        this.progress.waker.register(cx.waker());
        if this.progress.is_aborted() {
            return Poll::Ready(this.end());
        }
        let Some(future) = &mut this.future else { return Poll::Ready(Ok(())) };
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => Poll::Ready(this.end()),
            Err(panic) => {
                if this.end().is_err() {
                    report_drop();
                }
                Poll::Ready(Err(panic))
            }
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if self.end().is_err() {
            report_drop();
        }
    }
}

fn report_drop() {
    tracing::error!("a future that an actor had spawned panicked while it was dropped");
}
