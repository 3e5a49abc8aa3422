//! What every case needs: short calls that turn errors into failures of the case.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};

use super::{CaseFailure, Subject, Timing};
use crate::kv::{
    EventKind, KeyValue, KeyValueStore, KvError, Lease, LeaseId, Op, RangeRequest, Revision, Txn,
    TxnResponse, WatchEvent, WatchRequest, Watcher,
};

/// Shorthand of all cases.
pub(super) type Outcome<T = ()> = Result<T, CaseFailure>;

/// A store under test with a prefix of the case's own.
#[derive(Debug)]
pub(super) struct Bench {
    subject: Subject,
    prefix: String,
}

/// Fails the case unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::testing::kv_suite::CaseFailure::new(format!($($text)+)));
        }
    };
}
pub(super) use ensure;

impl Bench {
    pub(super) fn new(subject: Subject, case: &str) -> Self {
        let prefix = format!("/suite/{case}/{:016x}/", fastrand::u64(..));
        Self { subject, prefix }
    }

    pub(super) fn store(&self) -> &Arc<dyn KeyValueStore> {
        &self.subject.store
    }

    pub(super) fn timing(&self) -> Timing {
        self.subject.timing
    }

    /// Open watches, where the subject can tell.
    pub(super) fn watchers(&self) -> Option<usize> {
        self.subject.watchers.as_ref().map(|count| count())
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(super) async fn txn(&self, txn: Txn) -> Outcome<TxnResponse> {
        self.store().txn(txn).await.map_err(|error| failed("a transaction", &error))
    }

    /// Writes one key and gives the revision.
    pub(super) async fn put(&self, name: &str, value: &str) -> Outcome<Revision> {
        self.put_under(name, value, None).await
    }

    pub(super) async fn put_under(
        &self,
        name: &str,
        value: &str,
        lease: Option<LeaseId>,
    ) -> Outcome<Revision> {
        let put = Op::put(self.key(name), value.to_owned(), lease);
        Ok(self.txn(Txn::new([put])).await?.revision)
    }

    pub(super) async fn delete(&self, name: &str) -> Outcome<Revision> {
        Ok(self.txn(Txn::new([Op::delete(self.key(name))])).await?.revision)
    }

    pub(super) async fn get(&self, name: &str) -> Outcome<Option<KeyValue>> {
        self.store().get(&self.key(name)).await.map_err(|error| failed("a read", &error))
    }

    /// Reads a key that must be there.
    pub(super) async fn existing(&self, name: &str) -> Outcome<KeyValue> {
        let found = self.get(name).await?;
        found.ok_or_else(|| CaseFailure::new(format!("the key {name} is not there")))
    }

    /// Names and values of all keys of the case.
    pub(super) async fn all(&self, at: Option<Revision>) -> Outcome<Vec<(String, String)>> {
        let request = RangeRequest { revision: at, ..RangeRequest::prefix(&self.prefix) };
        let response =
            self.store().range(request).await.map_err(|error| failed("a range", &error))?;
        Ok(response.kvs.iter().map(|kv| (self.name(kv), text(kv))).collect())
    }

    pub(super) async fn newest(&self) -> Outcome<Revision> {
        let request = RangeRequest::prefix(&self.prefix).limit(1);
        let response = self.store().range(request).await;
        Ok(response.map_err(|error| failed("a range", &error))?.revision)
    }

    /// The key's name within the case.
    pub(super) fn name(&self, kv: &KeyValue) -> String {
        kv.key.strip_prefix(&self.prefix).unwrap_or(&kv.key).to_owned()
    }

    pub(super) async fn grant(&self) -> Outcome<Lease> {
        let granted = self.store().lease_grant(self.timing().ttl).await;
        granted.map_err(|error| failed("the grant of a lease", &error))
    }

    /// Longer than a lease of the bench can live without a keep-alive.
    pub(super) fn surely_expired(&self, lease: &Lease) -> Duration {
        lease.ttl + self.timing().expiry_slack
    }

    pub(super) async fn watch(&self, from: Revision) -> Outcome<Box<dyn Watcher>> {
        let request = WatchRequest { prefix: self.prefix.clone(), from };
        self.store().watch(request).await.map_err(|error| failed("the start of a watch", &error))
    }

    /// Waits for at least so many changes and gives them as text, with their revisions.
    pub(super) async fn changes(
        &self,
        watcher: &mut Box<dyn Watcher>,
        count: usize,
    ) -> Outcome<Vec<String>> {
        let mut seen = Vec::new();
        let deadline = Instant::now() + self.timing().patience;
        while seen.len() < count {
            let batch = tokio::time::timeout_at(deadline, watcher.next()).await;
            let batch = batch.map_err(|_| {
                CaseFailure::new(format!("the watch gave {seen:?} and not {count} changes in time"))
            })?;
            let batch = batch.map_err(|error| failed("a watch", &error))?;
            seen.extend(batch.events.iter().map(|event| self.describe(event)));
        }
        Ok(seen)
    }

    /// Fails when the watch shows a change while nothing is written.
    pub(super) async fn stays_quiet(&self, watcher: &mut Box<dyn Watcher>) -> Outcome {
        let deadline = Instant::now() + self.timing().quiet;
        while let Ok(batch) = tokio::time::timeout_at(deadline, watcher.next()).await {
            let batch = batch.map_err(|error| failed("an idle watch", &error))?;
            let events: Vec<_> = batch.events.iter().map(|event| self.describe(event)).collect();
            ensure!(events.is_empty(), "the watch shows {events:?}, which nobody wrote for it");
        }
        Ok(())
    }

    /// `+name=value@revision` for a put, `-name@revision` for a delete.
    pub(super) fn describe(&self, event: &WatchEvent) -> String {
        let (name, revision) = (self.name(&event.kv), event.kv.mod_revision);
        match event.kind {
            EventKind::Put => format!("+{name}={}@{revision}", text(&event.kv)),
            EventKind::Delete => format!("-{name}@{revision}"),
        }
    }

    /// Waits for something that must come soon.
    pub(super) async fn soon<T>(&self, what: &str, future: impl Future<Output = T>) -> Outcome<T> {
        let patience = self.timing().patience;
        let waited = timeout(patience, future).await;
        waited.map_err(|_| CaseFailure::new(format!("{what} did not come within {patience:?}")))
    }
}

/// The value of a key as text.
pub(super) fn text(kv: &KeyValue) -> String {
    String::from_utf8_lossy(&kv.value).into_owned()
}

/// What of the store failed unexpectedly.
pub(super) fn failed(what: &str, error: &KvError) -> CaseFailure {
    CaseFailure::new(format!("{what} failed: {error}"))
}

/// Fails unless the result is the expected error.
pub(super) fn expect_error<T: std::fmt::Debug>(
    what: &str,
    result: Result<T, KvError>,
    expected: fn(&KvError) -> bool,
) -> Outcome {
    match result {
        Err(error) if expected(&error) => Ok(()),
        other => Err(CaseFailure::new(format!("{what} gave {other:?}"))),
    }
}
