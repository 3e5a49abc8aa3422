//! Receiving: what comes out of streams, and what becomes of it.
//!
//! Owns reading, handing on by credits, side queues of the inbox, settling, retries, dead letters,
//! replies, and the recovery of what others left behind. Does not decode bodies and knows no actors: it hands messages to an [`Intake`].

mod account;
mod decide;
mod due;
mod foreign;
mod held;
mod inbox;
mod intake;
mod keep;
mod reader;
mod recover;
mod registry;
mod replies;
mod settler;
mod source;
mod unknown;

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::future::select;

pub use intake::{Incoming, Intake, Offered, Run};

use super::core::Core;

pub(crate) use foreign::Foreign;
pub(crate) use replies::read_replies;
pub(crate) use source::{Reading, Source};

/// A stream that is being read into an [`Intake`].
///
/// Dropping it stops the reading; what is held is settled all the same.
#[derive(Debug)]
pub struct Consumption {
    source: Arc<Source>,
}

impl Consumption {
    /// Reads a service's stream or a topic: by credits.
    pub(super) fn by_credit(core: &Arc<Core>, reading: Reading, intake: Arc<dyn Intake>) -> Self {
        Self::start(core, reading, reader::ByCredit(intake))
    }

    /// Reads the inbox: with side queues.
    pub(super) fn of_inbox(core: &Arc<Core>, reading: Reading, intake: Arc<dyn Intake>) -> Self {
        Self::start(core, reading, inbox::BySideQueue::new(intake))
    }

    fn start(core: &Arc<Core>, reading: Reading, deliver: impl reader::Deliver) -> Self {
        let (source, jobs) = Source::new(core.clone(), reading);
        core.remember(&source);
        core.spawn(settler::settle_all(source.clone(), jobs));
        core.spawn(keep::keep_held(source.clone()));
        core.spawn(reader::take_all(source.clone(), deliver));
        if source.retries.is_none() {
            core.spawn(due::release_due(source.clone()));
        }
        Self { source }
    }

    /// Ends the reading. Messages that were read and not yet taken go back to the stream (asks are
    /// refused); those that were taken go on.
    pub async fn stop(&self) {
        self.source.end_reading().await;
    }

    /// Resolves when everything that was read is settled. Call [`stop`](Self::stop) before.
    ///
    /// # Cancel safety
    /// Waiting again is fine.
    pub async fn drained(&self) {
        self.source.drained().await;
    }

    /// How many entries are held: read and not settled.
    pub fn held(&self) -> usize {
        self.source.held()
    }
}

impl Drop for Consumption {
    fn drop(&mut self) {
        self.source.stop();
    }
}

impl Source {
    /// Stops reading, and ends the read that may be blocked.
    pub(crate) async fn end_reading(&self) {
        self.stop();
        let mut tries = 0;
        while !self.has_ended_reading() {
            // A blocked read of another source of this process may have eaten the last one.
            let unblock = self.core.log.unblock(&self.consumer.name);
            let limit = self.core.limits.call_timeout;
            if !matches!(tokio::time::timeout(limit, unblock).await, Ok(Ok(()))) {
                tracing::debug!(stream = %self.stream, tries, "a blocked read was not ended");
            }
            tries += 1;
            let pause = tokio::time::sleep(Duration::from_millis(20));
            select(pin!(pause), pin!(self.reading_ended())).await;
        }
    }
}
