//! The key-value port: what the directory needs of a store, and the stores that ship.
//!
//! Owns the trait [`KeyValueStore`] and its vocabulary. Does not know what the keys mean.
//! The model is etcd's: one revision counter for the whole store, keys with leases, transactions
//! that compare first, watches that start at a revision, and compaction.

pub(crate) mod bounds;
mod embedded;
mod error;
#[cfg(feature = "etcd")]
mod etcd;
mod txn;
mod watch;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

pub use embedded::{EmbeddedKv, EmbeddedKvOptions};
pub use error::KvError;
#[cfg(feature = "etcd")]
pub use etcd::{EtcdKv, EtcdOptions};
pub use txn::{Compare, CompareOp, CompareTarget, Op, OpResponse, Txn, TxnResponse};
pub use watch::{EventKind, WatchBatch, WatchEvent, WatchRequest, Watcher};

/// The most operations that one transaction may hold, in each of its branches.
pub const TXN_OPS_MAX: usize = 128;
/// The largest value in bytes.
pub const VALUE_BYTES_MAX: usize = 1_500_000;
/// The longest key in bytes.
pub const KEY_BYTES_MAX: usize = 1024;
/// The longest time that a lease may be granted for: a year.
pub const LEASE_TTL_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A revision of the store: it goes up by one with each transaction that changed something.
///
/// Revisions count from 1, which is the empty store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub i64);

impl Revision {
    /// The revision after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The identity of a lease. Zero stands for none and is never granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub i64);

/// A granted lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Its identity.
    pub id: LeaseId,
    /// How long it lives without a keep-alive; at least what was asked for.
    pub ttl: Duration,
}

/// A key with its value and history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Bytes,
    /// The revision that created the key.
    pub create_revision: Revision,
    /// The revision that last changed it.
    pub mod_revision: Revision,
    /// Changes since it was created, from 1.
    pub version: i64,
    /// The lease that it dies with.
    pub lease: Option<LeaseId>,
}

/// Which keys to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeRequest {
    /// Every key that starts with this.
    pub prefix: String,
    /// Only keys that sort after this one; the last key of the page before.
    pub after: Option<String>,
    /// The most keys to return; 0 is no limit.
    pub limit: usize,
    /// Read as of this revision; the newest when absent.
    pub revision: Option<Revision>,
}

impl RangeRequest {
    /// All keys that start with the prefix, at the newest revision.
    pub fn prefix(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), after: None, limit: 0, revision: None }
    }

    /// At most so many keys.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Only keys after this one.
    #[must_use]
    pub fn after(mut self, key: impl Into<String>) -> Self {
        self.after = Some(key.into());
        self
    }

    /// As of this revision.
    #[must_use]
    pub fn at(mut self, revision: Revision) -> Self {
        self.revision = Some(revision);
        self
    }
}

/// A page of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeResponse {
    /// The keys in byte order.
    pub kvs: Vec<KeyValue>,
    /// The revision of the store when it was read (not the revision that was asked for).
    pub revision: Revision,
    /// Whether keys of the range are left after this page.
    pub more: bool,
}

