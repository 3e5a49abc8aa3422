//! The task that keeps the cache: list, then watch, for ever.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Cache,
    guard::{Guard, Moment},
    model::Model,
};
use crate::{
    directory::{
        DirectoryOptions,
        keys::Keys,
        registration::Registration,
        store::{Store, backoff},
    },
    kv::{KvError, LeaseId, RangeRequest, WatchRequest, Watcher},
};

/// Follows the store into a cache.
#[derive(Debug)]
pub(in crate::directory) struct Follower {
    store: Store,
    keys: Keys,
    cache: Arc<Cache>,
    registration: Arc<Registration>,
    model: Model,
    options: DirectoryOptions,
    audit_at: Instant,
    /// The node's lease when the store was listed.
    lease: Option<LeaseId>,
}

/// Why a watch is over.
#[derive(Debug)]
enum Ended {
    /// Go on from the last revision that was seen.
    Resume(KvError),
    /// What was missed can't be watched any more, or the store is another one.
    Relist(String),
}

impl Follower {
    pub(in crate::directory) fn new(
        store: Store,
        keys: Keys,
        cache: Arc<Cache>,
        registration: Arc<Registration>,
        options: DirectoryOptions,
    ) -> Self {
        let guard = Guard::new(options.node.clone(), options.lease_ttl);
        let model = Model::new(keys.clone(), guard);
        let audit_at = Instant::now();
        Self { store, keys, cache, registration, model, options, audit_at, lease: None }
    }

    /// Runs until it is aborted.
    pub(in crate::directory) async fn run(mut self) {
        let mut waits = backoff(self.options.backoff_max);
        let mut listed = false;
        loop {
            if !listed {
                match self.list().await {
                    Ok(()) => listed = true,
                    Err(error) => {
                        self.lost("the list of the directory failed", &error);
                        sleep(waits.next(fastrand::f64())).await;
                        continue;
                    }
                }
            }
            let since = Instant::now();
            match self.watch().await {
                Ended::Resume(error) => self.lost("the watch of the directory ended", &error),
                Ended::Relist(why) => {
                    tracing::info!(%why, "the directory is listed again");
                    listed = false;
                }
            }
            // One that ran for a while was a good one.
            if since.elapsed() > self.options.silence_max * 2 {
                waits.reset();
            }
            sleep(waits.next(fastrand::f64())).await;
        }
    }

    /// Takes a full list for the truth.
    async fn list(&mut self) -> Result<(), KvError> {
        let lease = self.held();
        let (kvs, revision) =
            self.store.list_all(&self.keys.followed(), self.options.page_keys).await?;
        let at = self.moment();
        let delta = self.model.replace(&kvs, revision, at);
        tracing::debug!(
            keys = kvs.len(), %revision, events = delta.events.len(),
            "the directory was listed"
        );
        self.lease = lease;
        self.cache.publish(&self.model, delta, true);
        self.audit_at = Instant::now() + self.options.audit_every.mul_f64(1.0 + fastrand::f64());
        Ok(())
    }

    fn held(&self) -> Option<LeaseId> {
        self.registration.lease().map(|(lease, _)| lease)
    }

    /// Whether the node had to get another lease since the store was listed. Then the store may have
    /// lost all else, too. Its revision need not tell: others may have written beyond the one that is
    /// known here before this node was back.
    fn has_new_lease(&mut self) -> bool {
        let held = self.held();
        // The first lease of a node is no sign of anything.
        self.lease = self.lease.or(held);
        held.is_some() && held != self.lease
    }

    fn moment(&self) -> Moment {
        let now = Instant::now();
        Moment { now, lapsed: self.registration.lapsed(now) }
    }

    /// Drops suspects that were not heard of again. Only while the store answers: without it nobody
    /// can be heard of.
    fn drop_suspects(&mut self) {
        if self.model.next_due().is_some_and(|due| due <= Instant::now()) {
            let at = self.moment();
            let delta = self.model.expire(at);
            self.cache.publish(&self.model, delta, false);
        }
    }

    fn lost(&self, what: &str, error: &KvError) {
        tracing::debug!(%error, "{what}; trying again");
        self.cache.mark_stale(Instant::now());
    }

    /// Watches from after the model's revision until the watch ends.
    async fn watch(&mut self) -> Ended {
        match self.start_watch().await {
            Ok(mut watcher) => self.pump(watcher.as_mut()).await,
            Err(ended) => ended,
        }
    }

    async fn start_watch(&self) -> Result<Box<dyn Watcher>, Ended> {
        // A store that lost its data starts its revisions again; a watch from one that it will
        // only reach much later would be silent till then.
        let newest = self.store.range(RangeRequest::prefix(self.keys.root()).limit(1)).await;
        let newest = newest.map_err(ended)?.revision;
        if newest < self.model.revision() {
            let known = self.model.revision();
            return Err(Ended::Relist(format!("the store went back from {known} to {newest}")));
        }
        let from = self.model.revision().next();
        let request = WatchRequest { prefix: self.keys.root().to_owned(), from };
        self.store.watch(request).await.map_err(ended)
    }

    async fn pump(&mut self, watcher: &mut dyn Watcher) -> Ended {
        let mut contact = Instant::now();
        let mut probe_at = contact;
        let mut fresh = false;
        loop {
            if fresh {
                self.drop_suspects();
            }
            if self.has_new_lease() {
                return Ended::Relist("this node's lease was lost".to_owned());
            }
            let silent_at = contact + self.options.silence_max;
            let due_at = self.model.next_due().filter(|_| fresh).unwrap_or(silent_at);
            let wake_at = probe_at.min(self.audit_at).min(silent_at).min(due_at);
            match timeout_at(wake_at, watcher.next()).await {
                Ok(Ok(batch)) => {
                    contact = Instant::now();
                    probe_at = contact + self.options.probe_every;
                    if !batch.events.is_empty() {
                        let at = self.moment();
                        let delta = self.model.apply(&batch.events, at);
                        self.cache.publish(&self.model, delta, false);
                    }
                    // The first batch says that the watch lives.
                    if !std::mem::replace(&mut fresh, true) {
                        self.cache.mark_fresh();
                    }
                }
                Ok(Err(error)) => return ended(error),
                Err(_) => {
                    let now = Instant::now();
                    if now >= silent_at {
                        return Ended::Resume(KvError::WatchEnded("it was silent".to_owned()));
                    }
                    if now >= self.audit_at {
                        contact = self.audit(contact).await;
                    }
                    if now >= probe_at {
                        if let Err(error) = self.store.probe(watcher).await {
                            return ended(error);
                        }
                        probe_at = Instant::now() + self.options.probe_every;
                    }
                }
            }
        }
    }

    /// Compares with a full list, and takes that for the truth. Gives the time of the last contact.
    async fn audit(&mut self, contact: Instant) -> Instant {
        match self.list().await {
            Ok(()) => Instant::now(),
            Err(error) => {
                tracing::debug!(%error, "the audit of the directory failed; trying again later");
                self.audit_at = Instant::now() + AUDIT_AGAIN;
                contact
            }
        }
    }
}

/// How long an audit that failed is put off.
const AUDIT_AGAIN: Duration = Duration::from_secs(30);

fn ended(error: KvError) -> Ended {
    match error {
        KvError::Compacted { .. } | KvError::FutureRevision { .. } => {
            Ended::Relist(error.to_string())
        }
        other => Ended::Resume(other),
    }
}
