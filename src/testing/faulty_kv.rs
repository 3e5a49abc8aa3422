use std::{fmt, future::pending, sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::kv::{
    KeyValue, KeyValueStore, KvError, Lease, LeaseId, RangeRequest, RangeResponse, Revision, Txn,
    TxnResponse, WatchBatch, WatchRequest, Watcher,
};

/// How often what goes wrong. Each is a chance from 0 to 1 per call or batch; the default is a
/// store without faults.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct KvFaults {
    /// A call fails and did not happen.
    pub error: f64,
    /// A call never ends and did not happen.
    pub hang: f64,
    /// A write happens, but the call fails.
    pub ambiguous: f64,
    /// A call fails, and its write happens up to [`late_max`](Self::late_max) later.
    pub late: f64,
    /// How late such a write may come.
    pub late_max: Duration,
    /// A request takes up to this long on its way to the store, and as long again its answer.
    pub delay_max: Duration,
    /// A watch ends with an error.
    pub watch_end: f64,
    /// A watch says nothing any more, and does not end.
    pub watch_silence: f64,
    /// A batch of a watch is lost without a sign. No store that keeps the contract does this: it
    /// is for testing what audits a cache.
    pub watch_loss: f64,
}

/// A store through which another one fails as networks and servers do.
///
/// Draws its faults from a seed, so that a failed test can be run again: print it. Clones share one
/// state. Frozen it is like a server that was stopped by a signal: nothing answers, nothing ends.
#[derive(Clone)]
pub struct FaultyKv {
    shared: Arc<Shared>,
}

struct Shared {
    store: Mutex<Arc<dyn KeyValueStore>>,
    faults: Mutex<(KvFaults, fastrand::Rng)>,
    frozen: watch::Sender<bool>,
    /// Goes up when the store is replaced: its watches are over then.
    life: watch::Sender<u64>,
}

/// What becomes of one call.
enum Fate {
    Happens,
    Fails,
    Hangs,
    FailsAfter,
    FailsAndComesLate(Duration),
}

impl FaultyKv {
    /// A store without faults, until [`set`](Self::set) is called.
    pub fn new(store: Arc<dyn KeyValueStore>, seed: u64) -> Self {
        let faults = (KvFaults::default(), fastrand::Rng::with_seed(seed));
        Self {
            shared: Arc::new(Shared {
                store: Mutex::new(store),
                faults: Mutex::new(faults),
                frozen: watch::Sender::new(false),
                life: watch::Sender::new(0),
            }),
        }
    }

    /// Sets how often what goes wrong from now on.
    pub fn set(&self, faults: KvFaults) {
        self.shared.faults.lock().0 = faults;
    }

    /// Ends all faults. Calls that hang go on hanging.
    pub fn heal(&self) {
        self.set(KvFaults::default());
        self.thaw();
    }

    /// Stops every call and every watch where it is.
    pub fn freeze(&self) {
        self.shared.frozen.send_replace(true);
    }

    /// Lets what was frozen go on.
    pub fn thaw(&self) {
        self.shared.frozen.send_replace(false);
    }

    /// Puts another store in the place of this one, as after the loss of a disk; its watches end.
    pub fn replace(&self, store: Arc<dyn KeyValueStore>) {
        *self.shared.store.lock() = store;
        self.shared.life.send_modify(|life| *life += 1);
    }

    fn store(&self) -> Arc<dyn KeyValueStore> {
        Arc::clone(&self.shared.store.lock())
    }

    fn chance(&self, of: impl Fn(&KvFaults) -> f64) -> bool {
        let (faults, random) = &mut *self.shared.faults.lock();
        random.f64() < of(faults)
    }

    fn delay(&self, of: impl Fn(&KvFaults) -> Duration) -> Duration {
        let (faults, random) = &mut *self.shared.faults.lock();
        of(faults).mul_f64(random.f64())
    }

    fn fate(&self, writes: bool) -> Fate {
        if self.chance(|faults| faults.error) {
            Fate::Fails
        } else if self.chance(|faults| faults.hang) {
            Fate::Hangs
        } else if writes && self.chance(|faults| faults.ambiguous) {
            Fate::FailsAfter
        } else if writes && self.chance(|faults| faults.late) {
            Fate::FailsAndComesLate(self.delay(|faults| faults.late_max))
        } else {
            Fate::Happens
        }
    }

