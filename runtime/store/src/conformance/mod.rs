//! The contract of [`Store`] as claims that every implementation is held against.
//!
//! A back end's test builds an empty store and calls [`exercise`]; each claim gets a fresh one. The claims are a file a
//! noun, named as what must hold. Beside them, `sequences` plays random sequences of operations on stores and small models.

mod deployments;
mod failures;
mod families;
mod feed;
mod firings;
mod flow;
mod health;
mod journals;
mod lanes;
mod ledger;
mod model;
mod modules;
mod operations;
mod overlaps;
mod parked;
mod runs;
mod schedules;
mod sequences;
mod signals;
mod states;
mod stretches;
mod subscriptions;
mod topics;
mod trees;
mod usage;
mod values;
mod waits;
mod world;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::Store;

/// Makes an empty store.
pub type Factory<'a> = &'a dyn Fn() -> Arc<dyn Store>;

type Claim = (&'static str, fn(Arc<dyn Store>) -> Pin<Box<dyn Future<Output = ()>>>);

macro_rules! claims {
    ($($noun:ident: $($claim:ident),+;)+) => {
        const CLAIMS: &[Claim] = &[$($((
            concat!(stringify!($noun), "::", stringify!($claim)),
            |store| Box::pin($noun::$claim(store)),
        )),+),+];
    };
}

claims! {
    modules: a_version_never_changes_its_meaning, a_component_in_use_stays;
    deployments: each_change_makes_a_revision_and_the_same_again_makes_none, an_unexpected_revision_is_refused,
        a_deleted_deployment_leaves_no_state_to_its_successor, one_with_runs_going_is_not_deleted,
        lives_of_a_node_are_counted;
    runs: a_key_makes_one_run, the_same_key_with_another_input_is_refused, a_key_is_forgotten_a_day_after_its_run,
        higher_priority_and_then_age_decide, a_delayed_run_waits_for_its_time, what_a_dead_life_left_is_taken_over_once, a_takeover_can_leave_suspects_out,
        a_list_finds_each_run_once, an_ended_run_accepts_nothing, log_lines_come_in_order_from_any_place,
        a_page_of_log_lines_ends_at_its_bytes;
    stretches: two_that_read_the_same_do_not_both_write,
        a_turn_is_handed_on_and_what_is_read_then_holds_for_whoever_commits_next, a_scan_sees_what_came_between, a_refused_one_leaves_nothing,
        a_stale_epoch_is_refused, a_fresh_run_loses_its_key_to_the_first, a_watermark_never_moves_back;
    waits: a_signal_wakes_whether_it_comes_before_or_after, the_end_of_a_child_wakes_its_parent_alone,
        waiting_for_all_ends_with_the_last, a_wait_ends_at_its_time_unless_something_comes_before,
        who_has_begun_goes_before_who_has_not, a_wait_for_nothing_is_over;
    lanes: one_enters_when_another_leaves, what_is_set_aside_keeps_what_it_has_to_its_end, a_delayed_run_asks_when_it_is_due,
        the_last_to_ask_says_how_many_there_is_room_for, a_tree_that_is_cancelled_leaves_its_lanes,
        who_ran_first_has_none, a_lane_has_a_name_and_room;
    flow: the_lowest_priority_begins_too, no_more_begin_than_the_rate_allows, what_has_begun_before_counts_under_no_rate,
        a_queue_is_bounded_and_counted, a_key_is_kept_as_long_as_its_terms_say, a_key_outlives_the_record_of_its_run, requests_in_a_row_become_one_run, a_joined_request_takes_no_place,
        a_debounced_request_finds_its_run_by_its_key, nobody_waits_longer_than_the_longest_wait,
        a_child_is_not_put_behind_its_ancestor, it_is_known_where_a_run_stands;
    signals: they_lie_in_the_order_of_arrival_until_they_are_taken, the_same_key_comes_once, nobody_gets_one_after_his_end,
        an_inbox_has_bounds, a_refused_stretch_sends_and_takes_none, an_awaited_signal_finds_room_in_a_full_inbox,
        waiting_signals_are_listed_and_can_be_dropped;
    failures: failures_are_kept_in_order_within_a_bound, a_cancelled_run_with_a_failure_waits_for_a_person;
    journals: a_change_replaces_exactly_what_it_names, a_part_is_read_without_the_rest,
        saving_keeps_what_was_recorded_and_nothing_takes_hold,
        continuing_as_new_keeps_what_is_the_runs_own;
    trees: a_start_takes_hold_with_its_stretch_and_once, children_end_with_their_parent_unless_detached,
        the_leaves_are_told_first, who_has_nothing_to_undo_ends_untold, a_cancelled_run_is_not_set_aside,
        terminating_ends_the_tree_at_once, a_large_family_is_cancelled_part_by_part,
        a_retry_goes_on_at_the_leaf_that_failed, a_retry_may_begin_anew_or_on_another_component;
    parked: what_is_parked_is_listed_and_counted_until_it_goes_on;
    values: a_long_value_is_read_back_as_it_was, a_page_of_long_values_is_bounded;
    states: an_edit_takes_hold_and_is_on_the_feed, an_edit_of_what_is_not_there_is_refused,
        a_run_that_read_what_was_edited_conflicts;
    operations: one_is_found_until_it_is_done, a_cancelled_one_stays_so_and_counts_what_was_done, what_ended_long_ago_is_forgotten_whole,
        a_component_goes_when_nothing_names_it;
    schedules: a_firing_happens_once, a_paused_one_is_not_due, a_new_spec_begins_anew_and_the_same_goes_on,
        no_change_sets_a_time_that_was_dealt_with, a_look_with_the_words_of_another_revision_does_nothing,
        a_firing_is_due_when_its_jitter_is_over, a_next_time_is_set_anew_unless_it_has_moved_on,
        unended_firings_are_known;
    overlaps: one_is_skipped_and_says_why, one_waits_and_the_next_is_dropped, all_wait_in_order_up_to_the_bound,
        others_are_asked_to_end_or_ended_and_it_begins_then, a_run_by_hand_counts_among_them,
        one_that_waits_may_be_cancelled, several_at_once_are_as_one_after_the_other,
        no_turn_is_lost_where_a_firing_and_an_end_meet;
    firings: what_did_not_go_as_usual_is_listed_and_nothing_else, what_a_new_spec_cuts_off_is_missed,
        the_newest_thousand_are_kept, a_limit_ends_it,
        failures_in_a_row_pause_it, what_a_pause_let_pass_is_listed, a_part_of_a_backfill_is_made_once, a_cancelled_backfill_makes_no_run;
    topics: events_lie_in_order_and_take_hold_with_their_stretch, a_key_publishes_once,
        a_page_begins_at_a_time_and_pages_meet, what_is_old_or_too_much_is_forgotten_and_a_topic_with_its_last_event,
        a_long_payload_is_read_back;
    usage: what_is_forgotten_counts_no_more, a_deleted_deployment_keeps_no_state,
        a_deployment_begins_its_share_of_topics_and_others_theirs, a_deleted_topic_is_gone_and_begins_anew,
        runs_nest_no_deeper_than_their_bound, a_run_has_at_most_so_many_open_children, a_queue_counts_children;
    subscriptions: it_is_given_each_event_once_and_in_order, it_begins_now_or_at_the_earliest,
        a_new_revision_goes_on_where_it_stands_and_a_removed_one_forgets, another_pattern_keeps_what_both_name,
        a_paused_or_changed_deployment_is_given_nothing, a_paused_one_is_given_nothing_and_stands_where_it_stood, what_is_forgotten_before_it_was_given_is_lost_and_told,
        skipping_leaves_nothing_waiting, a_replay_gives_again_what_was_given_and_once;
    ledger: an_external_id_posts_once, totals_are_the_sum_of_the_entries, revenue_counts_a_half_open_range;
    feed: it_tells_each_commit_in_order_and_forgets_the_old_end, it_forgets_little_in_one_commit;
    health: a_scrub_verifies_all_that_is_kept_and_is_remembered;
}

/// Holds the store that `empty` makes against every claim.
///
/// # Panics
/// Where a claim does not hold; the name of the claim is printed before.
pub fn exercise(empty: Factory<'_>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime for the test");
    for (name, claim) in CLAIMS {
        tracing::info!(name, "claim");
        let store = empty();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(claim(store.clone()))));
        assert!(outcome.is_ok(), "the claim {name} does not hold");
        runtime.block_on(store.close()).expect("the store closes");
    }
}

/// Runs random sequences of operations on the store that `empty` makes and on a model, which must answer alike.
///
/// # Panics
/// Where they differ, with the shortest sequence found.
pub fn compare_with_model(cases: u32, empty: Factory<'_>) {
    model::compare(cases, empty);
    families::compare(cases, empty);
    lanes::model::compare(cases, empty);
    flow::model::compare(cases, empty);
}
