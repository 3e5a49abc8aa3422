//! The store on etcd.
//!
//! Owns the connection, the time that every call may take, and what etcd's answers mean to the port.
//! Retries nothing that may have been done: a write whose answer did not come is
//! [`KvError::Unavailable`], and the directory decides.
//!
//! Known of etcd 3.4 and its client, and looked after here: connecting never fails by itself (so the
//! start asks for something); a server that was stopped holds every call and stream for ever (so
//! there is a time limit round each); keep-alives faster than five seconds, or without a call, have
//! the connection closed by the server; a watch from a compacted revision is confirmed and then
//! cancelled; progress runs ahead of changes; an expired lease answers a keep-alive with a time of
//! zero; a member without a quorum serves watches unless they require a leader; messages of over
//! 4 MiB are refused by the client unless it is told otherwise; a token expires.

mod convert;
mod error;
mod options;
mod watch;

use std::{collections::HashMap, fmt, future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use etcd_client::{Client, ConnectOptions, GetOptions, KvClient};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout, timeout_at};

pub use options::EtcdOptions;

use self::{
    error::{Meaning, meaning, no_answer, unavailable},
    watch::EtcdWatcher,
};
use super::{
    KeyValue, KeyValueStore, KvError, Lease, LeaseId, Op, RangeRequest, RangeResponse, Revision,
    Txn, TxnResponse, WatchRequest, Watcher, bounds,
};

/// The largest message that is taken from etcd: a list of a large directory.
const MESSAGE_BYTES_MAX: usize = 1 << 30;
/// HTTP/2 pings: below five seconds etcd takes them for an attack.
const PING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(3));
/// Endpoints are tried in turn when one refuses connections.
const NOT_SENT_RETRIES: usize = 3;

/// A [`KeyValueStore`] on etcd 3.4 or later. Clones share one connection.
#[derive(Clone)]
pub struct EtcdKv {
    client: Client,
    options: Arc<EtcdOptions>,
    /// The times that leases were granted for, which a keep-alive does not tell.
    granted: Arc<Mutex<HashMap<LeaseId, Duration>>>,
}

impl EtcdKv {
    /// Connects and waits for a first answer. Runs its connection on the calling runtime.
    ///
    /// # Errors
    /// [`KvError::Refused`] for an address or a user that can't be right, [`KvError::Unavailable`]
    /// when no etcd answered in time; both name the addresses and the setting.
    ///
    /// # Cancel safety
    /// Dropped, nothing is left.
    pub async fn connect(options: EtcdOptions) -> Result<Self, KvError> {
        let endpoints = options.check()?;
        let deadline = Instant::now() + options.connect_timeout;
        let connected = timeout_at(deadline, Self::open(&endpoints, &options)).await;
        let failed = |why: String, source| {
            let addresses = options.endpoints.join(", ");
            let what =
                format!("no etcd answers at {addresses} (CALLBOARD_ETCD or `.etcd(..)`): {why}");
            KvError::Unavailable { what, source }
        };
        match connected {
            Ok(Ok(store)) => Ok(store),
            Ok(Err(error @ KvError::Refused(_))) => Err(error),
            Ok(Err(error)) => Err(failed(error.to_string(), Some(error.into()))),
            Err(_) => {
                Err(failed(format!("nothing came within {:?}", options.connect_timeout), None))
            }
        }
    }

    async fn open(endpoints: &[String], options: &EtcdOptions) -> Result<Self, KvError> {
        let mut connect = ConnectOptions::new()
            .with_keep_alive(PING.0, PING.1)
            .with_keep_alive_while_idle(false)
            .with_connect_timeout(options.call_timeout)
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if let Some((user, password)) = &options.user {
            connect = connect.with_user(user, password);
        }
        let client =
            Client::connect(endpoints, Some(connect)).await.map_err(|error| {
                match meaning(&error) {
                    Meaning::Refused(why) => KvError::Refused(format!(
                        "etcd at {} (CALLBOARD_ETCD or `.etcd(..)`) refuses: {why}",
                        endpoints.join(", ")
                    )),
                    _ => unavailable("connect", error),
                }
            })?;
        let granted = Arc::default();
        let store = Self { client, options: Arc::new(options.clone()), granted };
        // Connecting is lazy: this is the first thing that etcd sees.
        let first = store.call("ask for a first answer", || async {
            store.kv().get("callboard", None).await.map(drop)
        });
        match first.await {
            Err(Failed::Client(error)) => match meaning(&error) {
                Meaning::Refused(why) => Err(KvError::Refused(format!(
                    "etcd at {} (CALLBOARD_ETCD or `.etcd(..)`) refuses this user: {why}",
                    endpoints.join(", ")
                ))),
                _ => Err(unavailable("ask for a first answer", error)),
            },
            Err(Failed::Other(error)) => Err(error),
            Ok(()) => Ok(store),
        }
    }

