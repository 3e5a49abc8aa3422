/// The faults of [`Broken`](super::broken::Broken), each with a case that it must fail.
macro_rules! faults {
    ($($fault:ident => $($case:ident),+;)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Fault {
            None,
            $($fault),+
        }

        impl Fault {
            pub(crate) const ALL: &[Self] = &[$(Self::$fault),+];

            /// The cases that fail on it.
            pub(crate) const fn breaks(self) -> &'static [&'static str] {
                match self {
                    Self::None => &[],
                    $(Self::$fault => &[$(stringify!($case)),+]),+
                }
            }
        }
    };
}

faults! {
    IdsStandStill => append_gives_growing_ids;
    NoGapCheck => append_takes_only_the_next_sequence, append_with_a_gap_stores_nothing;
    NoDuplicateCheck => append_with_a_duplicate_stores_nothing;
    OverlapIsDuplicate => append_with_a_gap_stores_nothing;
    LanesAreOne => lanes_are_independent;
    MustExistIsIgnored =>
        append_to_an_absent_stream_that_must_exist_is_gone, replies_are_stored_without_lanes;
    BacklogIsIgnored => append_over_the_backlog_is_full;
    NoTombstone => a_forgotten_lane_does_not_start_again;
    EmptyFramesAreTaken => what_is_over_the_bounds_is_refused;
    MemoryIsEndless => append_without_memory_stores_nothing_and_consumers_drain;
    FullLogDoesNotSettle => append_without_memory_stores_nothing_and_consumers_drain;
    OpenedStaysForever => open_makes_a_stream_that_ends_with_its_time;
    ReadGivesTheFirstAgain => a_group_gives_each_entry_to_one_consumer;
    GroupStartsAtTheEnd => read_group_makes_its_group_at_the_beginning;
    GroupStartsAtTheBeginning => ensure_group_starts_where_it_is_told;
    AppendsWakeNobody => a_blocked_read_wakes_on_append;
    ReadsDoNotBlock => a_blocked_read_ends_at_its_time;
    UnblockIsForgotten => unblock_ends_a_blocked_read;
    CancelledReadsLoseEntries => a_cancelled_read_loses_nothing;
    ReadFromIncludesItsStart => read_from_gives_what_comes_after;
    TopicsHaveOneGroup => each_group_of_a_topic_gets_a_copy;
    ExpiredIsHandled => settle_removes_the_entry_and_counts_it;
    TopicsAreTrimmedBySettling => settle_on_a_topic_only_acknowledges;
    SettleIgnoresTheOwner =>
        settle_by_a_stale_owner_changes_nothing, after_a_claim_the_old_owner_is_stale;
    NotPendingIsDone => settle_twice_counts_once;
    TotalsAreNotChecked => settle_refuses_totals_that_do_not_add_up;
    NothingIsRetained => retained_entries_are_kept_after_settling;
    RetainedStaysForever => retained_entries_are_kept_after_settling;
    RetainedHasNoSize => retained_entries_are_kept_after_settling;
    RetainedHasNoBound => retained_entries_are_bounded_in_number;
    TotalsAreAdded => progress_is_absolute;
    EmptyProgressIsNoTouch => progress_without_marks_is_a_touch;
    AttemptIsDropped =>
        progress_without_marks_is_a_touch, what_is_recorded_can_be_read,
        claim_resumes_after_the_bitmap;
    ProgressIgnoresTheOwner => progress_by_a_stale_owner_changes_nothing;
    MovesAreBelieved => only_moves_count_as_moved;
    TouchDoesNothing => touch_resets_the_idle_clock, claim_while_the_owner_touches_takes_nothing;
    BuryTwiceDoubles => bury_moves_one_message_to_the_dead_letters;
    BuryStaysHome =>
        bury_into_another_stream_counts_where_it_was, bury_entry_ends_it_with_one_letter;
    PostponeTwiceDoubles => postpone_moves_one_message_to_the_delay_set;
    DueReleasesEarly => due_releases_in_order_of_time;
    CancelAnswersAlways => cancel_delayed_removes_once;
    NoGrace => claim_waits_for_the_grace;
    ClaimIgnoresIdle =>
        claim_takes_only_what_is_idle, claim_while_the_owner_touches_takes_nothing;
    ClaimDropsTheBitmap => claim_resumes_after_the_bitmap;
    ClaimForgetsWhatIsGone => claim_tells_what_is_gone;
    DeliveriesStayAtOne => claim_raises_the_delivery_count;
    RemoveConsumerAnswersAlways => remove_consumer_keeps_pending_entries;
    FenceTakesEqualEpochs => a_fence_only_rises;
    FenceDoesNotRefuse => fence_raised_under_a_reader_makes_it_stale;
    TrimTakesOneMore => trim_removes_what_is_older;
    ReplayIsNotCounted => accounting_adds_up, replay_moves_dead_letters_back;
    ReplayIgnoresItsLimit => replay_moves_dead_letters_back;
    ReplayMovesRetained => replay_copies_retained_entries;
    ReplayForgetsItsRun => replay_of_a_run_copies_each_part_once;
    ReplayStaysHome => replay_moves_letters_into_another_stream_once;
    ReplayMakesTheInbox => replay_moves_letters_into_another_stream_once;
    ReplayIgnoresTheBacklog => replay_stops_at_the_backlog;
    DropDeadForgets => dead_letters_are_listed_and_dropped;
    DeleteDoesNothing => delete_removes_all_of_a_stream;
    StreamsIgnoreThePrefix => streams_are_listed_by_prefix;
    RemoveGroupDoesNothing => remove_group_forgets_its_pending_entries;
    DedupIsIgnored =>
        append_skips_messages_whose_dedup_id_is_known, dedup_ids_are_forgotten_after_their_window,
        a_delayed_message_with_a_known_dedup_id_is_not_put_there;
    SkipsAreNotShown => append_skips_messages_whose_dedup_id_is_known;
    DedupLastsForever => dedup_ids_are_forgotten_after_their_window;
    AdoptTakesWhatIsCounted => adopt_leaves_what_is_counted_alone;
}
