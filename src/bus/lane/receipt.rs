use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use tokio::sync::Notify;

use crate::{
    bus::waiters::Waiters,
    error::{Delivery, Failure, FailureKind},
};

/// What became of one frame, for everybody with a message in it.
#[derive(Debug, Default)]
struct Fate {
    outcome: OnceLock<Result<(), Failure>>,
    known: Notify,
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
        loop {
            let mut known = std::pin::pin!(self.0.known.notified());
            known.as_mut().enable();
            if let Some(outcome) = self.0.outcome.get() {
                return outcome.clone();
            }
            known.await;
        }
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
            self.fate.known.notify_waiters();
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
