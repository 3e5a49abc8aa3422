//! The conformance suite of the log port.
//!
//! Owns one case for each MUST line of [`MessageLog`]'s contract, of the same name. Does not know
//! any log: a [`LogFactory`] makes a fresh one for each case. Cases run under tokio's paused clock
//! and in real time alike; whatever they wait for is measured in the [`Timing`] of the factory.
//!
//! ```
//! use std::sync::Arc;
//! use callboard::log::{EmbeddedLog, EmbeddedLogOptions, MessageLog};
//! use callboard::testing::log_suite::{GraceState, LogFactory, Setup, Timing};
//!
//! #[derive(Debug)]
//! struct Embedded;
//!
//! #[async_trait::async_trait]
//! impl LogFactory for Embedded {
//!     async fn make(&self, setup: Setup) -> Result<Arc<dyn MessageLog>, callboard::BoxError> {
//!         let mut options = EmbeddedLogOptions::default();
//!         if setup.grace == GraceState::Over {
//!             options.claim_grace = std::time::Duration::ZERO;
//!         }
//!         if let Some(bytes) = setup.memory_bytes_max {
//!             options.memory_bytes_max = bytes;
//!         }
//!         Ok(Arc::new(EmbeddedLog::with_options(options)))
//!     }
//!     fn timing(&self) -> Timing {
//!         Timing::default()
//!     }
//! }
//!
//! mod conformance {
//!     callboard::testing::log_suite!(super::Embedded, (start_paused = true));
//! }
//! # fn main() {}
//! ```
#![allow(
    clippy::cognitive_complexity,
    reason = "cases are straight lines of checks, and each check counts as a branch"
)]

mod append;
mod claim;
mod fence;
mod house;
mod moves;
mod once;
mod progress;
mod read;
mod replay;
mod settle;
mod stage;

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, LazyLock},
    time::Duration,
};

use async_trait::async_trait;

use crate::{
    BoxError,
    log::{LogError, MessageLog},
};

/// Makes the logs that the cases run on.
#[async_trait]
pub trait LogFactory: Send + Sync + fmt::Debug {
    /// Makes a log without streams.
    ///
    /// # Errors
    /// Whatever keeps it from being made; the case fails with it.
    async fn make(&self, setup: Setup) -> Result<Arc<dyn MessageLog>, BoxError>;

    /// The times that these logs need.
    fn timing(&self) -> Timing;

    /// Whether these logs can be made with a limit to their memory. Where they can't, the case that
    /// needs one is skipped.
    fn can_limit_memory(&self) -> bool {
        true
    }
}

/// What a case needs of its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// Whether the log must give away entries at once or not yet.
    pub grace: GraceState,
    /// About how many bytes of frames the log may take; a case that sets it fills it several times.
    pub memory_bytes_max: Option<u64>,
}

/// The state of a log's grace for claims ([`CLAIM_GRACE`](crate::log::CLAIM_GRACE)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GraceState {
    /// It is over, or was set to nothing.
    Over,
    /// The log has just come up and will be in its grace for longer than the case takes.
    Running,
}

/// The times of a suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The shortest span that the log tells from none, with what a call takes; what must not have
    /// passed is several of these. 20 ms by default.
    pub tick: Duration,
    /// For how long to wait for what must happen. 10 s by default.
    pub patience: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { tick: Duration::from_millis(20), patience: Duration::from_secs(10) }
    }
}

/// One case of the suite.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Its name, as in the contract.
    pub name: &'static str,
    /// Runs it on a log of its own.
    pub run: CaseFn,
}

/// The body of a case.
pub type CaseFn = for<'a> fn(&'a dyn LogFactory) -> CaseFuture<'a>;
/// A case that runs.
pub type CaseFuture<'a> = Pin<Box<dyn Future<Output = Result<(), CaseFailure>> + Send + 'a>>;

/// Why a case failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaseFailure {
    /// The log did something else than its contract says.
    #[error("the contract is broken: {0}")]
    Violated(String),
    /// The log answered with an error where it must not.
    #[error("the log failed: {0}")]
    Log(#[from] LogError),
    /// The case did not end in ten times the patience.
    #[error("the case did not end in time")]
    TimedOut,
    /// The factory made no log.
    #[error("no log was made: {0}")]
    Factory(#[source] BoxError),
    /// There is no case of this name.
    #[error("there is no case of this name")]
    Unknown,
}

/// All cases, in the order of the contract.
pub fn cases() -> &'static [Case] {
    static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
        let parts = [
            append::CASES,
            read::CASES,
            settle::CASES,
            progress::CASES,
            moves::CASES,
            claim::CASES,
            fence::CASES,
            house::CASES,
            replay::CASES,
            once::CASES,
        ];
        parts.concat()
    });
    &CASES
}

/// Runs the case of this name.
///
/// # Errors
/// Says how the log broke its contract.
///
/// # Cancel safety
/// Dropping the call drops the case with its log.
pub async fn run_case(factory: &dyn LogFactory, name: &str) -> Result<(), CaseFailure> {
    let case = cases().iter().find(|case| case.name == name).ok_or(CaseFailure::Unknown)?;
    let patience = factory.timing().patience * 10;
    tokio::time::timeout(patience, (case.run)(factory)).await.unwrap_or(Err(CaseFailure::TimedOut))
}

