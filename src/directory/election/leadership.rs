use std::{
    fmt,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::select;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::{
    directory::{Directory, DirectoryError, Inner, store::backoff},
    id::Name,
    kv::{
        Compare, EventKind, KvError, LeaseId, RangeRequest, Revision, Txn, TxnResponse,
        WatchRequest,
    },
};

/// How often a leader looks whether its node still has the lease that it leads by.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What grows with each leader of a role: whoever is written to refuses a lower one than it has seen.
///
/// The first part is the generation of the store, which a store that lost its data begins anew; the
/// second the revision of the leader's candidacy. They compare in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken {
    generation: u64,
    revision: i64,
}

impl FencingToken {
    pub(super) fn new(generation: u64, revision: Revision) -> Self {
        Self { generation, revision: revision.0 }
    }

    /// The generation of the store.
    pub fn generation(self) -> u64 {
        self.generation
    }

    /// The revision of the candidacy.
    pub fn revision(self) -> i64 {
        self.revision
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation, self.revision)
    }
}

/// The proof of a leader that it is one. Clones share it.
#[derive(Debug, Clone)]
pub struct Leadership {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    directory: Directory,
    role: Name,
    key: String,
    lease: LeaseId,
    created: Revision,
    token: FencingToken,
    is_over: AtomicBool,
}

impl Leadership {
    pub(super) fn new(
        directory: Directory,
        role: Name,
        key: String,
        lease: LeaseId,
        created: Revision,
        generation: u64,
    ) -> Self {
        let token = FencingToken::new(generation, created);
        let is_over = AtomicBool::new(false);
        Self { held: Arc::new(Held { directory, role, key, lease, created, token, is_over }) }
    }

    /// The role.
    pub fn role(&self) -> &Name {
        &self.held.role
    }

    /// The token to send along to whatever keeps the highest one that it has seen.
    pub fn token(&self) -> FencingToken {
        self.held.token
    }

    /// Until when this node surely leads; the renewal of its lease moves it on. None when it leads
    /// no more.
    pub fn deadline(&self) -> Option<Instant> {
        let held = &*self.held;
        if held.is_over.load(Ordering::Acquire) {
            return None;
        }
        let (lease, deadline) = held.directory.inner.registration.lease()?;
        (lease == held.lease && Instant::now() < deadline).then_some(deadline)
    }

    /// Whether this node leads at this moment: to be asked right before each act that only a leader
    /// may do.
    ///
    /// # Errors
    /// [`DirectoryError::LeadershipLost`].
    pub fn check(&self) -> Result<(), DirectoryError> {
        match self.deadline() {
            Some(_) => Ok(()),
            None => Err(self.lost_because("its lease was not renewed in time, or is gone")),
        }
    }

    /// The condition that holds as long as this candidacy stands, for a transaction of one's own.
    pub fn guard(&self) -> Compare {
        Compare::created_by(&self.held.key, self.held.created)
    }

    /// Runs a transaction in the directory's store that changes something only while this node leads,
    /// whatever it believes itself.
    ///
    /// A transaction that did not succeed ran its other branch: its own conditions did not hold.
    ///
    /// # Errors
    /// [`DirectoryError::LeadershipLost`]: nothing was changed but, when the candidacy went in this
    /// very moment, by the other branch. [`DirectoryError::Store`]: after a time-out it may have
    /// happened.
    ///
    /// # Cancel safety
    /// It happens as a whole or not at all.
    pub async fn write(&self, txn: Txn) -> Result<TxnResponse, DirectoryError> {
        self.check()?;
        let store = &self.held.directory.inner.store;
        let response = store.txn(txn.when(self.guard())).await?;
        if !response.succeeded {
            let own = store.get(&self.held.key).await?;
            if own.is_none_or(|own| own.create_revision != self.held.created) {
                return Err(self.lost_because("its candidacy is gone"));
            }
        }
        Ok(response)
    }

    pub(super) fn end(&self) {
        self.held.is_over.store(true, Ordering::Release);
    }

    pub(super) fn lost_because(&self, why: &'static str) -> DirectoryError {
        DirectoryError::LeadershipLost { role: self.held.role.clone(), why }
    }

    /// Waits until this node leads no more; says why.
    pub(super) async fn lost(&self) -> &'static str {
        let (lapsed, deleted) = (pin!(self.lapsed()), pin!(self.deleted()));
        select(lapsed, deleted).await.factor_first().0
    }

    async fn lapsed(&self) -> &'static str {
        while let Some(deadline) = self.deadline() {
            sleep_until(deadline.min(Instant::now() + LOOK_EVERY)).await;
        }
        "its lease was not renewed in time, or is gone"
    }

    /// Waits for the delete of the candidacy. While the store can't be reached the deadline counts.
    async fn deleted(&self) -> &'static str {
        let held = &*self.held;
        let options = &held.directory.inner.options;
        let mut waits = backoff(options.backoff_max);
        loop {
            match self.watch_own().await {
                Ok(()) => return "its candidacy was deleted",
                Err(error) => {
                    tracing::debug!(role = %held.role, %error, "a leader watches its key again");
                }
            }
            sleep(waits.next(fastrand::f64())).await;
        }
    }

    /// Ready when the key is gone.
    async fn watch_own(&self) -> Result<(), KvError> {
        let held = &*self.held;
        let inner = &held.directory.inner;
        let there = inner.store.range(RangeRequest::prefix(&held.key)).await?;
        if !there.kvs.iter().any(|kv| kv.create_revision == held.created) {
            return Ok(());
        }
        deleted(inner, &held.key, there.revision, || true).await
    }
}

/// Waits until a key was deleted after this revision, or as long as there is something to wait for.
pub(super) async fn deleted(
    inner: &Inner,
    key: &str,
    after: Revision,
    goes_on: impl Fn() -> bool,
) -> Result<(), KvError> {
    let (store, options) = (&inner.store, &inner.options);
    let request = WatchRequest { prefix: key.to_owned(), from: after.next() };
    let mut watcher = store.watch(request).await?;
    let mut contact = Instant::now();
    loop {
        match timeout(options.probe_every, watcher.next()).await {
            Ok(batch) => {
                contact = Instant::now();
                if batch?.events.iter().any(|event| event.kind == EventKind::Delete) {
                    return Ok(());
                }
            }
            Err(_) if !goes_on() => return Ok(()),
            Err(_) if contact.elapsed() > options.silence_max => {
                return Err(KvError::WatchEnded("it was silent".to_owned()));
            }
            Err(_) => store.probe(&mut *watcher).await?,
        }
    }
}