/// A store of revisioned keys with leases, transactions and watches.
///
/// # Contract
/// Each MUST has a case of the same name in `callboard::testing::kv_suite`.
///
/// Reading and writing:
/// - MUST `revisions_grow_by_one_per_change`: a transaction that changes something raises the
///   store's revision by exactly one, whatever the number of its operations; one that changes
///   nothing does not raise it.
/// - MUST `deleting_an_absent_key_changes_nothing`: it answers 0 and makes no event.
/// - MUST `range_is_ordered_and_paged`: a range is in byte order; pages by `after` and `limit` at
///   one revision show each key exactly once, whatever is written meanwhile.
/// - MUST `range_sees_only_its_prefix`.
/// - MUST `range_at_a_revision_sees_the_past`: a read at an old revision shows the keys as they
///   were then, deleted ones included; its answer carries the newest revision.
/// - MUST `reads_see_the_newest_write`: of this or any other caller.
/// - MUST `create_revision_changes_when_a_key_is_made_again`.
/// - MUST `version_counts_from_one`, and again after the key was deleted.
/// - MUST `revisions_out_of_range_are_refused`: a read or watch at 0 or below is
///   [`KvError::Refused`], a read above the newest [`KvError::FutureRevision`].
///
/// Transactions:
/// - MUST `txn_is_atomic`: all compares see one state, and all operations of one branch happen or
///   none.
/// - MUST `txn_that_loses_its_compare_runs_the_else_branch`.
/// - MUST `txn_reads_see_its_earlier_writes`, and not its later ones.
/// - MUST `txn_refuses_what_is_over_the_bounds`: over [`TXN_OPS_MAX`] operations or compares, a key
///   that is written twice in one branch, a value over [`VALUE_BYTES_MAX`], an empty key or one
///   over [`KEY_BYTES_MAX`] is [`KvError::Refused`], an unknown lease in the branch that runs
///   [`KvError::LeaseNotFound`], and nothing is changed.
/// - MUST `absent_keys_compare_as_zero`: version, create and mod revision of an absent key are 0;
///   a comparison of the value of an absent key is false.
/// - MUST `compares_follow_their_operator`: the stored side stands on the left; values compare as
///   bytes.
/// - MUST `concurrent_increments_lose_none`: of many callers that compare and set one key each
///   success counts.
/// - MUST `calls_are_cancel_safe`: a call whose future is dropped happened or did not, as a whole.
///
/// Leases:
/// - MUST `lease_lives_for_its_time`: it is granted for at least what was asked, and its keys are
///   there for that long.
/// - MUST `lease_expiry_deletes_its_keys_in_one_revision_and_tells_watches`, those that already
///   wait too.
/// - MUST `an_expired_lease_takes_no_keys`: a put under it is [`KvError::LeaseNotFound`].
/// - MUST `keep_alive_extends_a_lease`.
/// - MUST `keep_alive_of_a_lost_lease_is_an_error`: for an expired, revoked or unknown one it is
///   [`KvError::LeaseNotFound`], never Ok.
/// - MUST `revoke_deletes_the_keys_of_the_lease`, in one revision; revoking it again is
///   [`KvError::LeaseNotFound`].
/// - MUST `a_key_put_without_a_lease_leaves_its_old_lease`.
/// - MUST `a_key_put_under_another_lease_leaves_its_old_lease`.
/// - MUST `lease_times_out_of_bounds_are_refused`: none, and over [`LEASE_TTL_MAX`].
///
/// Watches:
/// - MUST `watch_replays_from_its_revision_and_goes_on`: every change at or after `from`, in order,
///   none twice, none left out, all changes of one revision in one batch.
/// - MUST `watch_from_the_future_waits_for_it`: changes below `from` are not shown.
/// - MUST `watch_sees_only_its_prefix`.
/// - MUST `watch_events_carry_the_key_as_it_was_written`.
/// - MUST `watch_past_compaction_says_compacted`: a watch from below the compacted revision ends
///   with [`KvError::Compacted`], which carries the revision.
/// - MUST `a_watch_that_lags_behind_compaction_leaves_no_gap`: it yields every change or ends with
///   [`KvError::Compacted`].
/// - MUST `progress_answers_on_an_idle_watch`: after `request_progress` the watcher yields a batch
///   (which may be empty).
/// - MUST `progress_never_runs_ahead_of_the_changes`: the revision of a batch is below that of
///   every change that was not yielded yet.
/// - MUST `a_cancelled_next_loses_no_change`.
/// - MUST `dropped_watchers_leave_nothing_behind`, and disturb no other watch.
///
/// Compaction:
/// - MUST `read_past_compaction_says_compacted`.
/// - MUST `compaction_keeps_what_can_be_read`: reads and watches at the compacted revision and
///   after it are as before.
/// - MUST `compacting_again_changes_nothing`: at or below the compacted revision it is Ok.
/// - MUST `compaction_of_the_future_is_refused` as [`KvError::FutureRevision`].
#[async_trait]
pub trait KeyValueStore: Send + Sync + fmt::Debug + 'static {
    /// Reads one key at the newest revision (a linearizable read).
    async fn get(&self, key: &str) -> Result<Option<KeyValue>, KvError>;

    /// Reads the keys of a range.
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, KvError>;

    /// Compares, then runs one of two branches, atomically.
    async fn txn(&self, txn: Txn) -> Result<TxnResponse, KvError>;

    /// Grants a lease that lives for at least `ttl`.
    async fn lease_grant(&self, ttl: Duration) -> Result<Lease, KvError>;

    /// Makes the lease live for its full time again, and returns that time.
    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<Duration, KvError>;

    /// Ends the lease and deletes its keys.
    async fn lease_revoke(&self, lease: LeaseId) -> Result<(), KvError>;

    /// Starts to watch a prefix from a revision on.
    async fn watch(&self, request: WatchRequest) -> Result<Box<dyn Watcher>, KvError>;

    /// Forgets what was before this revision; reads and watches from below it are refused then.
    async fn compact(&self, revision: Revision) -> Result<(), KvError>;
}
