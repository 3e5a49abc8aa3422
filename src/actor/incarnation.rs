//! One incarnation of an actor: from its `started` hook to its `stopped` hook.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Sleep;

use super::{
    Actor, Core, Ctx, Shared,
    beside::Beside,
    control::Phase,
    core::{BLOCKING, STARTED, STOPPED},
    ticks::Ticks,
};
use crate::{error::BoxError, mailbox::Receiver, time::Clock};

/// Messages that an actor may handle in one poll before the next actor has its turn.
const MESSAGES_PER_TURN: u32 = 64;
/// CPU time that an actor may use in one poll, in nanoseconds.
const SLICE: u64 = 500_000;
/// One handler of so many is timed exactly.
const SAMPLE_EVERY: u32 = 64;

/// The batch in hand. Whatever ends the loop, a panic too, what is left of it goes back to where it
/// came from.
struct InHand<'a, I: Send + 'static> {
    shared: &'a Shared<I>,
    receiver: Receiver<I>,
    turn: Turn,
}

impl<I: Send + 'static> Drop for InHand<'_, I> {
    fn drop(&mut self) {
        self.count_handled();
        self.receiver.put_back(&self.shared.mailbox);
    }
}

/// What one poll may still do, and what it did.
struct Turn {
    left: u32,
    handled: u32,
    /// Of all handled, for sampling.
    count: u32,
    /// A timer was the last thing that was handled.
    has_ticked: bool,
    /// When the slice began; zero while nobody looked.
    began: u64,
    /// The coarse clock at the last look.
    last: u64,
    /// When the async handler under way began; zero when it is not timed.
    timed_from: u64,
}

/// What can't be done at once.
enum Next<I> {
    /// An async handler.
    Handle(I),
    /// A timer is due.
    Tick(u64),
    /// The end.
    End,
}

/// Runs one incarnation.
// Not an async fn: that would hold its arguments twice.
pub(super) fn incarnation<A: Actor>(
    shared: Arc<Shared<A::Inbox>>,
    mut actor: A,
    beside: Option<Rc<Beside<A::Inbox>>>,
) -> impl Future<Output = Result<(), BoxError>> {
    let mut ctx = Ctx::new(shared.clone(), beside);
    async move {
        let mut hand = InHand { shared: &shared, receiver: Receiver::new(), turn: Turn::new() };
        ctx.resume_watching();
        ctx.enter(STARTED);
        let core = &shared.core;
        match (Abortable { inner: pin!(actor.__started(&mut ctx)), core }).await {
            Some(started) => started?,
            None => return Err("it was stopped before it had started".into()),
        }
        shared.core.waits.reset();
        ctx.ticks = Ticks::start(A::__ticks(), shared.timer());
        shared.core.control.started();
        loop {
            let inbox = match poll_fn(|cx| hand.work(&mut actor, &mut ctx, cx)).await {
                Next::Handle(inbox) => {
                    hand.publish_before_await();
                    inbox
                }
                Next::Tick(index) => A::__tick(index),
                Next::End => break,
            };
            let core = &shared.core;
            Abortable { inner: pin!(actor.__handle(inbox, &mut ctx)), core }.await;
            hand.async_handler_ended();
        }
        ctx.ticks = None;
        if let Some(beside) = ctx.beside_if_any() {
            beside.tasks.clear();
        }
        // What a dropped handler left behind: nobody can say how far it came.
        ctx.drop_received();
        ctx.enter(STOPPED);
        let reason = shared.core.control.reason_of_stop();
        // Boxed: it would make the future of every actor larger for its last moment.
        let limit = Box::pin(shared.timer().sleep(shared.core.drain()));
        if (Limited { inner: pin!(actor.__stopped(&mut ctx, &reason)), limit }).await.is_none() {
            tracing::warn!(actor = shared.name(), "the stopped hook did not end in time");
        }
        Ok(())
    }
}

