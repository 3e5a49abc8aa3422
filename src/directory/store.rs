//! The store as the directory calls it: no call without a limit in time, and how long to wait
//! after one that failed.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{
    kv::{
        KeyValue, KeyValueStore, KvError, Lease, LeaseId, RangeRequest, RangeResponse, Revision,
        Txn, TxnResponse, WatchRequest, Watcher,
    },
    supervision::Backoff,
};

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
        let mut request = RangeRequest::prefix(prefix).limit(page_keys);
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
