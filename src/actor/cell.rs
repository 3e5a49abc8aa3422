//! The cell: the life of one actor behind one address, through all its incarnations.

use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::future::BoxFuture;
use tokio::time::{Instant, Sleep};

use super::{
    Actor, ActorOptions, ActorState, Ctx, RestartWhen, Shared, StopReason,
    control::{Control, Phase, StopRequest},
    tasks::Tasks,
    ticks::Ticks,
};
use crate::{
    address::Addr,
    error::BoxError,
    mailbox::Receiver,
    message::Conclusion,
    supervision::{Backoff, Intensity},
};

/// Messages that an actor may handle in one poll before the next actor has its turn.
const MESSAGES_PER_TURN: u32 = 64;

/// What runs before the first start; its failure is a failed start.
pub(crate) type Prologue<A> =
    Box<dyn FnOnce(Addr<A>) -> BoxFuture<'static, Result<(), BoxError>> + Send>;

/// How an incarnation ended.
enum Ended {
    /// It was stopped, or stopped itself.
    Stopped,
    /// Its start failed.
    StartFailed(String),
    /// A handler or hook panicked.
    Panicked(String),
}

/// The duty to end an actor: whatever becomes of the future that runs it, also when it is dropped
/// before its first poll, nothing more is accepted and whoever waits is told.
pub(super) struct Life<I: Send + 'static> {
    shared: Arc<Shared<I>>,
    receiver: Receiver<I>,
    /// Why it ended; none while it has not.
    reason: Option<StopReason>,
}

impl<I: Send + 'static> Life<I> {
    pub(super) fn new(shared: Arc<Shared<I>>) -> Self {
        Self { shared, receiver: Receiver::new(), reason: None }
    }
}

impl<I: Send + 'static> Drop for Life<I> {
    fn drop(&mut self) {
        let reason = self.reason.take().unwrap_or_else(|| {
            if std::thread::panicking() {
                return StopReason::Failed("it panicked outside its handlers".to_owned());
            }
            self.shared.control.request().map_or(StopReason::Shutdown, |request| request.reason)
        });
        end(&self.shared, &mut self.receiver, reason);
    }
}

/// Runs an actor until it has ended for good.
pub(super) async fn run<A: Actor, F: Fn() -> A>(
    mut life: Life<A::Inbox>,
    factory: F,
    options: ActorOptions,
    prologue: Option<Prologue<A>>,
) {
    let shared = life.shared.clone();
    let mut ctx = Ctx::new(shared.clone(), Rc::default());
    let reason = live(&shared, &factory, &options, prologue, &mut life.receiver, &mut ctx).await;
    life.reason = Some(reason);
}

async fn live<A: Actor, F: Fn() -> A>(
    shared: &Arc<Shared<A::Inbox>>,
    factory: &F,
    options: &ActorOptions,
    prologue: Option<Prologue<A>>,
    receiver: &mut Receiver<A::Inbox>,
    ctx: &mut Ctx<A>,
) -> StopReason {
    let control = &shared.control;
    let mut drain = None;
    if let Some(prologue) = prologue
        && let Err(reason) = prepare(prologue, shared, options, ctx, &mut drain).await
    {
        return reason;
    }
    let mut intensity = Intensity::new(options.restart_max, options.restart_within);
    let mut backoff = Backoff::new(options.backoff.0, options.backoff.1);
    let mut is_first = true;
    loop {
        let ended = incarnation::<A, F>(shared, factory, options, receiver, ctx, &mut drain).await;
        let failure = match ended {
            // It is to be built again, unless somebody else told it to stop meanwhile.
            Ended::Stopped if control.phase() == Phase::Leave => BY_ITSELF.to_owned(),
            Ended::Stopped => return reason_of_stop(control),
            Ended::StartFailed(_) if is_first && control.phase() == Phase::Kill => {
                return reason_of_stop(control);
            }
            Ended::StartFailed(reason) if is_first => return StopReason::StartFailed(reason),
            Ended::StartFailed(reason) | Ended::Panicked(reason) => {
                failed(shared, ctx, &reason);
                if options.restart_when == RestartWhen::Never {
                    return StopReason::Failed(reason);
                }
                reason
            }
        };
        is_first = false;
        let now = Instant::now();
        if let Some(request) = standing_request(control, options) {
            let may_go_on = control.phase() != Phase::Kill && intensity.permits(now);
            if !may_go_on || !has_accepted(shared, receiver) {
                return request.reason;
            }
            continue;
        }
        if intensity.is_calm(now) {
            backoff.reset();
        }
        if !intensity.permits(now) {
            return StopReason::TooManyRestarts(failure);
        }
        let wait = backoff.next(fastrand::f64());
        tracing::warn!(actor = shared.name(), ?wait, "the actor is built again");
        control.set_state(ActorState::Restarting);
        if wait_or_stop(shared, wait).await && !has_accepted(shared, receiver) {
            return reason_of_stop(control);
        }
    }
}

