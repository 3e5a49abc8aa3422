use std::{collections::HashMap, sync::Mutex, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use callboard::kv::{
    Compare, CompareOp, CompareTarget, EmbeddedKv, EventKind, KeyValue, KeyValueStore, KvError,
    LEASE_TTL_MAX, Lease, LeaseId, Op, OpResponse, RangeRequest, RangeResponse, Revision, Txn,
    TxnResponse, WatchBatch, WatchRequest, Watcher,
};
use tokio::task::yield_now;

use super::fault::Fault;

/// The embedded store with one fault.
#[derive(Debug)]
pub(super) struct Broken {
    inner: EmbeddedKv,
    fault: Fault,
    /// The first create revision of each key that was read.
    created: Mutex<HashMap<String, Revision>>,
    kept: Mutex<Vec<Box<dyn Watcher>>>,
    compacted: Mutex<Revision>,
}

impl Broken {
    pub(super) fn new(inner: EmbeddedKv, fault: Fault) -> Self {
        Self {
            inner,
            fault,
            created: Mutex::default(),
            kept: Mutex::default(),
            compacted: Mutex::default(),
        }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn distort(&self, mut kv: KeyValue) -> KeyValue {
        if self.is(Fault::VersionCountsFromZero) {
            kv.version -= 1;
        }
        if self.is(Fault::CreateRevisionIsKept) {
            let mut created = self.created.lock().unwrap();
            kv.create_revision = *created.entry(kv.key.clone()).or_insert(kv.create_revision);
        }
        kv
    }

    async fn newest(&self) -> Result<Revision, KvError> {
        Ok(self.inner.range(RangeRequest::prefix("").limit(1)).await?.revision)
    }

    /// The keys' leases as they are, for puts that should have left them.
    async fn with_old_leases(&self, ops: Vec<Op>) -> Result<Vec<Op>, KvError> {
        let mut kept = Vec::new();
        for mut op in ops {
            if let Op::Put { key, lease, .. } = &mut op
                && let Some(old) = self.inner.get(key).await?.and_then(|kv| kv.lease)
            {
                *lease = Some(old);
            }
            kept.push(op);
        }
        Ok(kept)
    }

    async fn holds(&self, compares: &[Compare]) -> Result<bool, KvError> {
        let txn = Txn { compare: compares.to_vec(), ..Txn::default() };
        Ok(self.inner.txn(txn).await?.succeeded)
    }

    /// Compares the value of an absent key as if it were empty.
    async fn with_empty_values(&self, compares: Vec<Compare>) -> Result<Vec<Compare>, KvError> {
        let mut changed = Vec::new();
        for compare in compares {
            let absent = self.inner.get(&compare.key).await?.is_none();
            match &compare.target {
                CompareTarget::Value(value) if absent => {
                    let ordering = Bytes::new().cmp(value);
                    let holds = match compare.op {
                        CompareOp::Equal => ordering.is_eq(),
                        CompareOp::NotEqual => ordering.is_ne(),
                        CompareOp::Greater => ordering.is_gt(),
                        CompareOp::Less => ordering.is_lt(),
                    };
                    if !holds {
                        changed.push(Compare::present(compare.key));
                    }
                }
                _ => changed.push(compare),
            }
        }
        Ok(changed)
    }

    /// Runs the operations of a transaction one by one.
    async fn run_split(&self, txn: Txn) -> Result<TxnResponse, KvError> {
        let succeeded = self.holds(&txn.compare).await?;
        let mut responses = Vec::new();
        let mut revision = self.newest().await?;
        for op in if succeeded { txn.then } else { txn.otherwise } {
            let response = self.inner.txn(Txn::new([op])).await?;
            revision = response.revision;
            responses.extend(response.responses);
            yield_now().await;
        }
        Ok(TxnResponse { succeeded, revision, responses })
    }

    /// Answers the reads of a transaction from the state before it.
    async fn run_with_early_reads(&self, txn: Txn) -> Result<TxnResponse, KvError> {
        let mut early = Vec::new();
        for op in &txn.then {
            early.push(match op {
                Op::Get { key } => Some(OpResponse::Get(self.inner.get(key).await?)),
                _ => None,
            });
        }
        let mut response = self.inner.txn(txn).await?;
        for (answer, early) in response.responses.iter_mut().zip(early) {
            if let Some(early) = early {
                *answer = early;
            }
        }
        Ok(response)
    }

    async fn delete_absent(&self, txn: &Txn) -> Result<(), KvError> {
        for op in &txn.then {
            if let Op::Delete { key } = op
                && self.inner.get(key).await?.is_none()
            {
                self.inner.txn(Txn::new([Op::put(key, "x", None)])).await?;
            }
        }
        Ok(())
    }

    async fn touch(&self, txn: &Txn) -> Result<(), KvError> {
        if txn.then.iter().all(|op| matches!(op, Op::Get { .. })) {
            self.inner.txn(Txn::new([Op::put("/touched", "x", None)])).await?;
        }
        Ok(())
    }

    /// The transaction as the fault makes it.
    async fn distort_txn(&self, mut txn: Txn) -> Result<Txn, KvError> {
        match self.fault {
            Fault::OneCompareIsEnough => txn.compare.truncate(1),
            Fault::ElseDoesNothing => txn.otherwise.clear(),
            Fault::AbsentValueIsEmpty => txn.compare = self.with_empty_values(txn.compare).await?,
            Fault::PutKeepsTheOldLease => txn.then = self.with_old_leases(txn.then).await?,
            Fault::DeleteOfAbsentIsAChange => self.delete_absent(&txn).await?,
            Fault::ReadsRaiseTheRevision => self.touch(&txn).await?,
            Fault::LessMeansGreater => {
                for compare in &mut txn.compare {
                    compare.op = match compare.op {
                        CompareOp::Less => CompareOp::Greater,
                        other => other,
                    };
                }
            }
            Fault::ComparesThenWrites if !txn.compare.is_empty() => {
                if self.holds(&txn.compare).await? {
                    txn.compare.clear();
                }
                yield_now().await;
            }
            _ => {}
        }
        Ok(txn)
    }

    /// The answer to a transaction that the store did not take.
    async fn distort_refusal(&self, txn: Txn, error: KvError) -> Result<TxnResponse, KvError> {
        let nothing = |revision| TxnResponse { succeeded: true, revision, responses: Vec::new() };
        match (self.fault, &error) {
            (Fault::RefusalsAreSwallowed, KvError::Refused(_)) => Ok(nothing(self.newest().await?)),
            (Fault::RefusesTooLate, KvError::Refused(_)) => {
                self.inner.txn(Txn::new(txn.then.into_iter().take(1))).await?;
                Err(error)
            }
            (Fault::LostLeaseIsIgnored, KvError::LeaseNotFound(_)) => {
                let free = txn.then.into_iter().map(|op| match op {
                    Op::Put { key, value, .. } => Op::put(key, value, None),
                    other => other,
                });
                self.inner.txn(Txn::new(free)).await
            }
            _ => Err(error),
        }
    }

    fn distort_prefix(&self, prefix: &mut String) {
        if self.is(Fault::WidePrefix) && prefix.ends_with('/') {
            prefix.pop();
        }
    }
}

#[async_trait]
impl KeyValueStore for Broken {
    async fn get(&self, key: &str) -> Result<Option<KeyValue>, KvError> {
        if self.is(Fault::StaleReads) {
            let before = Revision((self.newest().await?.0 - 1).max(1));
            let range = self.inner.range(RangeRequest::prefix(key).at(before)).await?;
            return Ok(range.kvs.into_iter().find(|kv| kv.key == key));
        }
        Ok(self.inner.get(key).await?.map(|kv| self.distort(kv)))
    }

    async fn range(&self, mut request: RangeRequest) -> Result<RangeResponse, KvError> {
        let newest = self.newest().await?;
        self.distort_prefix(&mut request.prefix);
        match (self.fault, request.revision) {
            (Fault::ReadsIgnoreTheirRevision, _) => request.revision = None,
            (Fault::ZeroMeansNewest, Some(Revision(..=0))) => request.revision = None,
            (Fault::FutureMeansNewest, Some(at)) if at > newest => request.revision = None,
            (Fault::AfterIsInclusive, _) => {
                if let Some(after) = &mut request.after {
                    after.pop();
                }
            }
            _ => {}
        }
        let mut response = match self.inner.range(request.clone()).await {
            Err(KvError::Compacted { .. }) if self.is(Fault::CompactedReadsAreNewest) => {
                self.inner.range(RangeRequest { revision: None, ..request }).await?
            }
            other => other?,
        };
        if self.is(Fault::PageNeverSaysMore) {
            response.more = false;
        }
        if self.is(Fault::DescendingRange) {
            response.kvs.reverse();
        }
        Ok(response)
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResponse, KvError> {
        if self.is(Fault::SplitsTxns) {
            return self.run_split(txn).await;
        }
        if self.is(Fault::TxnReadsTooEarly) {
            return self.run_with_early_reads(txn).await;
        }
        let txn = self.distort_txn(txn).await?;
        match self.inner.txn(txn.clone()).await {
            Ok(response) => Ok(response),
            Err(error) => self.distort_refusal(txn, error).await,
        }
    }

    async fn lease_grant(&self, ttl: Duration) -> Result<Lease, KvError> {
        let lease = match self.fault {
            Fault::ShortLeases => self.inner.lease_grant(ttl / 2).await?,
            Fault::LeasesNeverEnd => self.inner.lease_grant(LEASE_TTL_MAX).await?,
            Fault::AnyLeaseTime => {
                let ttl = ttl.clamp(Duration::from_secs(1), LEASE_TTL_MAX);
                self.inner.lease_grant(ttl).await?
            }
            _ => self.inner.lease_grant(ttl).await?,
        };
        Ok(Lease { ttl, ..lease })
    }

    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<Duration, KvError> {
        let said = Duration::from_secs(5);
        match self.fault {
            Fault::KeepAliveDoesNothing => Ok(said),
            Fault::KeepAliveIsAlwaysOk => {
                Ok(self.inner.lease_keep_alive(lease).await.unwrap_or(said))
            }
            _ => self.inner.lease_keep_alive(lease).await,
        }
    }

    async fn lease_revoke(&self, lease: LeaseId) -> Result<(), KvError> {
        if self.is(Fault::RevokeDoesNothing) {
            return Ok(());
        }
        self.inner.lease_revoke(lease).await
    }

    async fn watch(&self, mut request: WatchRequest) -> Result<Box<dyn Watcher>, KvError> {
        self.distort_prefix(&mut request.prefix);
        match self.fault {
            Fault::WatchStartsNow => request.from = self.newest().await?.next(),
            Fault::ZeroMeansNewest => request.from = request.from.max(Revision(1)),
            _ => {}
        }
        if self.is(Fault::WatchersStay) {
            let second = self.inner.watch(request.clone()).await?;
            self.kept.lock().unwrap().push(second);
        }
        let watcher = self.inner.watch(request.clone()).await?;
        Ok(Box::new(BrokenWatcher {
            inner: watcher,
            store: self.inner.clone(),
            fault: self.fault,
            request,
            ready: Vec::new(),
            yielded: 0,
            progress: None,
        }))
    }

    async fn compact(&self, revision: Revision) -> Result<(), KvError> {
        match self.fault {
            Fault::CompactsEverything => self.inner.compact(self.newest().await?).await,
            Fault::FutureMeansNewest => {
                self.inner.compact(revision.min(self.newest().await?)).await
            }
            Fault::CompactingAgainFails => {
                let compacted = *self.compacted.lock().unwrap();
                if revision <= compacted {
                    return Err(KvError::Compacted { compacted });
                }
                *self.compacted.lock().unwrap() = revision;
                self.inner.compact(revision).await
            }
            _ => self.inner.compact(revision).await,
        }
    }
}

/// A watch of the embedded store with one fault.
#[derive(Debug)]
struct BrokenWatcher {
    inner: Box<dyn Watcher>,
    store: EmbeddedKv,
    fault: Fault,
    request: WatchRequest,
    /// Batches that come next, the last first.
    ready: Vec<WatchBatch>,
    yielded: usize,
    /// The newest revision when progress was asked for.
    progress: Option<Revision>,
}

impl BrokenWatcher {
    fn distort(&mut self, mut batch: WatchBatch) -> Option<WatchBatch> {
        self.yielded += 1;
        match self.fault {
            Fault::WatchesMissDeletes => batch.events.retain(|e| e.kind == EventKind::Put),
            Fault::DropsBatches if self.yielded.is_multiple_of(2) => return None,
            Fault::RepeatsBatches => self.ready.push(batch.clone()),
            Fault::EventsWithoutLease => {
                batch.events.iter_mut().for_each(|event| event.kv.lease = None);
            }
            Fault::SplitsBatches => {
                let revision = batch.revision;
                let single = batch.events.drain(..).rev();
                self.ready.extend(single.map(|event| WatchBatch { events: vec![event], revision }));
                return self.ready.pop();
            }
            _ => {}
        }
        Some(batch)
    }
}

#[async_trait]
impl Watcher for BrokenWatcher {
    async fn next(&mut self) -> Result<WatchBatch, KvError> {
        loop {
            if let Some(batch) = self.ready.pop() {
                return Ok(batch);
            }
            if let Some(revision) = self.progress.take() {
                return Ok(WatchBatch { events: Vec::new(), revision });
            }
            let batch = match self.inner.next().await {
                Err(KvError::Compacted { compacted })
                    if self.fault == Fault::WatchSkipsCompacted =>
                {
                    let request = WatchRequest { from: compacted, ..self.request.clone() };
                    self.inner = self.store.watch(request).await?;
                    continue;
                }
                other => other?,
            };
            if self.fault == Fault::NextLosesWhenCancelled {
                yield_now().await;
            }
            if let Some(batch) = self.distort(batch) {
                return Ok(batch);
            }
        }
    }

    async fn request_progress(&mut self) -> Result<(), KvError> {
        match self.fault {
            Fault::ProgressIsIgnored => Ok(()),
            Fault::ProgressRunsAhead => {
                let newest = self.store.range(RangeRequest::prefix("").limit(1)).await?.revision;
                self.progress = Some(newest);
                Ok(())
            }
            _ => self.inner.request_progress().await,
        }
    }
}
