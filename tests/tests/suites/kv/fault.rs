/// One way in which an adapter can break the contract, and the cases that must notice.
macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident => $($case:ident)|*;)*) => {
        /// What is broken.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Fault {
            /// Nothing.
            None,
            $($(#[$doc])* $fault,)*
        }

        impl Fault {
            pub(super) const ALL: &[Fault] = &[$(Self::$fault,)*];

            /// The cases that must fail.
            pub(super) fn breaks(self) -> &'static [&'static str] {
                match self {
                    Self::None => &[],
                    $(Self::$fault => &[$(stringify!($case)),*],)*
                }
            }
        }
    };
}

faults! {
    /// Every operation is a change of its own, and others run in between.
    SplitsTxns => revisions_grow_by_one_per_change | txn_is_atomic | calls_are_cancel_safe;
    /// A transaction that only reads raises the revision.
    ReadsRaiseTheRevision => revisions_grow_by_one_per_change;
    DeleteOfAbsentIsAChange => deleting_an_absent_key_changes_nothing;
    /// The last key of a page comes again.
    AfterIsInclusive => range_is_ordered_and_paged | range_sees_only_its_prefix;
    ReadsIgnoreTheirRevision => range_is_ordered_and_paged | range_at_a_revision_sees_the_past;
    PageNeverSaysMore => range_is_ordered_and_paged;
    DescendingRange => range_is_ordered_and_paged;
    /// A prefix `b/` is taken for `b`.
    WidePrefix => range_sees_only_its_prefix | watch_sees_only_its_prefix;
    StaleReads => reads_see_the_newest_write;
    /// The create revision of a key survives its delete.
    CreateRevisionIsKept => create_revision_changes_when_a_key_is_made_again;
    VersionCountsFromZero => version_counts_from_one;
    /// As etcd's own API does.
    ZeroMeansNewest => revisions_out_of_range_are_refused;
    FutureMeansNewest => revisions_out_of_range_are_refused | compaction_of_the_future_is_refused;
    OneCompareIsEnough => txn_is_atomic;
    ElseDoesNothing => txn_that_loses_its_compare_runs_the_else_branch;
    /// Reads of a transaction see the state before it.
    TxnReadsTooEarly => txn_reads_see_its_earlier_writes;
    RefusalsAreSwallowed => txn_refuses_what_is_over_the_bounds;
    /// The first operation happens although the transaction is refused.
    RefusesTooLate => txn_refuses_what_is_over_the_bounds;
    AbsentValueIsEmpty => absent_keys_compare_as_zero;
    LessMeansGreater => compares_follow_their_operator;
    /// Compares first and writes later, without looking again.
    ComparesThenWrites => concurrent_increments_lose_none;
    ShortLeases => lease_lives_for_its_time;
    LeasesNeverEnd => lease_expiry_deletes_its_keys_in_one_revision_and_tells_watches
        | an_expired_lease_takes_no_keys | keep_alive_of_a_lost_lease_is_an_error;
    WatchesMissDeletes => lease_expiry_deletes_its_keys_in_one_revision_and_tells_watches
        | watch_replays_from_its_revision_and_goes_on | revoke_deletes_the_keys_of_the_lease;
    LostLeaseIsIgnored => an_expired_lease_takes_no_keys | txn_refuses_what_is_over_the_bounds;
    KeepAliveDoesNothing => keep_alive_extends_a_lease | keep_alive_of_a_lost_lease_is_an_error;
    /// As etcd-client's `keep_alive` on a dead stream does.
    KeepAliveIsAlwaysOk => keep_alive_of_a_lost_lease_is_an_error;
    RevokeDoesNothing => revoke_deletes_the_keys_of_the_lease;
    PutKeepsTheOldLease => a_key_put_without_a_lease_leaves_its_old_lease
        | a_key_put_under_another_lease_leaves_its_old_lease;
    AnyLeaseTime => lease_times_out_of_bounds_are_refused;
    WatchStartsNow => watch_replays_from_its_revision_and_goes_on
        | watch_from_the_future_waits_for_it | watch_past_compaction_says_compacted;
    /// One revision comes in several batches.
    SplitsBatches => watch_replays_from_its_revision_and_goes_on
        | lease_expiry_deletes_its_keys_in_one_revision_and_tells_watches;
    RepeatsBatches => watch_replays_from_its_revision_and_goes_on;
    DropsBatches => watch_replays_from_its_revision_and_goes_on | a_cancelled_next_loses_no_change;
    EventsWithoutLease => watch_events_carry_the_key_as_it_was_written;
    ProgressIsIgnored => progress_answers_on_an_idle_watch;
    /// As etcd 3.4.23 does.
    ProgressRunsAhead => progress_never_runs_ahead_of_the_changes;
    /// A batch is taken off the queue before the last await of `next`.
    NextLosesWhenCancelled => a_cancelled_next_loses_no_change;
    WatchersStay => dropped_watchers_leave_nothing_behind;
    /// A watch that was compacted away goes on with what is left.
    WatchSkipsCompacted => watch_past_compaction_says_compacted
        | a_watch_that_lags_behind_compaction_leaves_no_gap;
    CompactedReadsAreNewest => read_past_compaction_says_compacted
        | compacting_again_changes_nothing;
    CompactsEverything => compaction_keeps_what_can_be_read;
    /// As etcd's own API does.
    CompactingAgainFails => compacting_again_changes_nothing;
}
