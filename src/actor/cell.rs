//! The cell: the life of one actor behind one address, through all its incarnations.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use futures_core::future::BoxFuture;
use tokio::time::{Instant, Sleep};

use super::{
    Actor, ActorState, RestartWhen, Settings, Shared, StopReason,
    beside::Beside,
    control::{Phase, StopRequest},
    core::{STARTED, name_hash},
};
use crate::{
    address::Addr,
    error::BoxError,
    host::Polled,
    supervision::{Backoff, Intensity},
};

/// What runs before the first start; its failure is a failed start.
pub(crate) type Prologue<A> =
    Box<dyn FnOnce(Addr<A>) -> BoxFuture<'static, Result<(), BoxError>> + Send>;

/// An actor on its way to its host: dropped there, or before, it ends.
pub(super) struct Newcomer<A: Actor, F> {
    shared: Arc<Shared<A::Inbox>>,
    /// Nothing once it has arrived.
    luggage: Option<(F, Settings<A>, Option<Prologue<A>>)>,
}

impl<A: Actor, F> Newcomer<A, F> {
    pub(super) fn new(
        shared: Arc<Shared<A::Inbox>>,
        factory: F,
        options: Settings<A>,
        prologue: Option<Prologue<A>>,
    ) -> Self {
        Self { shared, luggage: Some((factory, options, prologue)) }
    }

    pub(super) fn shared(&self) -> &Arc<Shared<A::Inbox>> {
        &self.shared
    }

    /// The cell of the actor; `make` makes the future of one incarnation, in place.
    pub(super) fn settle<M, L>(mut self, make: M) -> Cell<A, F, M, L> {
        let (factory, options, prologue) = self.luggage.take().expect("it arrives once");
        let rare =
            prologue.map(|prologue| Box::new(Rare { prologue: Some(prologue), ..Rare::default() }));
        let shared = self.shared.clone();
        let waker = shared.clone().into();
        Cell { shared, options, factory, make, life: None, waker, rare, is_first: true }
    }
}

impl<A: Actor, F> Drop for Newcomer<A, F> {
    fn drop(&mut self) {
        if self.luggage.is_some() {
            end(&self.shared, reason_of_drop(&self.shared));
        }
    }
}

/// What a poll of an incarnation gave, or its panic.
type LifePolled = Result<Poll<Result<(), BoxError>>, Box<dyn Any + Send>>;

/// How an incarnation ended.
enum Ended {
    /// It was stopped, or stopped itself.
    Stopped,
    /// Its start failed.
    StartFailed(String),
    /// A handler or hook panicked.
    Panicked(String),
}

/// What the cell does when no incarnation runs.
enum Step {
    /// Another incarnation.
    Start,
    /// The same after a wait.
    Wait(Duration),
    End(StopReason),
}

/// What most actors never need.
struct Rare<A: Actor> {
    /// Waits to be called.
    prologue: Option<Prologue<A>>,
    preparing: Option<BoxFuture<'static, Result<(), BoxError>>>,
    /// The wait before a restart.
    waiting: Option<Pin<Box<Sleep>>>,
    /// The time that a stop may take. Outlives an incarnation that fails while it drains.
    drain: Option<Pin<Box<Sleep>>>,
    restarts: Option<(Intensity, Backoff)>,
    beside: Option<Rc<Beside<A::Inbox>>>,
    /// Why it ended; none while it has not.
    reason: Option<StopReason>,
}

impl<A: Actor> Default for Rare<A> {
    fn default() -> Self {
        Self {
            prologue: None,
            preparing: None,
            waiting: None,
            drain: None,
            restarts: None,
            beside: None,
            reason: None,
        }
    }
}

pin_project_lite::pin_project! {
    /// Runs an actor until it has ended for good.
    ///
    /// Whatever becomes of it, also when it is dropped before its first poll: nothing more is
    /// accepted and whoever waits is told.
    pub(super) struct Cell<A: Actor, F, M, L> {
        shared: Arc<Shared<A::Inbox>>,
        options: Settings<A>,
        factory: F,
        make: M,
        #[pin]
        life: Option<L>,
        waker: Waker,
        rare: Option<Box<Rare<A>>>,
        is_first: bool,
    }

    impl<A: Actor, F, M, L> PinnedDrop for Cell<A, F, M, L> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // What is in hand goes back to the mailbox first. The actor is user code: one that
            // panics while it is dropped ends all the same, and whoever waits is told.
            if catch_unwind(AssertUnwindSafe(|| this.life.set(None))).is_err() {
                tracing::error!(
                    actor = this.shared.name(), "an actor panicked while it was dropped"
                );
            }
            if let Some(beside) = this.rare.as_ref().and_then(|rare| rare.beside.as_ref()) {
                beside.tasks.clear();
            }
            let reason = this.rare.as_mut().and_then(|rare| rare.reason.take());
            let reason = reason.unwrap_or_else(|| reason_of_drop(this.shared));
            end(this.shared, reason);
        }
    }
}

