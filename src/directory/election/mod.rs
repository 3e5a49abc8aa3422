//! Leaders: of all nodes that want a role, one has it at a time.
//!
//! Owns the candidates' keys, `elect/<role>/<lease>`, which live under the lease of their node. The
//! candidate whose key is the oldest leads; each of the others waits for the end of the one just
//! before it, so that one of them wakes when the leader goes. A leader is one until the deadline of
//! its lease on its own clock, which passes before anybody else may take over; what it writes is
//! guarded by its key besides, so that a leader that was stopped and wakes up later changes nothing.

mod candidacy;
mod leadership;

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::{sync::OwnedMutexGuard, time::timeout};

use self::candidacy::Candidacy;
pub use self::leadership::{FencingToken, Leadership};
use super::{Directory, DirectoryError, record::decode};
use crate::{
    id::{Incarnation, Name},
    kv::{KeyValue, LeaseId, RangeRequest},
};

/// One candidacy per role at a time in a process: they would share a key.
#[derive(Debug, Default)]
pub(super) struct Candidacies {
    turns: Mutex<HashMap<Name, Arc<tokio::sync::Mutex<()>>>>,
}

impl Candidacies {
    /// Waits for the end of the candidacy before.
    async fn turn(&self, role: &Name) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock();
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            turns.entry(role.clone()).or_default().clone()
        };
        turn.lock_owned().await
    }
}

/// A role that one node of the cluster has at a time. Made by [`Directory::role`].
#[derive(Debug, Clone)]
pub struct Role {
    directory: Directory,
    name: Name,
}

/// Who wants a role.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candidate {
    /// Its node.
    pub node: Name,
    /// The life of its node.
    pub incarnation: Incarnation,
    /// The revision that made its candidacy: the lower one leads. The second part of its
    /// [`FencingToken`] once it does.
    pub revision: i64,
}

/// What stands in the key of a candidate.
#[derive(Debug, Serialize, Deserialize)]
struct CandidateRecord {
    node: Name,
    incarnation: Incarnation,
}

