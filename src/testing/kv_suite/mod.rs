//! The conformance suite of the key-value port.
//!
//! Owns one named case for each MUST of [`KeyValueStore`](crate::kv::KeyValueStore). Does not
//! start or stop stores: a factory of the caller makes a [`Subject`] for each case.
//!
//! Cases run in real time as well as under a paused clock: they take every duration from
//! [`Timing`]. They assume that nobody else writes to the store meanwhile, but not that it is
//! empty: each keeps to a prefix of its own.
//!
//! # Examples
//! One test for each case, with the macro of the same name:
//! ```
//! use std::sync::Arc;
//! use callboard::{kv::EmbeddedKv, testing::kv_suite::Subject};
//!
//! async fn embedded() -> Subject {
//!     let store = EmbeddedKv::new();
//!     let count = store.clone();
//!     Subject::new(Arc::new(store)).with_watchers(move || count.watchers())
//! }
//!
//! mod conformance {
//!     callboard::testing::kv_suite!(super::embedded, (start_paused = true));
//! }
//! # fn main() {}
//! ```

mod bench;
mod compaction;
mod lease;
mod reading;
mod subject;
mod txn;
mod watching;

use std::{fmt, future::Future, pin::Pin, time::Duration};

use self::bench::Bench;
pub use self::subject::{Subject, Timing};

/// Why a case failed: what was expected of the store, and what it did.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CaseFailure(String);

impl CaseFailure {
    /// A failure with this explanation.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// One case of the suite: its name is that of the MUST which it checks.
#[derive(Clone, Copy)]
pub struct Case {
    name: &'static str,
    run: for<'a> fn(&'a Bench) -> Running<'a>,
}

/// A case on its way.
type Running<'a> = Pin<Box<dyn Future<Output = Result<(), CaseFailure>> + Send + 'a>>;

impl Case {
    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Runs it on a store.
    ///
    /// # Errors
    /// [`CaseFailure`] says which promise the store broke; a case that is not through within
    /// [`Timing::case`] fails too.
    ///
    /// # Cancel safety
    /// Dropping the future leaves keys of the case in the store.
    pub async fn run(&self, subject: Subject) -> Result<(), CaseFailure> {
        let limit = subject.timing.case;
        let bench = Bench::new(subject, self.name);
        let outcome = tokio::time::timeout(limit, (self.run)(&bench)).await;
        outcome.unwrap_or_else(|_| {
            Err(CaseFailure::new(format!("{} was not through after {limit:?}", self.name)))
        })
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Case").field(&self.name).finish()
    }
}

/// Runs every case on a fresh store each and gives those that failed.
///
/// # Cancel safety
/// Dropping the future leaves keys of the running case in its store.
pub async fn run_all<F, R, S>(factory: F) -> Vec<(&'static str, CaseFailure)>
where
    F: Fn() -> R,
    R: Future<Output = S>,
    S: Into<Subject>,
{
    let mut failed = Vec::new();
    for case in CASES {
        if let Err(failure) = case.run(factory().await.into()).await {
            failed.push((case.name, failure));
        }
    }
    failed
}

/// Runs one case by its name; [`kv_suite!`](crate::testing::kv_suite!) calls it.
///
/// # Panics
/// When the case fails or there is none of that name.
#[doc(hidden)]
pub async fn assert_case(name: &str, subject: impl Into<Subject>) {
    let case = CASES.iter().find(|case| case.name == name);
    let case = case.unwrap_or_else(|| panic!("the suite has no case {name}"));
    if let Err(failure) = case.run(subject.into()).await {
        panic!("{name}: {failure}");
    }
}

/// Calls another macro with the names of all cases.
#[doc(hidden)]
#[macro_export]
macro_rules! __kv_cases {
    ($($callback:ident)::+ ! $($rest:tt)*) => {
        $($callback)::+! { $($rest)*
            reading: revisions_grow_by_one_per_change,
            reading: deleting_an_absent_key_changes_nothing,
            reading: range_is_ordered_and_paged,
            reading: range_sees_only_its_prefix,
            reading: range_at_a_revision_sees_the_past,
            reading: reads_see_the_newest_write,
            reading: create_revision_changes_when_a_key_is_made_again,
            reading: version_counts_from_one,
            reading: revisions_out_of_range_are_refused,
            txn: txn_is_atomic,
            txn: txn_that_loses_its_compare_runs_the_else_branch,
            txn: txn_reads_see_its_earlier_writes,
            txn: txn_refuses_what_is_over_the_bounds,
            txn: absent_keys_compare_as_zero,
            txn: compares_follow_their_operator,
            txn: concurrent_increments_lose_none,
            txn: calls_are_cancel_safe,
            lease: lease_lives_for_its_time,
            lease: lease_expiry_deletes_its_keys_in_one_revision_and_tells_watches,
            lease: an_expired_lease_takes_no_keys,
            lease: keep_alive_extends_a_lease,
            lease: keep_alive_of_a_lost_lease_is_an_error,
            lease: revoke_deletes_the_keys_of_the_lease,
            lease: a_key_put_without_a_lease_leaves_its_old_lease,
            lease: a_key_put_under_another_lease_leaves_its_old_lease,
            lease: lease_times_out_of_bounds_are_refused,
            watching: watch_replays_from_its_revision_and_goes_on,
            watching: watch_from_the_future_waits_for_it,
            watching: watch_sees_only_its_prefix,
            watching: watch_events_carry_the_key_as_it_was_written,
            watching: progress_answers_on_an_idle_watch,
            watching: progress_never_runs_ahead_of_the_changes,
            watching: a_cancelled_next_loses_no_change,
            watching: dropped_watchers_leave_nothing_behind,
            compaction: watch_past_compaction_says_compacted,
            compaction: a_watch_that_lags_behind_compaction_leaves_no_gap,
            compaction: read_past_compaction_says_compacted,
            compaction: compaction_keeps_what_can_be_read,
            compaction: compacting_again_changes_nothing,
            compaction: compaction_of_the_future_is_refused,
        }
    };
}

/// Makes one test for each case of the suite of the key-value port.
///
/// The first argument is the path of an async function that makes a fresh store: it returns a
/// [`Subject`](crate::testing::kv_suite::Subject) or what turns into one. A second argument, in
/// parentheses, is handed to `#[tokio::test]`. Call it in a module of its own, and only once there.
/// The caller's crate needs `tokio` with the feature `macros`.
#[doc(hidden)]
#[macro_export]
macro_rules! __kv_suite {
    ($factory:path) => { $crate::__kv_suite!($factory, ()); };
    ($factory:path, $arguments:tt) => {
        $crate::__kv_cases! { $crate::__kv_suite! @tests $factory, $arguments, }
    };
    (@tests $factory:path, $arguments:tt, $($file:ident: $name:ident,)*) => {
        $(
            #[::tokio::test $arguments]
            async fn $name() {
                $crate::testing::kv_suite::assert_case(stringify!($name), $factory().await).await;
            }
        )*
    };
}

macro_rules! list_cases {
    ($($file:ident: $name:ident,)*) => {
        /// Every case, in the order of the contract.
        pub const CASES: &[Case] = &[
            $(Case { name: stringify!($name), run: |bench| Box::pin($file::$name(bench)) },)*
        ];
    };
}
crate::__kv_cases! { list_cases! }

/// How long a watcher of a cancelled call is left alone.
const SHORTLY: Duration = Duration::from_millis(1);