/// The failure of an actor that stops by itself too often.
const BY_ITSELF: &str = "it stopped by itself";

/// Runs what comes before the first start.
async fn prepare<A: Actor>(
    prologue: Prologue<A>,
    shared: &Arc<Shared<A::Inbox>>,
    options: &ActorOptions,
    ctx: &Ctx<A>,
    drain: &mut Option<Pin<Box<Sleep>>>,
) -> Result<(), StopReason> {
    let addr = ctx.addr();
    let inner = pin!(async move { prologue(addr).await });
    let inner = pin!(Abortable { inner, control: &shared.control });
    match (Guarded { inner, shared, options, drain, tasks: ctx.tasks() }).await {
        Ok(Some(Ok(()))) => Ok(()),
        Ok(Some(Err(error))) => Err(StopReason::StartFailed(error.to_string())),
        Ok(None) => Err(reason_of_stop(&shared.control)),
        Err(panic) => Err(StopReason::StartFailed(panic_text(&*panic))),
    }
}

/// Tells of a failure: the sender of the message in hand, if it came from another process, and the
/// log.
fn failed<A: Actor>(shared: &Shared<A::Inbox>, ctx: &mut Ctx<A>, reason: &str) {
    if let Some(received) = ctx.take_received() {
        received.delivery.conclude(Conclusion::Panicked);
    }
    tracing::error!(actor = shared.name(), handling = ctx.in_hand(), reason, "an actor failed");
}

fn reason_of_stop(control: &Control) -> StopReason {
    control.request().map_or(StopReason::Finished, |request| request.reason)
}

/// The request to stop that a restart does not answer.
fn standing_request(control: &Control, options: &ActorOptions) -> Option<StopRequest> {
    let request = control.request()?;
    if request.reason == StopReason::Finished && options.restart_when == RestartWhen::Always {
        control.clear_request();
        return control.request();
    }
    Some(request)
}

/// Whether an actor that is to stop has accepted something that it did not come to: then it is built
/// once more, to work that off. It takes no more from here on.
fn has_accepted<I: Send + 'static>(shared: &Shared<I>, receiver: &Receiver<I>) -> bool {
    shared.mailbox.close();
    !receiver.is_empty() || !shared.mailbox.is_empty()
}

/// Waits before a restart. True when it is told to stop meanwhile.
async fn wait_or_stop<I: Send + 'static>(shared: &Shared<I>, wait: Duration) -> bool {
    let mut sleep = pin!(shared.timer().sleep(wait));
    poll_fn(|cx| match shared.control.is_signalled() {
        true => Poll::Ready(true),
        false => sleep.as_mut().poll(cx).map(|()| false),
    })
    .await
}