    async fn until_thawed(&self) {
        // The sender lives as long as this.
        self.shared.frozen.subscribe().wait_for(|frozen| !frozen).await.ok();
    }

    /// Makes one call, or not.
    async fn call<T, F>(&self, what: &str, writes: bool, call: F) -> Result<T, KvError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, KvError>> + Send + 'static,
    {
        let failed =
            || KvError::Unavailable { what: what.to_owned(), source: Some("injected".into()) };
        sleep(self.delay(|faults| faults.delay_max)).await;
        self.until_thawed().await;
        // The fate is drawn late: what was frozen meets the faults of when it goes on.
        match self.fate(writes) {
            Fate::Happens => {
                let outcome = call.await;
                sleep(self.delay(|faults| faults.delay_max)).await;
                outcome
            }
            Fate::Fails => Err(failed()),
            Fate::Hangs => pending().await,
            Fate::FailsAfter => {
                drop(call.await);
                Err(failed())
            }
            Fate::FailsAndComesLate(delay) => {
                // On its way to the server, whatever becomes of the caller; it ends by itself.
                tokio::spawn(async move {
                    sleep(delay).await;
                    drop(call.await);
                });
                Err(failed())
            }
        }
    }
}

impl fmt::Debug for FaultyKv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = self.shared.faults.lock().0;
        f.debug_struct("FaultyKv").field("faults", &faults).finish_non_exhaustive()
    }
}

#[async_trait]
impl KeyValueStore for FaultyKv {
    async fn get(&self, key: &str) -> Result<Option<KeyValue>, KvError> {
        let (store, key) = (self.store(), key.to_owned());
        self.call("a read", false, async move { store.get(&key).await }).await
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, KvError> {
        let store = self.store();
        self.call("a range", false, async move { store.range(request).await }).await
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResponse, KvError> {
        let store = self.store();
        self.call("a transaction", true, async move { store.txn(txn).await }).await
    }

    async fn lease_grant(&self, ttl: Duration) -> Result<Lease, KvError> {
        let store = self.store();
        self.call("a grant", true, async move { store.lease_grant(ttl).await }).await
    }

    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<Duration, KvError> {
        let store = self.store();
        self.call("a keep-alive", true, async move { store.lease_keep_alive(lease).await }).await
    }

    async fn lease_revoke(&self, lease: LeaseId) -> Result<(), KvError> {
        let store = self.store();
        self.call("a revoke", true, async move { store.lease_revoke(lease).await }).await
    }

    async fn watch(&self, request: WatchRequest) -> Result<Box<dyn Watcher>, KvError> {
        let (store, life) = (self.store(), self.shared.life.subscribe());
        let watch = async move { store.watch(request).await };
        let inner = self.call("the start of a watch", false, watch).await?;
        Ok(Box::new(FaultyWatcher { inner, kv: self.clone(), life, silent: false }))
    }

    async fn compact(&self, revision: Revision) -> Result<(), KvError> {
        let store = self.store();
        self.call("a compaction", true, async move { store.compact(revision).await }).await
    }
}

#[derive(Debug)]
struct FaultyWatcher {
    inner: Box<dyn Watcher>,
    kv: FaultyKv,
    life: watch::Receiver<u64>,
    silent: bool,
}

/// How often a waiting watch looks whether it was frozen or its store replaced.
const LOOK: Duration = Duration::from_millis(50);

#[async_trait]
impl Watcher for FaultyWatcher {
    async fn next(&mut self) -> Result<WatchBatch, KvError> {
        self.silent |= self.kv.chance(|faults| faults.watch_silence);
        if self.silent {
            return pending().await;
        }
        if self.kv.chance(|faults| faults.watch_end) {
            return Err(KvError::WatchEnded("injected".to_owned()));
        }
        loop {
            if self.life.has_changed().unwrap_or(true) {
                return Err(KvError::WatchEnded("the store was replaced".to_owned()));
            }
            self.kv.until_thawed().await;
            // Dropping `next` loses nothing.
            if let Ok(batch) = timeout(LOOK, self.inner.next()).await
                && (batch.is_err() || !self.kv.chance(|faults| faults.watch_loss))
            {
                return batch;
            }
        }
    }

    async fn request_progress(&mut self) -> Result<(), KvError> {
        self.kv.until_thawed().await;
        self.inner.request_progress().await
    }
}