fn reason_of_drop<I: Send + 'static>(shared: &Shared<I>) -> StopReason {
    if std::thread::panicking() {
        return StopReason::Failed("it panicked outside its handlers".to_owned());
    }
    shared.core.control.request().map_or(StopReason::Shutdown, |request| request.reason)
}

impl<A, F, M, L> Polled for Cell<A, F, M, L>
where
    A: Actor,
    F: Fn() -> A,
    M: Fn(Arc<Shared<A::Inbox>>, A, Option<Rc<Beside<A::Inbox>>>) -> L,
    L: Future<Output = Result<(), BoxError>>,
{
    fn poll(mut self: Pin<&mut Self>) -> Poll<()> {
        let this = self.as_mut().project();
        if !this.shared.core.control.is_signalled()
            && this.rare.is_none()
            && let Some(life) = this.life.as_pin_mut()
        {
            let polled = life.poll(&mut Context::from_waker(this.waker));
            if polled.is_pending() && !this.shared.core.control.is_signalled() {
                return Poll::Pending;
            }
            return self.poll_on(Some(Ok(polled)));
        }
        self.poll_on(None)
    }

    fn poll_after_panic(self: Pin<&mut Self>, panic: Box<dyn Any + Send>) -> Poll<()> {
        if self.life.is_none() {
            resume_unwind(panic);
        }
        self.poll_on(Some(Err(panic)))
    }
}