    fn kv(&self) -> KvClient {
        self.client
            .kv_client()
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// One call with its time limit. Tried again only when it was certainly never sent, or when the
    /// token had expired, which etcd says before it does anything.
    async fn call<T, F>(&self, what: &str, mut call: impl FnMut() -> F) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let limit = self.options.call_timeout;
        let deadline = Instant::now() + limit;
        let mut tries = 0;
        loop {
            let error = match timeout_at(deadline, call()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                Err(_) => return Err(Failed::Other(no_answer(what, limit))),
            };
            tries += 1;
            match meaning(&error) {
                Meaning::NotSent if tries < NOT_SENT_RETRIES => {}
                Meaning::NoToken if tries == 1 && self.options.user.is_some() => {
                    let refreshed = timeout_at(deadline, self.client.refresh_token()).await;
                    if !matches!(refreshed, Ok(Ok(()))) {
                        return Err(Failed::Client(error));
                    }
                }
                _ => return Err(Failed::Client(error)),
            }
        }
    }

    /// The port's error of a read at a revision.
    async fn at_revision(&self, what: &str, asked: Revision, error: etcd_client::Error) -> KvError {
        match meaning(&error) {
            Meaning::Compacted => match self.compacted(asked).await {
                Ok(compacted) => KvError::Compacted { compacted },
                Err(error) => error,
            },
            Meaning::Future => match self.newest().await {
                Ok(newest) => KvError::FutureRevision { asked, newest },
                Err(error) => error,
            },
            Meaning::Refused(why) => KvError::Refused(why),
            _ => unavailable(what, error),
        }
    }

