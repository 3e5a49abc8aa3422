//! The loop that makes the store agree with what is desired, and never gives up.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout_at};

use super::{HeldLease, Registration, Wanted};
use crate::{
    directory::{
        DirectoryOptions, InstanceName, NodeRecord,
        keys::{Key, Keys},
        record::decode,
        store::{Store, backoff},
    },
    id::{Incarnation, Name},
    kv::{Compare, KeyValue, KvError, LeaseId, Op, OpResponse, Revision, Txn, TxnResponse},
};

/// Operations in one transaction: stores take 128.
const BATCH: usize = 100;
/// Bytes of values in one transaction: etcd takes requests of up to 1.5 MiB.
const BATCH_BYTES: usize = 1 << 20;
/// How long a `bye` explains why an instance is gone.
const BYE_TTL: Duration = Duration::from_secs(60);

/// How long the key of a dead process may stand: its lease, once more when the store got a new leader
/// in between, and the longest wait until the next look. Less than the start's own limit, so that it
/// says what is in its way.
fn occupied_max(options: &DirectoryOptions) -> Duration {
    (options.lease_ttl * 2 + options.backoff_max).min(options.patience.mul_f64(0.9))
}

/// The state of the loop: what it believes to be in the store.
#[derive(Debug)]
pub(in crate::directory) struct Registrar {
    store: Store,
    keys: Keys,
    registration: Arc<Registration>,
    options: DirectoryOptions,
    node_key: String,
    node_value: Bytes,
    lease: Option<LeaseId>,
    renew_at: Instant,
    verify_at: Instant,
    /// The revision of our node's key; instances are written only while it stands.
    node: Option<Revision>,
    /// Whether the node's key was ever ours.
    was_registered: bool,
    /// Until when a later life that stands before our first registration may be a dead one.
    occupied_until: Option<Instant>,
    registered: BTreeMap<InstanceName, Arc<Wanted>>,
    reported: BTreeMap<String, Option<Bytes>>,
    /// The revision of the last write.
    revision: Revision,
}

/// Why a pass did not come to its end.
#[derive(Debug)]
enum Stopped {
    Store(KvError),
    /// Somebody else changed our node's key meanwhile.
    Contended,
    /// A life that counts as later has the name, and may be over.
    Occupied,
    Superseded(Incarnation),
}

impl From<KvError> for Stopped {
    fn from(error: KvError) -> Self {
        Self::Store(error)
    }
}

impl Registrar {
    pub(in crate::directory) fn new(
        store: Store,
        keys: Keys,
        registration: Arc<Registration>,
        options: DirectoryOptions,
        node_value: Bytes,
    ) -> Self {
        let now = Instant::now();
        Self {
            node_key: keys.node(&options.node),
            verify_at: now + options.verify_every,
            store,
            keys,
            registration,
            options,
            node_value,
            lease: None,
            renew_at: now,
            node: None,
            was_registered: false,
            occupied_until: None,
            registered: BTreeMap::new(),
            reported: BTreeMap::new(),
            revision: Revision::default(),
        }
    }

    /// Runs until it is aborted, or until a later process has the node's name.
    pub(in crate::directory) async fn run(mut self) {
        let mut waits = backoff(self.options.backoff_max);
        loop {
            match self.pass().await {
                Ok(()) => {
                    waits.reset();
                    let registration = Arc::clone(&self.registration);
                    let due = self.renew_at.min(self.verify_at);
                    // Woken or due, there is a pass to make.
                    timeout_at(due, registration.wake.notified()).await.ok();
                }
                Err(Stopped::Superseded(by)) => return self.give_way(by).await,
                Err(stopped) => {
                    // The store is there and says what to do: no reason to wait for long.
                    if matches!(stopped, Stopped::Store(KvError::LeaseNotFound(_))) {
                        waits.reset();
                    }
                    self.note(stopped);
                    sleep(waits.next(fastrand::f64())).await;
                }
            }
        }
    }

    /// Makes the store agree once.
    async fn pass(&mut self) -> Result<(), Stopped> {
        let lease = self.hold_lease().await?;
        if Instant::now() >= self.verify_at {
            self.verify(lease).await?;
            self.verify_at = Instant::now() + self.options.verify_every;
        }
        let node = self.hold_node(lease).await?;
        let work = self.registration.work(&self.registered, &self.reported);
        self.leave(&work.leaving).await?;
        // Before the instances: one that does not pass yet must not be called for a moment.
        self.report(lease, node, &work.reports).await?;
        self.put(lease, node, &work.missing).await?;
        self.registration.publish_applied(work.version, self.revision);
        Ok(())
    }

    /// Forgets what can't be believed after a failure.
    fn note(&mut self, stopped: Stopped) {
        let error = match stopped {
            Stopped::Store(error) => error,
            Stopped::Contended | Stopped::Occupied | Stopped::Superseded(_) => {
                self.node = None;
                return;
            }
        };
        if matches!(error, KvError::LeaseNotFound(lease) if Some(lease) == self.lease) {
            tracing::warn!(
                node = %self.options.node,
                "the lease of this node is gone; everything is registered again"
            );
            self.lease = None;
            self.node = None;
            self.registered.clear();
            self.reported.clear();
            self.registration.lose(Instant::now());
        } else {
            tracing::debug!(%error, "registering failed; trying again");
        }
        self.registration.remember(error);
    }

