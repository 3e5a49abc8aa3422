//! The embedded store: the key-value port inside one process, with nothing to install.
//!
//! Owns its keys with their history, leases and watches. Stores nothing on disk and starts no
//! thread and no task: leases end by whoever calls or waits next.

mod history;
mod lease;
mod state;
mod watch;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use self::{state::State, watch::EmbeddedWatcher};
use super::{
    KeyValue, KeyValueStore, KvError, Lease, LeaseId, RangeRequest, RangeResponse, Revision, Txn,
    TxnResponse, WatchRequest, Watcher, bounds,
};

/// How much of the past an embedded store keeps.
///
/// The store compacts itself to stay within both bounds, so a process that runs for long does not
/// grow; a watch that lags further behind is told [`KvError::Compacted`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddedKvOptions {
    /// The most revisions to keep; 10 000 by default, at least 1.
    pub history_revisions_max: usize,
    /// The most bytes of changes to keep beside the newest revision; 64 MiB by default.
    pub history_bytes_max: usize,
}

impl Default for EmbeddedKvOptions {
    fn default() -> Self {
        Self { history_revisions_max: 10_000, history_bytes_max: 64 << 20 }
    }
}

/// A revisioned store inside this process.
///
/// Clones share one store, across threads, runtimes and systems. Its time is tokio's: in a runtime
/// with a paused clock leases live by that clock. The history is bounded, see
/// [`EmbeddedKvOptions`]. Waiting on a watch needs a runtime with its timer enabled.
///
/// # Examples
/// ```
/// use callboard::kv::{EmbeddedKv, KeyValueStore, Op, Txn};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let store = EmbeddedKv::new();
/// store.txn(Txn::new([Op::put("/a", "1", None)])).await?;
/// assert_eq!(store.get("/a").await?.unwrap().version, 1);
/// # Ok::<(), callboard::kv::KvError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct EmbeddedKv {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Wakes all who wait on a watch after a change.
    changed: tokio::sync::watch::Sender<()>,
}

impl EmbeddedKv {
    /// An empty store with the default bounds on its history.
    pub fn new() -> Self {
        Self::with_options(EmbeddedKvOptions::default())
    }

    /// An empty store.
    pub fn with_options(options: EmbeddedKvOptions) -> Self {
        let state = Mutex::new(State::new(options, Instant::now()));
        let (changed, _) = tokio::sync::watch::channel(());
        Self { shared: Arc::new(Shared { state, changed }) }
    }

    /// How many watches are open, over all clones.
    pub fn watchers(&self) -> usize {
        self.shared.changed.receiver_count()
    }

    /// The state as of now: leases whose time is over are ended first.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.shared.state.lock();
        if state.advance(Instant::now()) {
            self.shared.changed.send_replace(());
        }
        state
    }

    /// Changes the state, and wakes the watches if there is something new for them.
    ///
    /// A new lease alone wakes nobody: only a put under it makes its end interesting, and that put
    /// makes every waiting watch look at the next expiry again.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let before = state.newest();
        let result = change(&mut state);
        if state.newest() != before {
            self.shared.changed.send_replace(());
        }
        result
    }

    fn next_expiry(&self) -> Option<Instant> {
        self.shared.state.lock().next_expiry()
    }
}

impl Default for EmbeddedKv {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for EmbeddedKv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedKv").field("watchers", &self.watchers()).finish_non_exhaustive()
    }
}

#[async_trait]
impl KeyValueStore for EmbeddedKv {
    async fn get(&self, key: &str) -> Result<Option<KeyValue>, KvError> {
        bounds::check_key(key)?;
        Ok(self.state().get(key))
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, KvError> {
        bounds::check_range(&request)?;
        self.state().range(&request)
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResponse, KvError> {
        bounds::check_txn(&txn)?;
        self.change(|state| state.txn(txn))
    }

    async fn lease_grant(&self, ttl: Duration) -> Result<Lease, KvError> {
        bounds::check_ttl(ttl)?;
        Ok(self.change(|state| state.grant(ttl)))
    }

    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<Duration, KvError> {
        self.change(|state| state.keep_alive(lease))
    }

    async fn lease_revoke(&self, lease: LeaseId) -> Result<(), KvError> {
        self.change(|state| state.revoke(lease))
    }

    async fn watch(&self, request: WatchRequest) -> Result<Box<dyn Watcher>, KvError> {
        bounds::check_watch(&request)?;
        let changed = self.shared.changed.subscribe();
        Ok(Box::new(EmbeddedWatcher::new(self.clone(), request.prefix, request.from, changed)))
    }

    async fn compact(&self, revision: Revision) -> Result<(), KvError> {
        bounds::check_revision(revision)?;
        self.change(|state| state.compact(revision))
    }
}