    /// The compacted revision: only a watch from below it says which one it is.
    async fn compacted(&self, below: Revision) -> Result<Revision, KvError> {
        let request = WatchRequest { prefix: "callboard".to_owned(), from: below };
        let limit = self.options.call_timeout;
        let mut watch = match EtcdWatcher::start(&self.client, &request, limit).await {
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
        let request = RangeRequest::prefix("callboard").limit(1);
        self.range(request).await.map(|response| response.revision)
    }
}

/// A call that failed: by etcd's word, or without one.
enum Failed {
    Client(etcd_client::Error),
    Other(KvError),
}

fn revision(header: Option<&etcd_client::ResponseHeader>) -> Revision {
    Revision(header.map_or(0, etcd_client::ResponseHeader::revision))
}

#[async_trait]
impl KeyValueStore for EtcdKv {
    async fn get(&self, key: &str) -> Result<Option<KeyValue>, KvError> {
        bounds::check_key(key)?;
        match self.call("get", || async { self.kv().get(key, None).await }).await {
            Ok(response) => response.kvs().first().map(convert::key_value).transpose(),
            Err(Failed::Other(error)) => Err(error),
            Err(Failed::Client(error)) => match meaning(&error) {
                Meaning::Refused(why) => Err(KvError::Refused(why)),
                _ => Err(unavailable("get", error)),
            },
        }
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, KvError> {
        bounds::check_range(&request)?;
        let start = convert::start_of(&request.prefix, request.after.as_deref());
        let mut options = GetOptions::new()
            .with_range(convert::end_of(&request.prefix))
            .with_limit(i64::try_from(request.limit).unwrap_or(i64::MAX));
        if let Some(revision) = request.revision {
            options = options.with_revision(revision.0);
        }
        let list = || async { self.kv().get(start.clone(), Some(options.clone())).await };
        match self.call("list", list).await {
            Ok(response) => Ok(RangeResponse {
                kvs: response.kvs().iter().map(convert::key_value).collect::<Result<_, _>>()?,
                revision: revision(response.header()),
                more: response.more(),
            }),
            Err(Failed::Other(error)) => Err(error),
            Err(Failed::Client(error)) => {
                let asked = request.revision.unwrap_or_default();
                Err(self.at_revision("list", asked, error).await)
            }
        }
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResponse, KvError> {
        bounds::check_txn(&txn)?;
        let run = || async { self.kv().txn(convert::txn(&txn)).await };
        let response = match self.call("run a transaction", run).await {
            Ok(response) => response,
            Err(Failed::Other(error)) => return Err(error),
            Err(Failed::Client(error)) => {
                return Err(match meaning(&error) {
                    Meaning::NoLease => KvError::LeaseNotFound(lease_of(&txn)),
                    Meaning::Refused(why) => KvError::Refused(why),
                    _ => unavailable("run a transaction", error),
                });
            }
        };
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
        let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let grant = || async { self.client.lease_client().grant(seconds, None).await };
        let response = match self.call("grant a lease", grant).await {
            Ok(response) => response,
            Err(Failed::Other(error)) => return Err(error),
            Err(Failed::Client(error)) => return Err(unavailable("grant a lease", error)),
        };
        let ttl = Duration::from_secs(u64::try_from(response.ttl()).unwrap_or(0));
        let id = LeaseId(response.id());
        self.granted.lock().insert(id, ttl);
        Ok(Lease { id, ttl })
    }

    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<Duration, KvError> {
        // The client reads the first answer itself, and takes a time of zero for an error.
        let renew = || async { self.client.lease_client().keep_alive(lease.0).await.map(drop) };
        match self.call("renew a lease", renew).await {
            Ok(()) => {}
            Err(Failed::Other(error)) => return Err(error),
            Err(Failed::Client(error)) => {
                return Err(match meaning(&error) {
                    Meaning::NoLease => {
                        self.granted.lock().remove(&lease);
                        KvError::LeaseNotFound(lease)
                    }
                    _ => unavailable("renew a lease", error),
                });
            }
        }
        let known = self.granted.lock().get(&lease).copied();
        if let Some(ttl) = known {
            return Ok(ttl);
        }
        let ask = || async { self.client.lease_client().time_to_live(lease.0, None).await };
        match self.call("ask for a lease", ask).await {
            Ok(response) if response.ttl() > 0 => {
                let ttl = Duration::from_secs(u64::try_from(response.granted_ttl()).unwrap_or(0));
                self.granted.lock().insert(lease, ttl);
                Ok(ttl)
            }
            Ok(_) => Err(KvError::LeaseNotFound(lease)),
            Err(Failed::Other(error)) => Err(error),
            Err(Failed::Client(error)) => Err(unavailable("ask for a lease", error)),
        }
    }

    async fn lease_revoke(&self, lease: LeaseId) -> Result<(), KvError> {
        self.granted.lock().remove(&lease);
        let revoke = || async { self.client.lease_client().revoke(lease.0).await.map(drop) };
        match self.call("revoke a lease", revoke).await {
            Ok(()) => Ok(()),
            Err(Failed::Other(error)) => Err(error),
            Err(Failed::Client(error)) => Err(match meaning(&error) {
                Meaning::NoLease => KvError::LeaseNotFound(lease),
                _ => unavailable("revoke a lease", error),
            }),
        }
    }

    async fn watch(&self, request: WatchRequest) -> Result<Box<dyn Watcher>, KvError> {
        bounds::check_watch(&request)?;
        let watcher = EtcdWatcher::start(&self.client, &request, self.options.call_timeout).await?;
        Ok(Box::new(watcher))
    }

    async fn compact(&self, revision: Revision) -> Result<(), KvError> {
        let compact = || async { self.kv().compact(revision.0, None).await.map(drop) };
        match self.call("compact", compact).await {
            Ok(()) => Ok(()),
            Err(Failed::Other(error)) => Err(error),
            Err(Failed::Client(error)) => match meaning(&error) {
                // What is compacted already is.
                Meaning::Compacted => Ok(()),
                _ => Err(self.at_revision("compact", revision, error).await),
            },
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
        f.debug_struct("EtcdKv").field("options", &self.options).finish_non_exhaustive()
    }
}
