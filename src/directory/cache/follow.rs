//! The task that keeps the cache: list, then watch, for ever.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
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
    kv::{KvError, LeaseId, RangeRequest, WatchEvent, WatchRequest, Watcher},
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
        // With one batch on top no more than a subscriber may lag behind.
        let step_max = self.options.events_max / 2;
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
                    let (events, end) = with_what_waits(watcher, batch.events, step_max);
                    if !events.is_empty() {
                        let at = self.moment();
                        let delta = self.model.apply(&events, at);
                        self.cache.publish(&self.model, delta, false);
                    }
                    if let Some(error) = end {
                        return ended(error);
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
                        self.audit().await;
                        // Nobody listened to the watch meanwhile; but the answer was not its own.
                        contact += now.elapsed();
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

    /// Compares with a full list, and takes that for the truth.
    async fn audit(&mut self) {
        if let Err(error) = self.list().await {
            tracing::debug!(%error, "the audit of the directory failed; trying again later");
            self.audit_at = Instant::now() + AUDIT_AGAIN;
        }
    }
}

/// Adds the changes that have arrived already: to show the step of a service takes time by the number of
/// its instances, so a node that is behind must not make one for each change. Stops at so many; the last
/// batch may go over that. Gives the error that ended the watch, if one did.
fn with_what_waits(
    watcher: &mut dyn Watcher,
    mut events: Vec<WatchEvent>,
    step_max: usize,
) -> (Vec<WatchEvent>, Option<KvError>) {
    while events.len() < step_max {
        match watcher.next().now_or_never() {
            None => break,
            Some(Ok(batch)) => events.extend(batch.events),
            Some(Err(error)) => return (events, Some(error)),
        }
    }
    (events, None)
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::kv::{EventKind, KeyValue, Revision, WatchBatch};

    /// Gives what it has, and then waits for ever.
    #[derive(Debug)]
    struct Arrived(VecDeque<Result<WatchBatch, KvError>>);

    #[async_trait::async_trait]
    impl Watcher for Arrived {
        async fn next(&mut self) -> Result<WatchBatch, KvError> {
            match self.0.pop_front() {
                Some(batch) => batch,
                None => std::future::pending().await,
            }
        }

        async fn request_progress(&mut self) -> Result<(), KvError> {
            Ok(())
        }
    }

    fn batch(revision: i64) -> WatchBatch {
        let revision = Revision(revision);
        let kv = KeyValue {
            key: format!("/{revision}"),
            value: Default::default(),
            create_revision: revision,
            mod_revision: revision,
            version: 1,
            lease: None,
        };
        WatchBatch { events: vec![WatchEvent { kind: EventKind::Put, kv }], revision }
    }

    fn revisions(events: &[WatchEvent]) -> Vec<i64> {
        events.iter().map(|event| event.kv.mod_revision.0).collect()
    }

    #[test]
    fn what_has_arrived_is_one_step_in_its_order() {
        let mut watcher = Arrived((2..50).map(|revision| Ok(batch(revision))).collect());
        let (events, end) = with_what_waits(&mut watcher, batch(1).events, 128);
        assert_eq!(revisions(&events), (1..50).collect::<Vec<_>>());
        assert!(end.is_none());
    }

    #[test]
    fn a_step_is_bounded_and_leaves_the_rest_for_the_next() {
        let mut watcher = Arrived((2..=133).map(|revision| Ok(batch(revision))).collect());
        let (events, _) = with_what_waits(&mut watcher, batch(1).events, 128);
        assert_eq!(revisions(&events), (1..=128).collect::<Vec<_>>());
        let (rest, end) = with_what_waits(&mut watcher, Vec::new(), 128);
        assert_eq!(revisions(&rest), (129..=133).collect::<Vec<_>>());
        assert!(end.is_none());
    }

    #[test]
    fn the_end_of_a_watch_takes_nothing_from_what_came_before() {
        let compacted = KvError::Compacted { compacted: Revision(9) };
        let mut watcher = Arrived([Ok(batch(2)), Err(compacted), Ok(batch(3))].into());
        let (events, end) = with_what_waits(&mut watcher, batch(1).events, 128);
        assert_eq!(revisions(&events), [1, 2]);
        assert!(matches!(end, Some(KvError::Compacted { .. })), "{end:?}");
    }
}