/// The end for good: nothing more is accepted, and who still waits is told.
fn end<I: Send + 'static>(shared: &Shared<I>, receiver: &mut Receiver<I>, reason: StopReason) {
    shared.mailbox.close();
    let (in_hand, queued) = (receiver.take_all(), shared.mailbox.take_all());
    let left = in_hand.len() + queued.len();
    match &reason {
        reason if reason.is_failure() => {
            tracing::error!(actor = shared.name(), %reason, "an actor stopped");
        }
        _ => tracing::debug!(actor = shared.name(), %reason, "an actor stopped"),
    }
    if left > 0 {
        tracing::warn!(
            actor = shared.name(),
            messages = left,
            "messages were left in the mailbox of an actor that ended"
        );
    }
    // The reason stands before the askers are told, so that they can read it.
    shared.control.end(reason);
    for message in in_hand.into_iter().chain(queued) {
        // Messages are user code: one that panics while it is dropped must not keep the others from
        // being told, nor end the process when this runs during a panic.
        if catch_unwind(AssertUnwindSafe(|| drop(message))).is_err() {
            tracing::error!(actor = shared.name(), "a message panicked while it was dropped");
        }
    }
    shared.tell_of_end();
}

/// One incarnation, from the factory to the `stopped` hook. Panics end it and nothing else.
async fn incarnation<A: Actor, F: Fn() -> A>(
    shared: &Arc<Shared<A::Inbox>>,
    factory: &F,
    options: &ActorOptions,
    receiver: &mut Receiver<A::Inbox>,
    ctx: &mut Ctx<A>,
    drain: &mut Option<Pin<Box<Sleep>>>,
) -> Ended {
    let tasks = ctx.tasks().clone();
    let inner = pin!(handle_all::<A, F>(shared, factory, options, receiver, ctx));
    let guarded = Guarded { inner, shared, options, drain, tasks: &tasks };
    let ended = guarded.await;
    shared.set_busy(false);
    tasks.clear();
    match ended {
        Ok(Ok(())) => Ended::Stopped,
        Ok(Err(error)) => Ended::StartFailed(error.to_string()),
        Err(panic) => Ended::Panicked(panic_text(&*panic)),
    }
}

async fn handle_all<A: Actor, F: Fn() -> A>(
    shared: &Arc<Shared<A::Inbox>>,
    factory: &F,
    options: &ActorOptions,
    receiver: &mut Receiver<A::Inbox>,
    ctx: &mut Ctx<A>,
) -> Result<(), BoxError> {
    ctx.enter("started");
    ctx.resume_watching();
    let mut actor = factory();
    match (Abortable { inner: pin!(actor.__started(ctx)), control: &shared.control }).await {
        Some(started) => started?,
        None => return Err("it was stopped before it had started".into()),
    }
    ctx.ticks = Ticks::start(A::__ticks(), shared.timer());
    shared.control.mark_started();
    if shared.control.phase() == Phase::Run {
        shared.control.set_state(ActorState::Running);
    }
    let control = &shared.control;
    let mut left = MESSAGES_PER_TURN;
    while let Some(tick) = ready(shared, receiver, ctx, &mut left).await {
        if let Some(index) = tick {
            shared.set_busy(true);
            Abortable { inner: pin!(actor.__handle(A::__tick(index), ctx)), control }.await;
            shared.set_busy(false);
            left = left.saturating_sub(1);
            // A timer whose handler takes as long as its period is due again at once: messages have
            // their turn in between.
            if receiver.is_empty() {
                receiver.refill(&shared.mailbox);
            }
        }
        while left > 0 {
            let Some(inbox) = receiver.pop(&shared.mailbox) else { break };
            left -= 1;
            if let Some(inbox) = actor.__step(inbox, ctx) {
                receiver.publish_before_await(&shared.mailbox);
                shared.set_busy(true);
                Abortable { inner: pin!(actor.__handle(inbox, ctx)), control }.await;
                shared.set_busy(false);
                if control.phase() >= Phase::Leave {
                    break;
                }
            }
        }
    }
    ctx.ticks = None;
    ctx.tasks().clear();
    // What a dropped handler left behind: nobody can say how far it came.
    drop(ctx.take_received());
    ctx.enter("stopped");
    let reason = reason_of_stop(control);
    let hook = actor.__stopped(ctx, &reason);
    if time_limited(hook, shared.timer().sleep(options.drain)).await.is_none() {
        tracing::warn!(actor = shared.name(), "the stopped hook did not end in time");
    }
    Ok(())
}