impl<A, F, M, L> Cell<A, F, M, L>
where
    A: Actor,
    F: Fn() -> A,
    M: Fn(Arc<Shared<A::Inbox>>, A, Option<Rc<Beside<A::Inbox>>>) -> L,
    L: Future<Output = Result<(), BoxError>>,
{
    /// All but the common case: a stop, a restart, the end of an incarnation (`polled`, if it was
    /// polled already).
    #[cold]
    #[inline(never)]
    fn poll_on(mut self: Pin<&mut Self>, mut polled: Option<LifePolled>) -> Poll<()> {
        loop {
            let mut this = self.as_mut().project();
            let cx = &mut Context::from_waker(this.waker);
            if polled.is_none()
                && let Some(request) = this.shared.core.control.take_signal()
            {
                begin_stop(this.shared, this.options, this.rare, &request);
            }
            let step = match this.life.as_mut().as_pin_mut() {
                Some(life) => {
                    let result = polled
                        .take()
                        .unwrap_or_else(|| catch_unwind(AssertUnwindSafe(|| life.poll(cx))));
                    let ended = match result {
                        Ok(Poll::Pending) => {
                            if this.shared.core.control.take_beside() {
                                let rare = this.rare.get_or_insert_default();
                                rare.beside = Beside::take(this.shared.id());
                            }
                            let beside = this.rare.as_ref().and_then(|rare| rare.beside.as_ref());
                            if let Some(Poll::Ready(panic)) = beside.map(|beside| beside.poll(cx)) {
                                polled = Some(Err(panic));
                                continue;
                            }
                            if this.shared.core.control.is_signalled()
                                || keep_time(this.shared, this.rare, cx)
                            {
                                continue;
                            }
                            return Poll::Pending;
                        }
                        Ok(Poll::Ready(Ok(()))) => Ended::Stopped,
                        Ok(Poll::Ready(Err(error))) => Ended::StartFailed(error.to_string()),
                        Err(panic) => panicked(this.shared, &*panic),
                    };
                    // Before anything is decided: what is in hand goes back to the mailbox.
                    if catch_unwind(AssertUnwindSafe(|| this.life.set(None))).is_err() {
                        tracing::error!(
                            actor = this.shared.name(),
                            "an actor panicked while it was dropped"
                        );
                    }
                    if this.shared.core.control.take_beside() {
                        let rare = this.rare.get_or_insert_default();
                        rare.beside = Beside::take(this.shared.id());
                    }
                    if let Some(beside) = this.rare.as_ref().and_then(|rare| rare.beside.as_ref()) {
                        beside.tasks.clear();
                    }
                    self.as_mut().after(ended)
                }
                None => ready!(self.as_mut().poll_idle()),
            };
            if let Some(reason) = self.as_mut().take(step) {
                self.as_mut().project().rare.get_or_insert_default().reason = Some(reason);
                return Poll::Ready(());
            }
        }
    }

    /// Takes a step. Why the actor has ended, if it has.
    fn take(mut self: Pin<&mut Self>, mut step: Step) -> Option<StopReason> {
        loop {
            match step {
                Step::Start => match self.as_mut().start() {
                    Ok(()) => return None,
                    Err(ended) => step = self.as_mut().after(ended),
                },
                Step::Wait(wait) => {
                    let this = self.project();
                    this.shared.core.take_in_hand(0);
                    this.shared.core.control.set_state(ActorState::Restarting);
                    let sleep = Box::pin(this.shared.timer().sleep(wait));
                    this.rare.get_or_insert_default().waiting = Some(sleep);
                    return None;
                }
                Step::End(reason) => return Some(reason),
            }
        }
    }

    /// Builds the actor and begins an incarnation.
    fn start(self: Pin<&mut Self>) -> Result<(), Ended> {
        let mut this = self.project();
        let core = &this.shared.core;
        core.take_in_hand(const { name_hash(STARTED) });
        let began = core.timer().clock().watch();
        core.look_at_clock();
        let actor = catch_unwind(AssertUnwindSafe(|| (this.factory)()))
            .map_err(|panic| panicked(this.shared, &*panic))?;
        core.held_thread_since(began);
        let beside = this.rare.as_ref().and_then(|rare| rare.beside.clone());
        let life = (this.make)(this.shared.clone(), actor, beside);
        this.life.set(Some(life));
        Ok(())
    }

    /// What to do while no incarnation runs.
    fn poll_idle(mut self: Pin<&mut Self>) -> Poll<Step> {
        let this = self.as_mut().project();
        let cx = &mut Context::from_waker(this.waker);
        let shared = this.shared.clone();
        let Some(rare) = this.rare.as_mut() else { return Poll::Ready(Step::Start) };
        if let Some(prologue) = rare.prologue.take() {
            let addr = Addr::from_shared(shared.clone());
            rare.preparing = Some(Box::pin(async move { prologue(addr).await }));
        }
        if let Some(preparing) = &mut rare.preparing {
            let polled = catch_unwind(AssertUnwindSafe(|| preparing.as_mut().poll(cx)));
            let outcome = match polled {
                Ok(Poll::Pending) => {
                    if keep_time(&shared, this.rare, cx) {
                        this.rare.get_or_insert_default().preparing = None;
                        return Poll::Ready(Step::End(shared.core.control.reason_of_stop()));
                    }
                    return Poll::Pending;
                }
                Ok(Poll::Ready(outcome)) => outcome,
                Err(panic) => {
                    let text = panic_text(&*panic);
                    observe_panic(&shared, "before its start", &text);
                    Err(text.into())
                }
            };
            rare.preparing = None;
            return Poll::Ready(match outcome {
                Ok(()) => Step::Start,
                Err(error) => Step::End(StopReason::StartFailed(error.to_string())),
            });
        }
        if let Some(waiting) = &mut rare.waiting {
            // A request that was taken at the top of this poll counts as well.
            if shared.core.control.phase() != Phase::Run {
                rare.waiting = None;
                if !has_accepted(&shared) {
                    return Poll::Ready(Step::End(shared.core.control.reason_of_stop()));
                }
                return Poll::Ready(Step::Start);
            }
            ready!(waiting.as_mut().poll(cx));
            rare.waiting = None;
        }
        Poll::Ready(Step::Start)
    }

    /// What comes after an incarnation.
    fn after(self: Pin<&mut Self>, ended: Ended) -> Step {
        let this = self.project();
        let (shared, options) = (&*this.shared, this.options.get());
        let control = &shared.core.control;
        shared.core.waits.reset();
        let failure = match ended {
            // It is to be built again, unless somebody else told it to stop meanwhile.
            Ended::Stopped if control.phase() == Phase::Leave => BY_ITSELF.to_owned(),
            Ended::Stopped => return Step::End(control.reason_of_stop()),
            Ended::StartFailed(_) if *this.is_first && control.phase() == Phase::Kill => {
                return Step::End(control.reason_of_stop());
            }
            Ended::StartFailed(reason) if *this.is_first => {
                return Step::End(StopReason::StartFailed(reason));
            }
            // A first start that panics is one that failed: it would most likely do so again.
            Ended::Panicked(reason) if !control.has_started() => {
                return Step::End(StopReason::StartFailed(reason));
            }
            Ended::StartFailed(reason) | Ended::Panicked(reason) => {
                let handling = shared.core.in_hand().unwrap_or_default();
                tracing::error!(actor = shared.name(), handling, reason, "an actor failed");
                if options.restart_when == RestartWhen::Never {
                    return Step::End(StopReason::Failed(reason));
                }
                reason
            }
        };
        *this.is_first = false;
        let rare = this.rare.get_or_insert_default();
        let (intensity, backoff) = rare.restarts.get_or_insert_with(|| {
            (
                Intensity::new(options.restart_max, options.restart_within),
                Backoff::new(options.backoff.0, options.backoff.1),
            )
        });
        let now = Instant::now();
        let answers_own_stop = options.restart_when == RestartWhen::Always;
        if let Some(request) = control.standing_request(answers_own_stop) {
            let may_go_on = control.phase() != Phase::Kill && intensity.permits(now);
            if !may_go_on || !has_accepted(shared) {
                return Step::End(request.reason);
            }
            return Step::Start;
        }
        if intensity.is_calm(now) {
            backoff.reset();
        }
        if !intensity.permits(now) {
            return Step::End(StopReason::TooManyRestarts(failure));
        }
        let wait = backoff.next(fastrand::f64());
        shared.core.restarted();
        tracing::warn!(actor = shared.name(), ?wait, "the actor is built again");
        Step::Wait(wait)
    }
}

