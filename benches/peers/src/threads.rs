use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};

use tokio::{runtime, time::Instant};

use crate::shared::Result;

/// How long the actor may take until the caller sees it.
const FOUND_MAX: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// Tokio's threads for a peer, beside the one that calls.
#[derive(Debug)]
pub(crate) struct Threads(Option<runtime::Runtime>);

impl Threads {
    pub(crate) fn start(count: usize) -> Result<Self> {
        let mut builder = runtime::Builder::new_multi_thread();
        Ok(Self(Some(builder.worker_threads(count).enable_all().build()?)))
    }

    /// Runs something on them and waits for it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        task: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.0.as_ref().ok_or("the threads have ended")?.spawn(task).await?
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Waiting for them is not allowed where this is dropped.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// An address on which nobody listens.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Looks until something is there.
pub(crate) async fn found<T>(mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + FOUND_MAX;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err("the actor in the other process was not found in time".into());
        }
        tokio::time::sleep(POLL).await;
    }
}
