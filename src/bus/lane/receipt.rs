use std::{
    fmt,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

use crate::{
    bus::waiters::Waiters,
    error::{Delivery, Failure, FailureKind},
};

/// What became of one frame, for everybody with a message in it.
#[derive(Debug, Default)]
struct Fate {
    outcome: OnceLock<Result<(), Failure>>,
    /// Who waits for it; nobody any more once it is known.
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    wakers: Vec<Option<Waker>>,
    /// Places that are free, so that one who waits again and again takes no more.
    free: Vec<usize>,
}

/// Stands for a message that is in a lane; tells when the log has it.
///
/// Dropping it does not take the message back.
#[derive(Clone)]
pub struct Receipt(Arc<Fate>);

impl Receipt {
    /// Resolves when the message's append was acknowledged, or refused for good.
    ///
    /// # Errors
    /// The failure says what is known of the delivery.
    ///
    /// # Cancel safety
    /// Waiting again gives the same answer.
    pub async fn stored(&self) -> Result<(), Failure> {
        self.clone().into_stored().await
    }

    /// [`stored`](Self::stored), as a future that has its receipt with it: no allocation.
    pub(crate) fn into_stored(self) -> Stored {
        Stored { receipt: self, place: None }
    }

    /// The outcome, if it is known.
    pub fn outcome(&self) -> Option<Result<(), Failure>> {
        self.0.outcome.get().cloned()
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receipt").field(&self.0.outcome.get()).finish()
    }
}

/// Waits until a message's frame is stored, or refused for good.
#[derive(Debug)]
pub(crate) struct Stored {
    receipt: Receipt,
    /// Where its waker is.
    place: Option<usize>,
}

impl Future for Stored {
    type Output = Result<(), Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let fate = &*this.receipt.0;
        if let Some(outcome) = fate.outcome.get() {
            return Poll::Ready(outcome.clone());
        }
        let mut waiting = fate.waiting.lock();
        // It is made known before the wakers are taken: what is not seen here will be woken.
        if let Some(outcome) = fate.outcome.get() {
            return Poll::Ready(outcome.clone());
        }
        let Waiting { wakers, free } = &mut *waiting;
        match this.place.and_then(|place| wakers.get_mut(place)) {
            Some(Some(waker)) => waker.clone_from(cx.waker()),
            Some(none) => *none = Some(cx.waker().clone()),
            None => {
                let place = free.pop().unwrap_or(wakers.len());
                let waker = Some(cx.waker().clone());
                match wakers.get_mut(place) {
                    Some(here) => *here = waker,
                    None => wakers.push(waker),
                }
                this.place = Some(place);
            }
        }
        Poll::Pending
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        let fate = &*self.receipt.0;
        if fate.outcome.get().is_some() {
            return;
        }
        let mut waiting = fate.waiting.lock();
        if let Some(waker) = waiting.wakers.get_mut(place) {
            let waker = waker.take();
            waiting.free.push(place);
            drop(waiting);
            drop(waker);
        }
    }
}

/// The other side of the receipts of one frame. Says something at the latest when it is dropped.
#[derive(Debug)]
pub(super) struct Promise {
    fate: Arc<Fate>,
    waiters: Arc<Waiters>,
    asks: Vec<u64>,
    sent: bool,
}

impl Promise {
    pub(super) fn new(waiters: Arc<Waiters>) -> Self {
        Self { fate: Arc::default(), waiters, asks: Vec::new(), sent: false }
    }

    pub(super) fn receipt(&self) -> Receipt {
        Receipt(self.fate.clone())
    }

    /// An ask in the frame: its waiter must hear of a failure.
    pub(super) fn add_ask(&mut self, correlation: u64) {
        self.asks.push(correlation);
    }

    pub(super) fn mark_sent(&mut self) {
        self.sent = true;
    }

    pub(super) fn keep(self) {
        self.finish(Ok(()));
    }

    pub(super) fn break_it(self, failure: Failure) {
        self.finish(Err(failure));
    }

    fn finish(&self, outcome: Result<(), Failure>) {
        if let Err(failure) = &outcome {
            for correlation in &self.asks {
                self.waiters.complete(*correlation, Err(failure.clone()));
            }
        }
        if self.fate.outcome.set(outcome).is_ok() {
            let waiting = std::mem::take(&mut *self.fate.waiting.lock());
            waiting.wakers.into_iter().flatten().for_each(Waker::wake);
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if self.fate.outcome.get().is_none() {
            let delivery = if self.sent { Delivery::Unknown } else { Delivery::NotDelivered };
            let what = "the bus (it was stopped)".to_owned();
            self.finish(Err(Failure::with_delivery(FailureKind::Unavailable { what }, delivery)));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn all_who_wait_are_told_and_who_went_away_leaves_nothing() {
        let promise = Promise::new(Arc::default());
        let receipt = promise.receipt();
        for _ in 0..100 {
            assert!(receipt.stored().now_or_never().is_none());
        }
        assert_eq!(receipt.0.waiting.lock().wakers.len(), 1, "one place, again and again");
        let waiting: Vec<_> = (0..9).map(|_| tokio::spawn(receipt.clone().into_stored())).collect();
        tokio::task::yield_now().await;
        promise.keep();
        for one in waiting {
            one.await.expect("it ran").expect("it is stored");
        }
        receipt.stored().await.expect("later too");
    }

    #[tokio::test]
    async fn a_dropped_promise_says_what_is_known() {
        let mut promise = Promise::new(Arc::default());
        let receipt = promise.receipt();
        promise.mark_sent();
        drop(promise);
        let failure = receipt.stored().await.expect_err("nobody knows");
        assert_eq!(failure.delivery(), Delivery::Unknown);
    }
}
