use std::sync::Arc;

use tokio::time::Instant;

use super::{
    settler::settle_all,
    source::{Reading, Source},
};
use crate::{
    bus::core::Core,
    error::Failure,
    log::{Consumer, Entry, Recorded},
    message::{Conclusion, RemoteFrame},
};

/// The inbox of a process that is gone: what is in it is ended without being handled.
#[derive(Debug)]
pub(crate) struct Foreign {
    source: Arc<Source>,
}

impl Foreign {
    /// With the work of telling the log, which has to run beside and ends after
    /// [`finish`](Self::finish).
    pub(crate) fn new(
        core: Arc<Core>,
        reading: Reading,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (source, jobs) = Source::new(core, reading);
        (Self { source: source.clone() }, settle_all(source, jobs))
    }

    /// As whom it is read.
    pub(crate) fn consumer(&self) -> &Consumer {
        &self.source.consumer
    }

    /// Ends an entry that was read or claimed: tells go to the dead letters, asks are refused.
    pub(crate) async fn end(&self, entry: Entry, recorded: Recorded, failure: &Failure) {
        if !self.source.registry.admit(entry.id) {
            return;
        }
        let Some(held) = self.source.open(entry, recorded, None, false).await else { return };
        let remote = RemoteFrame::new(held.clone());
        for index in 0..held.frame.count() {
            if let Some(message) = held.turn(&remote, index, Instant::now()) {
                message.delivery.conclude(Conclusion::NotTaken(failure.clone()));
            }
        }
    }

    /// Resolves when the log knows the end of all that was ended.
    pub(crate) async fn drained(&self) {
        self.source.drained().await;
    }

    /// Nothing more will be ended.
    pub(crate) fn finish(&self) {
        self.source.mark_reading_ended();
    }
}
