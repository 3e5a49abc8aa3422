use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::OwnedMutexGuard,
    time::{Instant, sleep},
};

use super::{CandidateRecord, Leadership, candidate_key, in_line, leadership::deleted};
use crate::{
    directory::{
        Directory, DirectoryError,
        record::{decode, encode},
        store::backoff,
    },
    id::Name,
    kv::{Compare, KeyValue, KvError, LeaseId, Op, OpResponse, Revision, Txn},
};

/// How long to wait for a lease before another look.
const LEASE_LOOK: Duration = Duration::from_millis(50);

/// Which generation of the store this is: made once, and again when the store lost its data.
#[derive(Debug, Serialize, Deserialize)]
struct Epoch {
    /// Milliseconds since 1970 when it was made, or above the last one that its maker knew.
    generation: u64,
}

/// This node's part in an election. However it ends, its key goes.
pub(super) struct Candidacy<'a> {
    directory: &'a Directory,
    role: &'a Name,
    prefix: String,
    /// Held until the key is gone; then another candidacy of this process may begin.
    turn: Option<OwnedMutexGuard<()>>,
    /// The lease that the key may stand under.
    joined: Option<LeaseId>,
}

/// Where a candidate stands.
enum Standing {
    /// First in line.
    First,
    /// Behind this one, at this revision.
    Behind(String, Revision),
    /// Its key is gone.
    Out,
}

impl<'a> Candidacy<'a> {
    pub(super) fn new(directory: &'a Directory, role: &'a Name, turn: OwnedMutexGuard<()>) -> Self {
        let prefix = directory.inner.keys.candidates(role);
        Self { directory, role, prefix, turn: Some(turn), joined: None }
    }

    /// Waits until this node leads.
    pub(super) async fn win(&mut self) -> Result<Leadership, DirectoryError> {
        let inner = &self.directory.inner;
        let mut waits = backoff(inner.options.backoff_max);
        loop {
            inner.registration.check_open()?;
            match self.try_win().await {
                Ok(Some(leadership)) => return Ok(leadership),
                // Another look at once: something has changed.
                Ok(None) => waits.reset(),
                Err(error) => {
                    tracing::debug!(role = %self.role, %error, "a candidacy failed; trying again");
                    sleep(waits.next(fastrand::f64())).await;
                }
            }
        }
    }

    async fn try_win(&mut self) -> Result<Option<Leadership>, KvError> {
        let inner = &self.directory.inner;
        let Some(lease) = self.lease() else {
            sleep(LEASE_LOOK).await;
            return Ok(None);
        };
        let (epoch, generation) = self.epoch().await?;
        let created = self.join(lease).await?;
        match self.standing(lease, created).await? {
            Standing::Out => return Ok(None),
            Standing::Behind(other, at) => {
                // Or of one's own lease.
                deleted(inner, &other, at, || self.lease() == Some(lease)).await?;
                return Ok(None);
            }
            Standing::First => {}
        }
        // Once more in one step: the list may have been old when it arrived.
        let key = candidate_key(&self.prefix, lease);
        let check = Txn::new([])
            .when(Compare::created_by(&key, created))
            .when(Compare::unchanged_since(inner.keys.epoch(), epoch));
        if !inner.store.txn(check).await?.succeeded || self.lease() != Some(lease) {
            return Ok(None);
        }
        let (directory, role) = (self.directory.clone(), self.role.clone());
        Ok(Some(Leadership::new(directory, role, key, lease, created, generation)))
    }

    /// The node's lease, while it is surely held.
    fn lease(&self) -> Option<LeaseId> {
        let (lease, deadline) = self.directory.inner.registration.lease()?;
        (Instant::now() < deadline).then_some(lease)
    }