/// Waits until there is something to do: messages in the batch (`Some(None)`), a timer that is due
/// (`Some(Some(index))`), or the end (`None`).
async fn ready<A: Actor>(
    shared: &Shared<A::Inbox>,
    receiver: &mut Receiver<A::Inbox>,
    ctx: &mut Ctx<A>,
    left: &mut u32,
) -> Option<Option<u16>> {
    let mut has_yielded = false;
    poll_fn(|cx| {
        let phase = shared.control.phase();
        if phase >= Phase::Leave {
            return Poll::Ready(None);
        }
        if *left == 0 && !has_yielded {
            has_yielded = true;
            *left = MESSAGES_PER_TURN;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if phase == Phase::Run
            && let Some(index) = ctx.ticks.as_mut().and_then(|ticks| ticks.poll_due(cx))
        {
            return Poll::Ready(Some(Some(index)));
        }
        if !receiver.is_empty() || receiver.refill(&shared.mailbox) {
            return Poll::Ready(Some(None));
        }
        if phase == Phase::Drain {
            return Poll::Ready(None);
        }
        *left = MESSAGES_PER_TURN;
        Poll::Pending
    })
    .await
}

async fn time_limited<T>(future: impl Future<Output = T>, limit: Sleep) -> Option<T> {
    let (mut future, mut limit) = (pin!(future), pin!(limit));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => limit.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// A hook or handler that is dropped where it awaits when the actor must end: then it gives nothing.
struct Abortable<'a, F> {
    inner: Pin<&'a mut F>,
    control: &'a Control,
}

impl<F: Future> Future for Abortable<'_, F> {
    type Output = Option<F::Output>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.inner.as_mut().poll(cx) {
            Poll::Pending if self.control.phase() == Phase::Kill => Poll::Ready(None),
            polled => polled.map(Some),
        }
    }
}

/// Polls an incarnation: looks at the control lane first, catches panics, and keeps the time that
/// a stop may take.
struct Guarded<'a, F, I> {
    inner: Pin<&'a mut F>,
    shared: &'a Shared<I>,
    options: &'a ActorOptions,
    /// Outlives an incarnation that fails while it drains.
    drain: &'a mut Option<Pin<Box<Sleep>>>,
    tasks: &'a Tasks,
}

impl<F, I: Send + 'static> Guarded<'_, F, I> {
    fn begin_stop(&mut self, reason: &StopReason, drain: Option<Duration>) {
        let control = &self.shared.control;
        if *reason == StopReason::Finished && self.options.restart_when == RestartWhen::Always {
            control.set_phase(Phase::Leave);
            return;
        }
        self.shared.mailbox.close();
        control.set_phase(Phase::Drain);
        control.set_state(ActorState::Stopping);
        let limit = drain.unwrap_or(self.options.drain);
        *self.drain = Some(Box::pin(self.shared.timer().sleep(limit)));
    }

    fn keep_time(&mut self, cx: &mut Context<'_>) {
        let Some(drain) = self.drain.as_mut() else { return };
        if drain.as_mut().poll(cx).is_ready() {
            *self.drain = None;
            tracing::warn!(
                actor = self.shared.name(),
                "a stopping actor did not work off its mailbox in time"
            );
            self.shared.control.set_phase(Phase::Kill);
            cx.waker().wake_by_ref();
        }
    }
}

impl<F: Future, I: Send + 'static> Future for Guarded<'_, F, I> {
    type Output = Result<F::Output, Box<dyn Any + Send>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Some(request) = this.shared.control.take_signal() {
            this.begin_stop(&request.reason, request.drain);
        }
        let inner = &mut this.inner;
        let polled = match catch_unwind(AssertUnwindSafe(|| inner.as_mut().poll(cx))) {
            Ok(polled) => polled,
            Err(panic) => return Poll::Ready(Err(panic)),
        };
        if polled.is_pending()
            && let Err(panic) = this.tasks.poll(cx)
        {
            return Poll::Ready(Err(panic));
        }
        if polled.is_pending() && this.drain.is_some() {
            this.keep_time(cx);
        }
        polled.map(Ok)
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.as_deref().unwrap_or("with a value that is not text"))
}
