use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::oneshot,
    time::{Instant, Sleep},
};

use super::{
    codec::Codec,
    core::Core,
    frame::{Kind, Message},
    lane::{Entrance, Lane, Parcel, Placed},
    outbox::Destination,
    outgoing::Body,
    stats::add,
    waiters::{Answer, ReplyBytes},
};
use crate::error::{Delivery, Failure, FailureKind};

/// An ask that was sent: a future of its outcome.
///
/// Dropping it takes the ask back: out of its lane if it has not left, else by a cancel behind it.
#[must_use = "dropping the ticket takes the ask back"]
pub struct AskTicket {
    core: Arc<Core>,
    lane: Arc<Lane>,
    to: Destination,
    placed: Placed,
    correlation: u64,
    answer: oneshot::Receiver<Answer>,
    deadline: Pin<Box<Sleep>>,
    timeout: Duration,
    is_over: bool,
}

/// A waiter that is in the table while its ask is not in the lane yet.
pub(crate) struct Waiter<'a> {
    core: &'a Core,
    pub(crate) correlation: u64,
    answer: Option<oneshot::Receiver<Answer>>,
}

impl<'a> Waiter<'a> {
    pub(crate) fn new(core: &'a Core) -> Self {
        let (correlation, answer) = core.waiters.register();
        Self { core, correlation, answer: Some(answer) }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if self.answer.is_some() {
            self.core.waiters.forget(self.correlation);
        }
    }
}

impl AskTicket {
    pub(crate) fn new(
        core: Arc<Core>,
        mut waiter: Waiter<'_>,
        to: Destination,
        (placed, lane): (Placed, Arc<Lane>),
        deadline: Instant,
        timeout: Duration,
    ) -> Option<Self> {
        let answer = waiter.answer.take()?;
        let correlation = waiter.correlation;
        let deadline = sleep_until(&core, deadline);
        let is_over = false;
        Some(Self { core, lane, to, placed, correlation, answer, deadline, timeout, is_over })
    }

    /// Takes the ask back. True when it had not left, so that no handler will ever see it.
    fn take_back(&self) -> bool {
        self.core.waiters.forget(self.correlation);
        if self.lane.withdraw(self.placed.serial, self.placed.place) {
            return true;
        }
        add(&self.core.counters.asks_cancelled, 1);
        let mut message = Message::new(Kind::Cancel, Codec::Bincode);
        message.correlation = Some(self.correlation);
        let body = Body::Bytes(Bytes::new());
        let mut parcel = Parcel { message, body, delayed: None, dedup: None, ask: None };
        if let Err(failure) = self.core.try_place(&self.to, &mut parcel, Entrance::Forced) {
            tracing::debug!(%failure, "an ask was given up without a word to its handler");
        }
        false
    }
}

impl Future for AskTicket {
    type Output = Result<ReplyBytes, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Poll::Ready(answer) = Pin::new(&mut this.answer).poll(cx) {
            this.is_over = true;
            return Poll::Ready(answer.unwrap_or_else(|_| Err(nobody_waits())));
        }
        if this.deadline.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        this.is_over = true;
        let never_left = this.take_back();
        // The answer may have come in between.
        if let Ok(answer) = this.answer.try_recv() {
            return Poll::Ready(answer);
        }
        let delivery = if never_left { Delivery::NotDelivered } else { Delivery::Unknown };
        Poll::Ready(Err(passed(this.timeout, delivery)))
    }
}

impl Drop for AskTicket {
    fn drop(&mut self) {
        if !self.is_over {
            self.take_back();
        }
    }
}

impl fmt::Debug for AskTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AskTicket")
            .field("to", &self.to)
            .field("correlation", &self.correlation)
            .finish_non_exhaustive()
    }
}

/// A timer of the bus's runtime: the caller may be on a thread that has none.
pub(crate) fn sleep_until(core: &Core, deadline: Instant) -> Pin<Box<Sleep>> {
    let _runtime = core.runtime.enter();
    Box::pin(tokio::time::sleep_until(deadline))
}

pub(crate) fn passed(after: Duration, delivery: Delivery) -> Failure {
    Failure::with_delivery(FailureKind::DeadlinePassed { after }, delivery)
}

fn nobody_waits() -> Failure {
    let what = "the bus (it was stopped)".to_owned();
    Failure::with_delivery(FailureKind::Unavailable { what }, Delivery::Unknown)
}