impl<I: Send + 'static> InHand<'_, I> {
    /// Handles what plain handlers handle, for one turn at most. Ready with what must be awaited.
    #[inline]
    fn work<A: Actor<Inbox = I>>(
        &mut self,
        actor: &mut A,
        ctx: &mut Ctx<A>,
        cx: &mut Context<'_>,
    ) -> Poll<Next<I>> {
        let shared = self.shared;
        let clock = shared.timer().clock();
        let phase = shared.core.control.phase();
        if phase >= Phase::Leave {
            return Poll::Ready(Next::End);
        }
        let now = clock.watch();
        if now != self.turn.last {
            self.turn.last = now;
            shared.core.look_at_clock();
        }
        let has_ticked = std::mem::take(&mut self.turn.has_ticked);
        if ctx.ticks.is_some()
            && !has_ticked
            && let Some(index) = self.poll_ticks(ctx, phase, cx)
        {
            return Poll::Ready(Next::Tick(index));
        }
        self.receiver.begin();
        while self.turn.left > 0 {
            if self.receiver.is_done() && phase == Phase::Run {
                self.receiver.finish(&shared.mailbox);
                return self.idle(ctx, phase, has_ticked, cx);
            }
            let Some(inbox) = self.receiver.next(&shared.mailbox) else {
                return self.idle(ctx, phase, has_ticked, cx);
            };
            let began = self.turn.count_one(clock);
            if let Some(inbox) = actor.__step(inbox, ctx) {
                ctx.flush_handled();
                self.turn.timed_from = began;
                return Poll::Ready(Next::Handle(inbox));
            }
            self.turn.look_at_clock(shared, clock, began);
        }
        self.count_handled();
        ctx.flush_handled();
        // Whoever looks while others have their turn sees nothing in hand.
        shared.core.take_in_hand(0);
        self.turn.begin();
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// There are no messages, and the mailbox is parked.
    #[inline]
    fn idle<A: Actor<Inbox = I>>(
        &mut self,
        ctx: &mut Ctx<A>,
        phase: Phase,
        has_ticked: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Next<I>> {
        self.count_handled();
        ctx.flush_handled();
        self.shared.core.take_in_hand(0);
        if phase == Phase::Drain {
            return Poll::Ready(Next::End);
        }
        if has_ticked && let Some(index) = self.poll_ticks(ctx, phase, cx) {
            return Poll::Ready(Next::Tick(index));
        }
        self.turn.begin();
        Poll::Pending
    }

    /// A timer that is due. One whose handler takes as long as its period is due again at once:
    /// messages have their turn in between.
    #[cold]
    fn poll_ticks<A: Actor<Inbox = I>>(
        &mut self,
        ctx: &mut Ctx<A>,
        phase: Phase,
        cx: &mut Context<'_>,
    ) -> Option<u64> {
        let index = ctx.ticks.as_mut().filter(|_| phase == Phase::Run)?.poll_due(cx)?;
        self.turn.has_ticked = true;
        self.turn.left = self.turn.left.saturating_sub(1);
        Some(index)
    }

    /// Before a handler that may take long: room, and what was handled before it.
    fn publish_before_await(&mut self) {
        self.receiver.publish_before_await(&self.shared.mailbox);
        self.turn.handled -= 1;
        self.count_handled();
        self.turn.handled = 1;
    }

    fn async_handler_ended(&mut self) {
        let (core, clock) = (&self.shared.core, self.shared.timer().clock());
        core.waits.reset();
        let now = clock.watch();
        let time_went_by = now != self.turn.last;
        self.turn.last = now;
        // What is next in hand is so since now.
        core.look_at_clock();
        let timed_from = std::mem::take(&mut self.turn.timed_from);
        if time_went_by || timed_from != 0 {
            // It may have awaited, so that the slice began in another poll: then it is cut short.
            self.turn.look_closely(self.shared, clock.now(), timed_from);
        }
        self.count_handled();
    }

    fn count_handled(&mut self) {
        let handled = std::mem::take(&mut self.turn.handled);
        self.shared.core.count_handled(u64::from(handled));
    }
}

impl Turn {
    fn new() -> Self {
        Self {
            left: MESSAGES_PER_TURN,
            handled: 0,
            count: 0,
            has_ticked: false,
            began: 0,
            last: 0,
            timed_from: 0,
        }
    }

    #[inline]
    fn begin(&mut self) {
        self.left = MESSAGES_PER_TURN;
        self.began = 0;
    }

    /// Counts a message. The exact time when this one is timed.
    #[inline]
    fn count_one(&mut self, clock: &Clock) -> u64 {
        self.left -= 1;
        self.handled += 1;
        self.count = self.count.wrapping_add(1);
        if self.count.is_multiple_of(SAMPLE_EVERY) { clock.now() } else { 0 }
    }

    /// After each message: whether it blocked its thread, and whether the slice is over.
    #[inline]
    fn look_at_clock<I: Send + 'static>(
        &mut self,
        shared: &Shared<I>,
        clock: &Clock,
        timed_from: u64,
    ) {
        let now = clock.watch();
        let time_went_by = now != self.last;
        if time_went_by {
            self.time_went_by(shared, now);
        }
        // Those that take milliseconds each are not left for the eighth.
        if time_went_by || self.left.is_multiple_of(8) || timed_from != 0 {
            self.look_closely(shared, clock.now(), timed_from);
        }
    }

    #[cold]
    fn time_went_by<I: Send + 'static>(&mut self, shared: &Shared<I>, now: u64) {
        let took = now.saturating_sub(self.last);
        if took >= BLOCKING {
            shared.core.message_blocked(Duration::from_nanos(took));
        }
        self.last = now;
        shared.core.look_at_clock();
    }

    fn look_closely<I: Send + 'static>(&mut self, shared: &Shared<I>, now: u64, timed_from: u64) {
        if timed_from != 0 {
            shared.core.sample(now.saturating_sub(timed_from));
        }
        if self.began == 0 {
            self.began = now;
        } else if now.saturating_sub(self.began) >= SLICE {
            self.left = 0;
        }
    }
}

/// A hook that is given up when its time is over: then it gives nothing.
struct Limited<'a, F> {
    inner: Pin<&'a mut F>,
    limit: Pin<Box<Sleep>>,
}

impl<F: Future> Future for Limited<'_, F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.inner.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => self.limit.as_mut().poll(cx).map(|()| None),
        }
    }
}

/// A hook or handler that is dropped where it awaits when the actor must end: then it gives nothing.
/// One that blocks its thread between two awaits is told of while its name is still in hand.
struct Abortable<'a, F> {
    inner: Pin<&'a mut F>,
    core: &'a Core,
}

impl<F: Future> Future for Abortable<'_, F> {
    type Output = Option<F::Output>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let began = self.core.timer().clock().watch();
        let polled = self.inner.as_mut().poll(cx);
        self.core.held_thread_since(began);
        match polled {
            Poll::Pending if self.core.control.phase() == Phase::Kill => Poll::Ready(None),
            polled => polled.map(Some),
        }
    }
}