    /// Leaves the directory to the later process with our name.
    async fn give_way(self, by: Incarnation) {
        tracing::error!(
            node = %self.options.node, %by,
            "a later process runs under the name of this node, which leaves the directory; give \
             each process a name of its own"
        );
        self.registration.let_go();
        self.registration.publish_superseded(by);
        if let Some(lease) = self.lease {
            // Else it ends by itself.
            self.store.revoke(lease).await.ok();
        }
    }

    /// Grants or renews the lease when it is time.
    async fn hold_lease(&mut self) -> Result<LeaseId, Stopped> {
        // Before the request: the store may have started the time when it was sent.
        let asked = Instant::now();
        let (id, ttl) = match self.lease {
            Some(lease) if asked < self.renew_at => return Ok(lease),
            Some(lease) => (lease, self.store.keep_alive(lease).await?),
            None => {
                let lease = self.store.grant(self.options.lease_ttl).await?;
                (lease.id, lease.ttl)
            }
        };
        self.lease = Some(id);
        self.renew_at = asked + self.options.lease_ttl / 3;
        // A tenth for clocks that differ in speed.
        let deadline = asked + ttl.mul_f64(0.9);
        // Somebody else's lease may be older than ours by the time between two renewals.
        let overdue = asked + self.options.lease_ttl.mul_f64(2.0 / 3.0);
        self.registration.hold(HeldLease { id, since: asked, deadline, overdue }, Instant::now());
        Ok(id)
    }

    /// Makes the node's key ours, unless a later process has it.
    async fn hold_node(&mut self, lease: LeaseId) -> Result<Revision, Stopped> {
        if let Some(node) = self.node {
            return Ok(node);
        }
        let put = Op::put(&self.node_key, self.node_value.clone(), Some(lease));
        let create = Txn::new([put.clone()])
            .when(Compare::absent(&self.node_key))
            .otherwise([Op::get(&self.node_key)]);
        let mut response = self.store.txn(create).await?;
        if !response.succeeded {
            let Some(OpResponse::Get(Some(there))) = response.responses.pop() else {
                return Err(Stopped::Contended);
            };
            self.check_predecessor(&there)?;
            let take =
                Txn::new([put]).when(Compare::unchanged_since(&self.node_key, there.mod_revision));
            response = self.store.txn(take).await?;
        }
        self.written(&response)?;
        self.node = Some(response.revision);
        self.was_registered = true;
        Ok(response.revision)
    }

    /// An earlier life of this node gives way to a later one.
    ///
    /// Which is later is what their wall clocks said. A life that begins after the clock went back
    /// counts as earlier than one that has died already: it waits for the end of the dead one's
    /// lease. Who was registered before does not wait: the other one lives.
    fn check_predecessor(&mut self, there: &KeyValue) -> Result<(), Stopped> {
        let later = decode::<NodeRecord>(&there.value)
            .map(|record| record.incarnation)
            .filter(|incarnation| *incarnation > self.options.incarnation);
        let Some(later) = later else { return Ok(()) };
        let now = Instant::now();
        let until = *self.occupied_until.get_or_insert_with(|| {
            tracing::warn!(
                node = %self.options.node, by = %later,
                "a process whose clock is ahead of ours had the name of this node; waiting for the \
                 end of its lease"
            );
            now + occupied_max(&self.options)
        });
        if self.was_registered || now >= until {
            return Err(Stopped::Superseded(later));
        }
        Err(Stopped::Occupied)
    }

    /// Takes instances out, with a word of farewell.
    async fn leave(&mut self, leaving: &[(InstanceName, Arc<Wanted>)]) -> Result<(), Stopped> {
        for batch in batches(leaving, BATCH / 2, |(_, wanted)| wanted.value.len()) {
            let bye = self.store.grant(BYE_TTL).await?.id;
            let ops = batch.iter().flat_map(|(_, wanted)| {
                let farewell = Op::put(&wanted.bye, wanted.value.clone(), Some(bye));
                [Op::delete(&wanted.key), farewell]
            });
            let response = self.store.txn(Txn::new(ops)).await?;
            self.written(&response)?;
            let names: Vec<InstanceName> = batch.iter().map(|(name, _)| *name).collect();
            names.iter().for_each(|name| drop(self.registered.remove(name)));
            self.registration.left(&names);
        }
        Ok(())
    }

    /// Writes instances, as long as the node's key is ours.
    async fn put(
        &mut self,
        lease: LeaseId,
        node: Revision,
        missing: &[(InstanceName, Arc<Wanted>)],
    ) -> Result<(), Stopped> {
        for batch in batches(missing, BATCH, |(_, wanted)| wanted.value.len()) {
            let puts = batch
                .iter()
                .map(|(_, wanted)| Op::put(&wanted.key, wanted.value.clone(), Some(lease)));
            let guarded = Txn::new(puts).when(Compare::unchanged_since(&self.node_key, node));
            let response = self.store.txn(guarded).await?;
            self.written(&response)?;
            self.registered.extend(batch.iter().cloned());
        }
        Ok(())
    }

