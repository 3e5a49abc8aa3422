//! Callers of a service.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

use callboard::prelude::*;
use callboard_tests::worker::{Echo, Put, Worker};
use tokio::task::JoinHandle;

/// Callers that tell and ask without a pause until they are told to end.
pub struct Load {
    ends: Arc<AtomicBool>,
    told: Arc<AtomicU64>,
    callers: Vec<JoinHandle<Vec<Failure>>>,
}

impl Load {
    pub fn of(service: &ServiceRef<Worker>) -> Self {
        let (ends, told) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let callers = (0..8).map(|caller: u64| {
            let (service, ends, told) = (service.clone(), Arc::clone(&ends), Arc::clone(&told));
            tokio::spawn(async move {
                let mut failed = Vec::new();
                while !ends.load(SeqCst) {
                    if caller.is_multiple_of(2) {
                        let id = told.fetch_add(1, SeqCst);
                        let tell = service.tell(Put { id, micros: 1000 }).await;
                        failed.extend(tell.err().map(|error| error.into()));
                    } else {
                        let ask = service.ask(Echo { n: caller, micros: 1000 });
                        match ask.timeout(Duration::from_secs(3)).await {
                            Ok((n, _)) => assert_eq!(n, caller),
                            Err(AskError::Failed(failure)) => failed.push(failure),
                            Err(AskError::Rejected(never)) => match never {},
                        }
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                failed
            })
        });
        Self { callers: callers.collect(), told, ends }
    }

    /// How many were told, and what failed.
    pub async fn end(self) -> (usize, Vec<Failure>) {
        self.ends.store(true, SeqCst);
        let mut failed = Vec::new();
        for caller in self.callers {
            failed.extend(caller.await.expect("answers are right"));
        }
        (usize::try_from(self.told.load(SeqCst)).expect("not that many"), failed)
    }
}