    /// When the epoch was written, and the generation in it; makes one where there is none.
    async fn epoch(&self) -> Result<(Revision, u64), KvError> {
        let inner = &self.directory.inner;
        let key = inner.keys.epoch();
        loop {
            if let Some(kv) = inner.store.get(&key).await? {
                if let Some(Epoch { generation }) = decode(&kv.value) {
                    inner.note_generation(generation);
                    return Ok((kv.mod_revision, generation));
                }
                tracing::warn!(key, "no generation stands there; it is made anew");
                self.make_epoch(Compare::unchanged_since(&key, kv.mod_revision)).await?;
            } else {
                self.make_epoch(Compare::absent(&key)).await?;
            }
        }
    }

    async fn make_epoch(&self, unless: Compare) -> Result<(), KvError> {
        let inner = &self.directory.inner;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let generation = now.max(inner.generation_seen().saturating_add(1));
        let epoch = encode(&Epoch { generation }).map_err(|e| KvError::Refused(e.to_string()))?;
        // Whoever lost finds what the other wrote.
        inner.store.txn(Txn::new([Op::put(inner.keys.epoch(), epoch, None)]).when(unless)).await?;
        Ok(())
    }

    /// Makes the key, or finds it. Gives the revision that made it.
    async fn join(&mut self, lease: LeaseId) -> Result<Revision, KvError> {
        let inner = &self.directory.inner;
        let key = candidate_key(&self.prefix, lease);
        let record = CandidateRecord {
            node: inner.options.node.clone(),
            incarnation: inner.options.incarnation,
        };
        let record = encode(&record).map_err(|error| KvError::Refused(error.to_string()))?;
        let join = Txn::new([Op::put(&key, record, Some(lease))])
            .when(Compare::absent(&key))
            .otherwise([Op::get(&key)]);
        // Before the call: one that was given up may arrive all the same.
        self.joined = Some(lease);
        let mut response = inner.store.txn(join).await?;
        match response.responses.pop() {
            Some(OpResponse::Get(Some(there))) => Ok(there.create_revision),
            _ => Ok(response.revision),
        }
    }

    async fn standing(&self, lease: LeaseId, created: Revision) -> Result<Standing, KvError> {
        let inner = &self.directory.inner;
        let (kvs, at) = inner.store.list(&self.prefix, inner.options.page_keys).await?;
        let line = in_line(&self.prefix, kvs);
        let own = candidate_key(&self.prefix, lease);
        let is_own = |kv: &KeyValue| kv.key == own && kv.create_revision == created;
        Ok(match line.iter().position(is_own) {
            None => Standing::Out,
            Some(0) => Standing::First,
            Some(place) => Standing::Behind(line[place - 1].key.clone(), at),
        })
    }

    /// Gives the role up; resolves when the others can see that.
    pub(super) async fn withdraw(mut self) {
        let (Some(lease), Some(turn)) = (self.joined.take(), self.turn.take()) else { return };
        let removing = remove(self.directory.clone(), self.prefix.clone(), lease, turn);
        // In a task of its own, which goes on when nobody waits for it any more.
        if let Err(error) = self.directory.inner.runtime.spawn(removing).await {
            tracing::debug!(%error, "the removal of a candidacy did not end");
        }
    }
}

impl Drop for Candidacy<'_> {
    fn drop(&mut self) {
        if let (Some(lease), Some(turn)) = (self.joined.take(), self.turn.take()) {
            let removing = remove(self.directory.clone(), self.prefix.clone(), lease, turn);
            // Left alone: it ends by itself.
            drop(self.directory.inner.runtime.spawn(removing));
        }
    }
}

/// Deletes a candidacy, trying until it is gone: by this, or with its lease.
async fn remove(directory: Directory, prefix: String, lease: LeaseId, turn: OwnedMutexGuard<()>) {
    let inner = &directory.inner;
    let key = candidate_key(&prefix, lease);
    let mut waits = backoff(inner.options.backoff_max);
    while inner.registration.check_open().is_ok()
        && inner.registration.lease().is_some_and(|(held, _)| held == lease)
    {
        match inner.store.txn(Txn::new([Op::delete(&key)])).await {
            Ok(_) => break,
            Err(error) => tracing::debug!(key, %error, "a candidacy stays; trying again"),
        }
        sleep(waits.next(fastrand::f64())).await;
    }
    drop(turn);
}
