//! The store on etcd.
//!
//! Owns the connections, the user's tokens, the time that every call may take, and what etcd's answers
//! mean to the port. Repeats nothing that may have been done and would do more the second time: a
//! write whose answer did not come is [`KvError::Unavailable`], and the directory decides.
//!
//! Known of etcd 3.4 and its client, and looked after here: connecting never fails by itself (so the
//! start asks for something); a server that was stopped holds every call and stream for ever (so
//! there is a time limit round each); keep-alives faster than five seconds, or without a call, have
//! the connection closed by the server; a watch from a compacted revision is confirmed and then
//! cancelled; progress runs ahead of changes; an expired lease answers a keep-alive with a time of
//! zero; a member without a quorum serves watches unless they require a leader; messages of over
//! 4 MiB are refused by the client unless it is told otherwise; a token expires, and a watch says
//! so in its confirmation.

mod convert;
mod error;
mod granted;
mod members;
mod options;
mod watch;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use etcd_client::{Client, GetOptions, KvClient};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout, timeout_at};

pub use options::EtcdOptions;

use self::{
    error::{Meaning, is_unconnected, meaning, no_answer, unavailable},
    granted::Granted,
    members::{Failed, Members, Repeat},
    watch::EtcdWatcher,
};
use super::{
    Compare, CompareOp, CompareTarget, KeyValue, KeyValueStore, KvError, Lease, LeaseId, Op,
    RangeRequest, RangeResponse, Revision, Txn, TxnResponse, WatchRequest, Watcher, bounds,
};

/// The largest request that the client sends; etcd refuses what is over 1.5 MiB.
const MESSAGE_BYTES_MAX: usize = 1 << 30;
/// How long a start waits before it asks members again that can't serve yet.
const START_AGAIN: Duration = Duration::from_millis(100);

/// A [`KeyValueStore`] on etcd 3.4 or later. Clones share the connections.
#[derive(Clone)]
pub struct EtcdKv {
    members: Arc<Members>,
    granted: Arc<Mutex<Granted>>,
}

impl EtcdKv {
    /// Connects and waits for a first answer. Runs its connections on the calling runtime.
    ///
    /// One endpoint that answers is enough. With a user, its rights to read and write
    /// [`EtcdOptions::prefix`] are asked for, too; nothing is written.
    ///
    /// # Errors
    /// [`KvError::Refused`] for an address that can't be right, a user or password that etcd does not
    /// take, or rights that are missing; [`KvError::Unavailable`] when no etcd answered in time. All
    /// name the setting, none the password.
    ///
    /// # Cancel safety
    /// Dropped, nothing is left.
    pub async fn connect(options: EtcdOptions) -> Result<Self, KvError> {
        let deadline = Instant::now() + options.connect_timeout;
        let members = Members::new(options.clone()).await?;
        let store = Self { members: Arc::new(members), granted: Arc::default() };
        let failed = |why: String, source| {
            let addresses = options.endpoints.join(", ");
            let what =
                format!("no etcd answers at {addresses} (CALLBOARD_ETCD or `.etcd(..)`): {why}");
            KvError::Unavailable { what, source }
        };
        loop {
            let answer = timeout_at(deadline, store.first_answer()).await;
            let error = match answer {
                Ok(Ok(())) => return Ok(store),
                Ok(Err(error @ KvError::Refused(_))) => return Err(error),
                Ok(Err(error)) => error,
                Err(_) => {
                    let waited = options.connect_timeout;
                    return Err(failed(format!("nothing came within {waited:?}"), None));
                }
            };
            // Members that are there may have to elect a leader first.
            if is_unconnected(&error) || Instant::now() + START_AGAIN >= deadline {
                return Err(failed(error.to_string(), Some(error.into())));
            }
            sleep(START_AGAIN).await;
        }
    }

    /// Connecting is lazy: this is the first thing that etcd sees.
    async fn first_answer(&self) -> Result<(), KvError> {
        let options = self.members.options();
        self.range(RangeRequest::prefix(options.prefix.as_str()).limit(1)).await?;
        if options.user.is_some() {
            // Its condition is never true. The rights to what it would write are looked at before
            // that is seen.
            let never = CompareTarget::Version(-1);
            let never = Compare::new(options.prefix.as_str(), CompareOp::Equal, never);
            let put = Op::put(options.prefix.as_str(), "", None);
            self.txn(Txn::new([put]).when(never)).await?;
        }
        Ok(())
    }