/// The failure of an actor that stops by itself too often.
const BY_ITSELF: &str = "it stopped by itself";

/// Whether an actor that is to stop has accepted something that it did not come to: then it is built
/// once more, to work that off. It takes no more from here on.
fn has_accepted<I: Send + 'static>(shared: &Shared<I>) -> bool {
    shared.mailbox.close();
    !shared.mailbox.is_empty()
}

/// Begins a stop: nothing more is accepted, and the time that it may take begins.
fn begin_stop<A: Actor>(
    shared: &Shared<A::Inbox>,
    options: &Settings<A>,
    rare: &mut Option<Box<Rare<A>>>,
    request: &StopRequest,
) {
    let (control, options) = (&shared.core.control, options.get());
    if request.reason == StopReason::Finished && options.restart_when == RestartWhen::Always {
        control.set_phase(Phase::Leave);
        return;
    }
    shared.mailbox.close();
    control.set_phase(Phase::Drain);
    control.set_state(ActorState::Stopping);
    let limit = request.drain.unwrap_or(options.drain);
    rare.get_or_insert_default().drain = Some(Box::pin(shared.timer().sleep(limit)));
}

/// Looks at the time that a stop may take. True when it is over: then the phase is to end at once.
fn keep_time<A: Actor>(
    shared: &Shared<A::Inbox>,
    rare: &mut Option<Box<Rare<A>>>,
    cx: &mut Context<'_>,
) -> bool {
    let Some(drain) = rare.as_mut().and_then(|rare| rare.drain.as_mut()) else { return false };
    if drain.as_mut().poll(cx).is_pending() {
        return false;
    }
    if let Some(rare) = rare {
        rare.drain = None;
    }
    tracing::warn!(actor = shared.name(), "a stopping actor did not work off its mailbox in time");
    shared.core.control.set_phase(Phase::Kill);
    true
}

/// The end for good: nothing more is accepted, and who still waits is told.
fn end<I: Send + 'static>(shared: &Shared<I>, reason: StopReason) {
    shared.mailbox.close();
    let queued = shared.mailbox.take_all();
    match &reason {
        reason if reason.is_failure() => {
            tracing::error!(actor = shared.name(), %reason, "an actor stopped");
        }
        _ => tracing::debug!(actor = shared.name(), %reason, "an actor stopped"),
    }
    if !queued.is_empty() {
        tracing::warn!(
            actor = shared.name(),
            messages = queued.len(),
            "messages were left in the mailbox of an actor that ended"
        );
    }
    shared.core.take_in_hand(0);
    // The reason stands before the askers are told, so that they can read it.
    shared.core.control.end(reason);
    for message in queued {
        // Messages are user code: one that panics while it is dropped must not keep the others from
        // being told, nor end the process when this runs during a panic.
        if catch_unwind(AssertUnwindSafe(|| drop(message))).is_err() {
            tracing::error!(actor = shared.name(), "a message panicked while it was dropped");
        }
    }
    shared.tell_of_end();
}

fn panicked<I: Send + 'static>(shared: &Shared<I>, panic: &(dyn Any + Send)) -> Ended {
    let text = panic_text(panic);
    observe_panic(shared, shared.core.in_hand().unwrap_or_default(), &text);
    Ended::Panicked(text)
}

fn observe_panic<I: Send + 'static>(shared: &Shared<I>, handling: &str, text: &str) {
    shared.host().observer().tell(|observer| observer.panicked(shared.name(), handling, text));
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.as_deref().unwrap_or("with a value that is not text"))
}
