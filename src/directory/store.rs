//! The store as the directory calls it: no call without a limit in time, and how long to wait
//! after one that failed.

use std::{sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};

use crate::{
    kv::{
        KeyValue, KeyValueStore, KvError, Lease, LeaseId, RangeRequest, RangeResponse, Revision,
        Txn, TxnResponse, WatchRequest, Watcher,
    },
    supervision::Backoff,
};

/// How often a call of a caller that waits is tried.
const ATTEMPTS: u32 = 4;

/// A store with a limit round every call.
#[derive(Debug, Clone)]
pub(super) struct Store {
    kv: Arc<dyn KeyValueStore>,
    limit: Duration,
}

impl Store {
    pub(super) fn new(kv: Arc<dyn KeyValueStore>, limit: Duration) -> Self {
        Self { kv, limit }
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<KeyValue>, KvError> {
        self.limited("a read", self.kv.get(key)).await
    }

    pub(super) async fn range(&self, request: RangeRequest) -> Result<RangeResponse, KvError> {
        self.limited("a list", self.kv.range(request)).await
    }

    pub(super) async fn txn(&self, txn: Txn) -> Result<TxnResponse, KvError> {
        self.limited("a transaction", self.kv.txn(txn)).await
    }

    pub(super) async fn grant(&self, ttl: Duration) -> Result<Lease, KvError> {
        self.limited("the grant of a lease", self.kv.lease_grant(ttl)).await
    }

    pub(super) async fn keep_alive(&self, lease: LeaseId) -> Result<Duration, KvError> {
        self.limited("a keep-alive", self.kv.lease_keep_alive(lease)).await
    }

    pub(super) async fn revoke(&self, lease: LeaseId) -> Result<(), KvError> {
        self.limited("the end of a lease", self.kv.lease_revoke(lease)).await
    }

    pub(super) async fn watch(&self, request: WatchRequest) -> Result<Box<dyn Watcher>, KvError> {
        self.limited("the start of a watch", self.kv.watch(request)).await
    }

    pub(super) async fn probe(&self, watcher: &mut dyn Watcher) -> Result<(), KvError> {
        self.limited("a probe of a watch", watcher.request_progress()).await
    }

    /// Everything under a prefix at one revision, page by page.
    pub(super) async fn list(
        &self,
        prefix: &str,
        page_keys: usize,
    ) -> Result<(Vec<KeyValue>, Revision), KvError> {
        self.list_at(prefix, page_keys, None).await
    }

    /// Everything under several prefixes at one revision.
    pub(super) async fn list_all(
        &self,
        prefixes: &[String],
        page_keys: usize,
    ) -> Result<(Vec<KeyValue>, Revision), KvError> {
        let mut all = Vec::new();
        let mut at = None;
        for prefix in prefixes {
            let (kvs, revision) = self.list_at(prefix, page_keys, at).await?;
            all.extend(kvs);
            at = Some(revision);
        }
        Ok((all, at.unwrap_or_default()))
    }

    async fn list_at(
        &self,
        prefix: &str,
        page_keys: usize,
        revision: Option<Revision>,
    ) -> Result<(Vec<KeyValue>, Revision), KvError> {
        let mut request = RangeRequest::prefix(prefix).limit(page_keys);
        request.revision = revision;
        let mut kvs: Vec<KeyValue> = Vec::new();
        loop {
            let page = self.range(request.clone()).await?;
            let at = request.revision.unwrap_or(page.revision);
            let last = page.kvs.last().map(|kv| kv.key.clone());
            kvs.extend(page.kvs);
            match last {
                Some(last) if page.more => request = request.after(last).at(at),
                _ => return Ok((kvs, at)),
            }
        }
    }

    async fn limited<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, KvError>>,
    ) -> Result<T, KvError> {
        let unavailable = |_| KvError::Unavailable { what: what.to_owned(), source: None };
        timeout(self.limit, call).await.map_err(unavailable)?
    }
}

/// Waits between attempts: from 50 ms up, with full jitter so that many nodes don't come back at
/// once.
pub(super) fn backoff(longest: Duration) -> Backoff {
    Backoff::new(Duration::from_millis(50).min(longest), longest)
}

/// Makes a call a few times while the store can't be reached: for reads, and for compared writes. A
/// write that was taken for lost but happened makes the next attempt lose its compare, which looks
/// like a change by somebody else.
pub(super) async fn patiently<T, F>(
    longest_wait: Duration,
    call: impl Fn() -> F,
) -> Result<T, KvError>
where
    F: Future<Output = Result<T, KvError>>,
{
    let mut waits = backoff(longest_wait);
    let mut attempt = 1;
    loop {
        match call().await {
            Err(KvError::Unavailable { .. }) if attempt < ATTEMPTS => {
                attempt += 1;
                sleep(waits.next(fastrand::f64())).await;
            }
            outcome => return outcome,
        }
    }
}
