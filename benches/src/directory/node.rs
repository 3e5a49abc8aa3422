//! A node of a cluster as a process has it: a thread for its I/O, a connection, a directory.

use std::{future::Future, sync::Arc, thread, time::Duration};

use callboard::{
    Incarnation, Name,
    directory::{Directory, DirectoryOptions},
    kv::{EtcdKv, EtcdOptions, KeyValueStore},
};
use rustix::time::{ClockId, clock_gettime};
use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

use super::Result;

/// Longer than any list of a benchmark takes.
const CALL_MAX: Duration = Duration::from_secs(60);

/// A thread with a connection to the store, for a directory or for bare calls.
#[derive(Debug)]
pub struct Line {
    /// The store over this connection.
    pub kv: Arc<dyn KeyValueStore>,
    runtime: Handle,
    /// Its thread ends when this is dropped.
    _stop: oneshot::Sender<()>,
}

/// Where the store of a row is.
#[derive(Debug, Clone)]
pub enum Place {
    /// A private etcd, by its address; each line has a connection of its own.
    Etcd(String),
    /// This store in the process.
    Embedded(Arc<dyn KeyValueStore>),
}

impl Line {
    /// Starts the thread and connects.
    ///
    /// # Errors
    /// When etcd can't be reached.
    pub async fn open(place: &Place) -> Result<Self> {
        // As the I/O thread of a system.
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        // It ends by the drop of its sender, which reads as an error.
        thread::spawn(move || runtime.block_on(stopped).is_err());
        let kv = handle.spawn(connect(place.clone())).await??;
        Ok(Self { kv, runtime: handle, _stop: stop })
    }

    /// The runtime of its thread.
    pub fn handle(&self) -> &Handle {
        &self.runtime
    }

    /// Runs something on its thread.
    ///
    /// # Errors
    /// When that panics.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T> {
        Ok(self.handle().spawn(work).await?)
    }

    /// Processor time that its thread has used so far.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub async fn used(&self) -> Result<Duration> {
        self.run(async { used_by_this_thread() }).await
    }
}

/// Processor time that the calling thread has used so far.
pub fn used_by_this_thread() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).expect("a thread does not run backwards");
    Duration::new(seconds, u32::try_from(time.tv_nsec).expect("less than a second"))
}

async fn connect(place: Place) -> Result<Arc<dyn KeyValueStore>> {
    match place {
        Place::Etcd(url) => {
            let mut options = EtcdOptions::new([url]);
            options.call_timeout = CALL_MAX;
            Ok(Arc::new(EtcdKv::connect(options).await?))
        }
        Place::Embedded(kv) => Ok(kv),
    }
}

/// A line with a directory.
#[derive(Debug)]
pub struct Node {
    /// This node's part in the directory.
    pub directory: Directory,
    /// Its thread and its connection.
    pub line: Line,
}

impl Node {
    /// Joins a cluster; ready when it has learnt what stands there.
    ///
    /// # Errors
    /// When the store can't be reached.
    pub async fn join(place: &Place, cluster: &Name, node: &str) -> Result<Self> {
        let line = Line::open(place).await?;
        let kv = Arc::clone(&line.kv);
        let mut options =
            DirectoryOptions::new(cluster.clone(), Name::new(node)?, Incarnation::fresh());
        // Not in the middle of a row.
        options.audit_every = Duration::from_secs(3600);
        let runtime = line.handle().clone();
        let directory =
            line.run(async move { Directory::start(kv, options, runtime).await }).await??;
        Ok(Self { directory, line })
    }
}