impl Role {
    pub(super) fn new(directory: Directory, name: Name) -> Self {
        Self { directory, name }
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Waits until this node leads, runs the future that `work` makes, and gives the role up when
    /// that is done.
    ///
    /// The work is dropped where it awaits as soon as this node may not be the leader any more: its
    /// lease was not renewed in time (by its own clock, a tenth before anybody else can take over),
    /// is gone, or its candidacy was deleted. What the work does between two awaits is its own: it
    /// asks [`Leadership::check`] before each act that only a leader may do, and writes by
    /// [`Leadership::write`], which a leader of the past can't.
    ///
    /// Two candidacies for one role in one process take turns.
    ///
    /// # Errors
    /// [`DirectoryError::LeadershipLost`] when the work was cut short: call it again to take part
    /// anew. [`DirectoryError::Superseded`] and [`DirectoryError::Closed`] when this node is out of
    /// the directory. While the store can't be reached it waits.
    ///
    /// # Cancel safety
    /// Dropping the future drops the work and gives the role up.
    pub async fn lead<T, F>(&self, work: impl FnOnce(Leadership) -> F) -> Result<T, DirectoryError>
    where
        F: Future<Output = T>,
    {
        let inner = &self.directory.inner;
        let turn = inner.candidacies.turn(&self.name).await;
        let mut candidacy = Candidacy::new(&self.directory, &self.name, turn);
        let leadership = candidacy.win().await?;
        tracing::info!(role = %self.name, token = %leadership.token(), "this node leads");
        let outcome = {
            let (work, lost) = (pin!(work(leadership.clone())), pin!(leadership.lost()));
            Leading { leadership: &leadership, work, lost }.await
        };
        match &outcome {
            // So that the next one leads when this returns; a store that is away is not waited for.
            Ok(_) => drop(timeout(inner.options.call_timeout, candidacy.withdraw()).await),
            Err(error) => tracing::warn!(role = %self.name, %error, "this node leads no more"),
        }
        outcome
    }

    /// Who leads now, by a read of the store; nobody while there is no candidate. The answer may be
    /// old when it arrives: it is for people and for metrics.
    ///
    /// # Errors
    /// [`DirectoryError::Store`] when the store can't be reached.
    ///
    /// # Cancel safety
    /// It only reads.
    pub async fn leader(&self) -> Result<Option<Candidate>, DirectoryError> {
        Ok(self.candidates().await?.into_iter().next())
    }

    /// All who want the role, the leader first; as [`leader`](Self::leader).
    ///
    /// # Errors
    /// [`DirectoryError::Store`] when the store can't be reached.
    ///
    /// # Cancel safety
    /// It only reads.
    pub async fn candidates(&self) -> Result<Vec<Candidate>, DirectoryError> {
        let inner = &self.directory.inner;
        let prefix = inner.keys.candidates(&self.name);
        let (kvs, _) = inner.store.list(&prefix, inner.options.page_keys).await?;
        let in_line = in_line(&prefix, kvs);
        Ok(in_line.iter().filter_map(candidate).collect())
    }
}

fn candidate(kv: &KeyValue) -> Option<Candidate> {
    let CandidateRecord { node, incarnation } = decode(&kv.value)?;
    Some(Candidate { node, incarnation, revision: kv.create_revision.0 })
}

/// The candidates among these keys, the oldest first. What does not stand under the lease that it
/// is named by was written by somebody else: it would be in the way for ever.
fn in_line(prefix: &str, mut kvs: Vec<KeyValue>) -> Vec<KeyValue> {
    kvs.retain(|kv| {
        let is_one = kv.lease.is_some_and(|lease| kv.key == candidate_key(prefix, lease));
        if !is_one {
            tracing::warn!(key = kv.key, "no candidate stands there; remove this key");
        }
        is_one
    });
    kvs.sort_by_key(|kv| kv.create_revision);
    kvs
}

fn candidate_key(prefix: &str, LeaseId(lease): LeaseId) -> String {
    format!("{prefix}{lease:016x}")
}

/// The work of a leader, and what ends it.
struct Leading<'a, W, L> {
    leadership: &'a Leadership,
    work: Pin<&'a mut W>,
    lost: Pin<&'a mut L>,
}

impl<W: Future, L: Future<Output = &'static str>> Future for Leading<'_, W, L> {
    type Output = Result<W::Output, DirectoryError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Before the work has its turn: a process that was stopped wakes up here, and its timers
        // may be late.
        if let Err(lost) = self.leadership.check() {
            return Poll::Ready(Err(lost));
        }
        if let Poll::Ready(why) = self.lost.as_mut().poll(cx) {
            return Poll::Ready(Err(self.leadership.lost_because(why)));
        }
        self.work.as_mut().poll(cx).map(Ok)
    }
}

impl<W, L> Drop for Leading<'_, W, L> {
    fn drop(&mut self) {
        self.leadership.end();
    }
}

impl Directory {
    /// A role that one node of the cluster has at a time.
    pub fn role(&self, name: Name) -> Role {
        Role::new(self.clone(), name)
    }

    /// The roles that have a candidate, sorted, by a read of the store.
    ///
    /// # Errors
    /// [`DirectoryError::Store`] when the store can't be reached.
    ///
    /// # Cancel safety
    /// It only reads.
    pub async fn roles(&self) -> Result<Vec<Name>, DirectoryError> {
        let (inner, mut roles) = (&self.inner, Vec::new());
        let prefix = inner.keys.elections();
        let mut request = RangeRequest::prefix(&prefix).limit(1);
        // A step per role, not per candidate.
        while let Some(kv) = inner.store.range(request.clone()).await?.kvs.pop() {
            let rest = kv.key.strip_prefix(&prefix).unwrap_or_default();
            let role = rest.split_once('/').map_or(rest, |(role, _)| role);
            roles.extend(Name::new(role).ok());
            // `0` comes right after `/`.
            request = request.after(format!("{prefix}{role}0"));
        }
        Ok(roles)
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.node, self.incarnation)
    }
}