    fn kv(&self, client: &Client) -> KvClient {
        let bytes_max = self.members.options().message_bytes_max;
        client
            .kv_client()
            .max_decoding_message_size(bytes_max)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The port's error of a call that a revision was given to, or that asks for keys.
    async fn at_revision(
        &self,
        what: &str,
        prefix: &str,
        asked: Revision,
        failed: Failed,
    ) -> KvError {
        let error = match failed {
            Failed::Other(error) => return error,
            Failed::Client(error) => error,
        };
        match meaning(&error) {
            Meaning::Compacted => match self.compacted(prefix, asked).await {
                Ok(compacted) => KvError::Compacted { compacted },
                Err(error) => error,
            },
            Meaning::Future => match self.newest().await {
                Ok(newest) => KvError::FutureRevision { asked, newest },
                Err(error) => error,
            },
            _ => other(what, error),
        }
    }

    /// The compacted revision: only a watch from below it says which one it is.
    async fn compacted(&self, prefix: &str, below: Revision) -> Result<Revision, KvError> {
        let request = WatchRequest { prefix: prefix.to_owned(), from: below };
        let limit = self.members.options().call_timeout;
        let mut watch = match EtcdWatcher::start(&self.members, &request).await {
            Ok(watch) => watch,
            Err(KvError::Compacted { compacted }) => return Ok(compacted),
            Err(error) => return Err(error),
        };
        match timeout(limit, watch.next()).await {
            Ok(Err(KvError::Compacted { compacted })) => Ok(compacted),
            Ok(Err(error)) => Err(error),
            Ok(Ok(_)) | Err(_) => Err(no_answer("ask for the compacted revision", limit)),
        }
    }

    async fn newest(&self) -> Result<Revision, KvError> {
        let request = RangeRequest::prefix(self.members.options().prefix.as_str()).limit(1);
        self.range(request).await.map(|response| response.revision)
    }

    fn note(&self, lease: LeaseId, ttl: Duration) {
        self.granted.lock().note(lease, ttl, Instant::now());
    }
}

fn revision(header: Option<&etcd_client::ResponseHeader>) -> Revision {
    Revision(header.map_or(0, etcd_client::ResponseHeader::revision))
}

/// The port's error where only etcd's refusals have a meaning.
fn other(what: &str, error: etcd_client::Error) -> KvError {
    match meaning(&error) {
        Meaning::Refused(why) => KvError::Refused(why),
        Meaning::TooLarge(why) => KvError::Refused(format!(
            "the answer is larger than what is taken ({why}): ask for fewer keys at a time"
        )),
        _ => unavailable(what, error),
    }
}

fn plain(what: &str, failed: Failed) -> KvError {
    match failed {
        Failed::Other(error) => error,
        Failed::Client(error) => other(what, error),
    }
}

/// As [`plain`], of a call that names a lease.
fn of_lease(what: &str, lease: LeaseId, failed: Failed) -> KvError {
    match failed {
        Failed::Client(error) if matches!(meaning(&error), Meaning::NoLease) => {
            KvError::LeaseNotFound(lease)
        }
        failed => plain(what, failed),
    }
}

#[async_trait]
impl KeyValueStore for EtcdKv {
    async fn get(&self, key: &str) -> Result<Option<KeyValue>, KvError> {
        bounds::check_key(key)?;
        let what = "read a key";
        let get = |client: &Client| {
            let mut kv = self.kv(client);
            async move { kv.get(key, None).await }
        };
        match self.members.call(what, Repeat::Free, get).await {
            Ok(response) => response.kvs().first().map(convert::key_value).transpose(),
            Err(failed) => Err(plain(what, failed)),
        }
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, KvError> {
        bounds::check_range(&request)?;
        let what = "list these keys";
        let start = convert::start_of(&request.prefix, request.after.as_deref());
        let mut options = GetOptions::new()
            .with_range(convert::end_of(&request.prefix))
            .with_limit(i64::try_from(request.limit).unwrap_or(i64::MAX));
        if let Some(revision) = request.revision {
            options = options.with_revision(revision.0);
        }
        let list = |client: &Client| {
            let mut kv = self.kv(client);
            let (start, options) = (start.clone(), options.clone());
            async move { kv.get(start, Some(options)).await }
        };
        match self.members.call(what, Repeat::Free, list).await {
            Ok(response) => Ok(RangeResponse {
                kvs: response.kvs().iter().map(convert::key_value).collect::<Result<_, _>>()?,
                revision: revision(response.header()),
                more: response.more(),
            }),
            Err(failed) => {
                let asked = request.revision.unwrap_or_default();
                Err(self.at_revision(what, &request.prefix, asked, failed).await)
            }
        }
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResponse, KvError> {
        bounds::check_txn(&txn)?;
        let what = "run a transaction";
        let run = |client: &Client| {
            let (mut kv, txn) = (self.kv(client), convert::txn(&txn));
            async move { kv.txn(txn).await }
        };
        let ran = self.members.call(what, Repeat::Never, run).await;
        let response = ran.map_err(|failed| of_lease(what, lease_of(&txn), failed))?;
        Ok(TxnResponse {
            succeeded: response.succeeded(),
            revision: revision(response.header()),
            responses: response
                .op_responses()
                .iter()
                .map(convert::response)
                .collect::<Result<_, _>>()?,
        })
    }

    async fn lease_grant(&self, ttl: Duration) -> Result<Lease, KvError> {
        bounds::check_ttl(ttl)?;
        let what = "grant a lease";
        let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let grant = |client: &Client| {
            let mut leases = client.lease_client();
            async move { leases.grant(seconds, None).await }
        };
        let granted = self.members.call(what, Repeat::Never, grant).await;
        let response = granted.map_err(|failed| plain(what, failed))?;
        let ttl = Duration::from_secs(u64::try_from(response.ttl()).unwrap_or(0));
        let id = LeaseId(response.id());
        self.note(id, ttl);
        Ok(Lease { id, ttl })
    }

    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<Duration, KvError> {
        let what = "renew a lease";
        // The client reads the first answer itself, and takes a time of zero for an error.
        let renew = |client: &Client| {
            let mut leases = client.lease_client();
            async move { leases.keep_alive(lease.0).await.map(drop) }
        };
        if let Err(failed) = self.members.call(what, Repeat::Free, renew).await {
            let error = of_lease(what, lease, failed);
            if matches!(error, KvError::LeaseNotFound(_)) {
                self.granted.lock().forget(lease);
            }
            return Err(error);
        }
        let known = self.granted.lock().get(lease);
        if let Some(ttl) = known {
            self.note(lease, ttl);
            return Ok(ttl);
        }
        let what = "ask for a lease";
        let ask = |client: &Client| {
            let mut leases = client.lease_client();
            async move { leases.time_to_live(lease.0, None).await }
        };
        match self.members.call(what, Repeat::Free, ask).await {
            Ok(response) if response.ttl() > 0 => {
                let ttl = Duration::from_secs(u64::try_from(response.granted_ttl()).unwrap_or(0));
                self.note(lease, ttl);
                Ok(ttl)
            }
            Ok(_) => Err(KvError::LeaseNotFound(lease)),
            Err(failed) => Err(of_lease(what, lease, failed)),
        }
    }

    async fn lease_revoke(&self, lease: LeaseId) -> Result<(), KvError> {
        self.granted.lock().forget(lease);
        let what = "revoke a lease";
        let revoke = |client: &Client| {
            let mut leases = client.lease_client();
            async move { leases.revoke(lease.0).await.map(drop) }
        };
        // Carried out twice it says that there is no such lease.
        let revoked = self.members.call(what, Repeat::Never, revoke).await;
        revoked.map_err(|failed| of_lease(what, lease, failed))
    }

    async fn watch(&self, request: WatchRequest) -> Result<Box<dyn Watcher>, KvError> {
        bounds::check_watch(&request)?;
        Ok(Box::new(EtcdWatcher::start(&self.members, &request).await?))
    }

    async fn compact(&self, revision: Revision) -> Result<(), KvError> {
        let what = "compact";
        let compact = |client: &Client| {
            let mut kv = self.kv(client);
            async move { kv.compact(revision.0, None).await.map(drop) }
        };
        match self.members.call(what, Repeat::Free, compact).await {
            Ok(()) => Ok(()),
            // What is compacted already is.
            Err(Failed::Client(error)) if matches!(meaning(&error), Meaning::Compacted) => Ok(()),
            Err(failed) => {
                let prefix = &self.members.options().prefix;
                Err(self.at_revision(what, prefix, revision, failed).await)
            }
        }
    }
}

/// The lease that a refused transaction can have meant: etcd does not name it.
fn lease_of(txn: &Txn) -> LeaseId {
    let ops = txn.then.iter().chain(&txn.otherwise);
    let lease = ops.filter_map(|op| match op {
        Op::Put { lease, .. } => *lease,
        _ => None,
    });
    lease.last().unwrap_or(LeaseId(0))
}

impl fmt::Debug for EtcdKv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdKv").field("options", self.members.options()).finish_non_exhaustive()
    }
}