/// Runs all cases, one after the other, and returns those that failed.
///
/// # Cancel safety
/// Dropping the call drops the case that runs.
pub async fn run_all(factory: &dyn LogFactory) -> Vec<(&'static str, CaseFailure)> {
    let mut failed = Vec::new();
    for case in cases() {
        if let Err(failure) = run_case(factory, case.name).await {
            failed.push((case.name, failure));
        }
    }
    failed
}

macro_rules! case {
    ($name:ident) => {
        $crate::testing::log_suite::Case {
            name: stringify!($name),
            run: |factory| Box::pin($name(factory)),
        }
    };
}

/// Ends the case unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err($crate::testing::log_suite::CaseFailure::Violated(format!($($what)+)));
        }
    };
}

/// Ends the case unless both are equal.
macro_rules! ensure_eq {
    ($got:expr, $expected:expr, $($what:tt)+) => {{
        let (got, expected) = (&$got, &$expected);
        if got != expected {
            let what = format!($($what)+);
            return Err($crate::testing::log_suite::CaseFailure::Violated(format!(
                "{what}: {got:?} instead of {expected:?}"
            )));
        }
    }};
}

pub(crate) use {case, ensure, ensure_eq};

/// Makes one test of each case of the suite: the factory, then what stands in parentheses after
/// `tokio::test`, if anything.
///
/// The crate that calls it must depend on tokio with its macros.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_suite {
    ($factory:expr) => {
        $crate::__log_suite!($factory, ());
    };
    ($factory:expr, $arguments:tt) => {
        $crate::__log_suite! {
            @each ($factory) $arguments
            append_gives_growing_ids
            append_takes_only_the_next_sequence
            append_with_a_duplicate_stores_nothing
            append_with_a_gap_stores_nothing
            lanes_are_independent
            append_to_an_absent_stream_that_must_exist_is_gone
            replies_are_stored_without_lanes
            append_over_the_backlog_is_full
            a_forgotten_lane_does_not_start_again
            what_is_over_the_bounds_is_refused
            append_without_memory_stores_nothing_and_consumers_drain
            open_makes_a_stream_that_ends_with_its_time
            a_group_gives_each_entry_to_one_consumer
            read_group_makes_its_group_at_the_beginning
            ensure_group_starts_where_it_is_told
            a_blocked_read_wakes_on_append
            a_blocked_read_ends_at_its_time
            unblock_ends_a_blocked_read
            a_cancelled_read_loses_nothing
            read_from_gives_what_comes_after
            each_group_of_a_topic_gets_a_copy
            settle_removes_the_entry_and_counts_it
            settle_on_a_topic_only_acknowledges
            settle_by_a_stale_owner_changes_nothing
            settle_twice_counts_once
            settle_refuses_totals_that_do_not_add_up
            retained_entries_are_kept_after_settling
            retained_entries_are_bounded_in_number
            progress_is_absolute
            progress_without_marks_is_a_touch
            progress_by_a_stale_owner_changes_nothing
            what_is_recorded_can_be_read
            only_moves_count_as_moved
            touch_resets_the_idle_clock
            bury_moves_one_message_to_the_dead_letters
            bury_into_another_stream_counts_where_it_was
            bury_entry_ends_it_with_one_letter
            postpone_moves_one_message_to_the_delay_set
            due_releases_in_order_of_time
            cancel_delayed_removes_once
            claim_waits_for_the_grace
            claim_takes_only_what_is_idle
            claim_while_the_owner_touches_takes_nothing
            claim_resumes_after_the_bitmap
            claim_tells_what_is_gone
            claim_raises_the_delivery_count
            after_a_claim_the_old_owner_is_stale
            remove_consumer_keeps_pending_entries
            a_fence_only_rises
            fence_raised_under_a_reader_makes_it_stale
            trim_removes_what_is_older
            accounting_adds_up
            dead_letters_are_listed_and_dropped
            delete_removes_all_of_a_stream
            streams_are_listed_by_prefix
            remove_group_forgets_its_pending_entries
            replay_moves_dead_letters_back
            replay_copies_retained_entries
            replay_of_a_run_copies_each_part_once
            replay_moves_letters_into_another_stream_once
            replay_stops_at_the_backlog
            append_skips_messages_whose_dedup_id_is_known
            dedup_ids_are_forgotten_after_their_window
            a_delayed_message_with_a_known_dedup_id_is_not_put_there
            adopt_leaves_what_is_counted_alone
        }
    };
    (@each ($factory:expr) $arguments:tt $($name:ident)*) => {
        $($crate::__log_suite! { @one ($factory) $arguments $name })*

        #[test]
        fn every_case_of_the_log_suite_has_its_test() {
            let names: Vec<_> =
                $crate::testing::log_suite::cases().iter().map(|case| case.name).collect();
            assert_eq!([$(stringify!($name)),*][..], names[..]);
        }
    };
    (@one ($factory:expr) ($($arguments:tt)*) $name:ident) => {
        #[tokio::test($($arguments)*)]
        async fn $name() {
            let verdict =
                $crate::testing::log_suite::run_case(&$factory, stringify!($name)).await;
            if let Err(failure) = verdict {
                panic!("{}: {failure}", stringify!($name));
            }
        }
    };
}