    /// Writes or removes what the node says of itself, as long as the node's key is ours.
    async fn report(
        &mut self,
        lease: LeaseId,
        node: Revision,
        reports: &[(String, Option<Bytes>)],
    ) -> Result<(), Stopped> {
        let bytes = |(_, value): &(String, Option<Bytes>)| value.as_ref().map_or(0, Bytes::len);
        for batch in batches(reports, BATCH, bytes) {
            let ops = batch.iter().map(|(key, value)| match value {
                Some(value) => Op::put(key, value.clone(), Some(lease)),
                None => Op::delete(key),
            });
            let guarded = Txn::new(ops).when(Compare::unchanged_since(&self.node_key, node));
            // Its revision is nothing to wait for: deleting an absent key makes no change.
            if !self.store.txn(guarded).await?.succeeded {
                return Err(Stopped::Contended);
            }
            self.reported.extend(batch.iter().cloned());
        }
        Ok(())
    }

    fn written(&mut self, response: &TxnResponse) -> Result<(), Stopped> {
        if !response.succeeded {
            return Err(Stopped::Contended);
        }
        self.revision = response.revision;
        Ok(())
    }

    /// Reads our own keys back and forgets those that are not as they were written.
    async fn verify(&mut self, lease: LeaseId) -> Result<(), Stopped> {
        let node = self.store.get(&self.node_key).await?;
        let ours = |kv: &KeyValue| kv.value == self.node_value && kv.lease == Some(lease);
        self.node = node.filter(ours).map(|kv| kv.mod_revision);
        for service in self.registration.touched() {
            self.verify_service(lease, &service).await?;
        }
        self.verify_reports(lease).await
    }

    async fn verify_reports(&mut self, lease: LeaseId) -> Result<(), Stopped> {
        let keys: Vec<String> = self.reported.keys().cloned().collect();
        for batch in keys.chunks(BATCH) {
            let response = self.store.txn(Txn::new(batch.iter().map(Op::get))).await?;
            for (key, response) in batch.iter().zip(response.responses) {
                let OpResponse::Get(found) = response else { continue };
                let is_as_written = match (self.reported.get(key), &found) {
                    (Some(Some(value)), Some(kv)) => kv.value == value && kv.lease == Some(lease),
                    (Some(None), None) => true,
                    _ => false,
                };
                let is_over =
                    || found.is_none() && self.registration.forget_report(key, Instant::now());
                if !is_as_written || is_over() {
                    self.reported.remove(key);
                }
            }
        }
        Ok(())
    }

    async fn verify_service(&mut self, lease: LeaseId, service: &Name) -> Result<(), Stopped> {
        let prefix = self.keys.instances_of(service, self.options.incarnation);
        let (kvs, _) = self.store.list(&prefix, self.options.page_keys).await?;
        let mut found: HashMap<InstanceName, &KeyValue> = HashMap::new();
        for kv in &kvs {
            if let Key::Instance(_, name) = self.keys.parse(&kv.key) {
                found.insert(name, kv);
            }
        }
        if found.is_empty() {
            self.registration.forget_unused(service, Instant::now());
        }
        self.registered.retain(|name, wanted| {
            wanted.service != *service
                || found
                    .get(name)
                    .is_some_and(|kv| kv.value == wanted.value && kv.lease == Some(lease))
        });
        // A write that was taken for lost may arrive after the delete that was to undo it.
        let ghosts = found.keys().filter(|name| !self.registration.wants(**name));
        let ghosts: Vec<Op> =
            ghosts.map(|name| Op::delete(self.keys.instance(service, *name))).collect();
        for batch in ghosts.chunks(BATCH) {
            self.store.txn(Txn::new(batch.iter().cloned())).await?;
        }
        Ok(())
    }
}

/// Cuts what is to be written into pieces that a transaction can hold: so many, and not much over so
/// many bytes unless one alone is larger.
fn batches<T>(items: &[T], most: usize, bytes: impl Fn(&T) -> usize) -> impl Iterator<Item = &[T]> {
    let mut rest = items;
    std::iter::from_fn(move || {
        let mut total = 0;
        let fits = rest.iter().take(most).take_while(|item| {
            total += bytes(item);
            total <= BATCH_BYTES
        });
        let length = fits.count().max(1).min(rest.len());
        let (batch, others) = rest.split_at(length);
        rest = others;
        (!batch.is_empty()).then_some(batch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded_in_number_and_bytes_and_hold_everything_once() {
        let lengths = |items: &[usize], most| -> Vec<usize> {
            batches(items, most, |bytes| *bytes).map(<[usize]>::len).collect()
        };
        assert_eq!(lengths(&[], 3), [0; 0]);
        assert_eq!(lengths(&[1; 7], 3), [3, 3, 1]);
        assert_eq!(lengths(&[BATCH_BYTES / 2; 5], 100), [2, 2, 1]);
        assert_eq!(lengths(&[1, BATCH_BYTES * 2, 1], 100), [1, 1, 1]);
    }
}
