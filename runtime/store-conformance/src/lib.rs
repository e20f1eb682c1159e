//! The contract of [`Store`]: claims that every back end must satisfy.
//!
//! A back end's test builds an empty store and calls [`exercise`]; each claim gets a fresh store.
//! Each noun has a file of claims. `models` also plays random sequences of operations on a store
//! and a small model.

#![forbid(unsafe_code)]

mod alerts;
mod deliveries;
mod deployment_health;
mod deployments;
mod feed;
mod fixture;
mod health;
mod incidents;
mod ledger;
mod models;
mod modules;
mod operations;
mod operator;
mod runs;
mod schedules;
mod secrets;
mod sequences;
mod states;
mod topics;
mod usage;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tidemill_store::Store;

use crate::ledger::{balances, budgets, entries, evidence, findings, proof, reports, reservations};
use crate::runs::{
    failures, flow, fuel, journals, lanes, parked, requests, signals, transactions, trees, values, waits,
};
use crate::schedules::{changes, firings, overlaps};
use crate::topics::{events, subscriptions};

/// A function that creates an empty store.
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
    modules: a_version_never_changes_its_meaning, a_component_in_use_is_kept;
    deployments: each_change_makes_a_revision_and_a_repeated_one_makes_none,
        an_unexpected_revision_is_refused, a_deleted_deployment_leaves_no_state_to_its_successor,
        a_deployment_with_running_runs_is_not_deleted,
        a_decision_about_a_breaker_is_kept_until_the_next_one, epochs_of_a_node_are_counted;
    requests: a_key_makes_one_run, the_same_key_with_another_input_is_refused,
        a_key_is_forgotten_a_day_after_its_run, runs_are_claimed_by_priority_and_then_age,
        a_delayed_run_waits_for_its_time, runs_of_a_dead_epoch_are_taken_over_once,
        a_takeover_can_exclude_suspects, a_list_finds_each_run_once, an_ended_run_accepts_nothing,
        log_lines_are_read_in_order_from_any_position, a_page_of_log_lines_is_bounded_in_bytes;
    transactions: two_transactions_that_read_the_same_version_do_not_both_commit,
        a_value_that_is_visible_early_is_valid_for_the_next_commit,
        a_content_version_is_valid_while_the_key_has_that_value,
        a_scan_conflicts_with_a_write_to_its_range, a_refused_transaction_leaves_nothing,
        a_stale_epoch_is_refused, a_fresh_run_loses_its_key_to_the_first,
        a_watermark_never_moves_back;
    waits: a_signal_wakes_a_run_before_or_after_it_waits, the_end_of_a_child_wakes_its_parent_alone,
        a_wait_for_all_ends_with_the_last, a_wait_ends_at_its_deadline_or_earlier,
        started_runs_are_claimed_before_new_ones, privileged_runs_pass_a_maximum, a_wait_for_nothing_ends_at_once;
    lanes: a_waiting_run_enters_when_another_leaves, a_parked_run_keeps_its_lanes_until_it_ends,
        a_delayed_run_needs_its_lanes_only_when_it_is_due, the_last_request_sets_the_capacity,
        a_cancelled_tree_leaves_its_lanes, a_run_that_ran_before_its_request_has_no_lanes,
        a_lane_has_a_valid_name_and_a_capacity;
    flow: the_lowest_priority_starts_too, no_more_runs_start_than_the_rate_allows,
        a_resumed_run_does_not_count_for_the_rate, a_queue_is_bounded_and_counted,
        a_key_is_kept_for_its_configured_lifetime, a_key_outlives_the_record_of_its_run,
        debounced_requests_become_one_run, a_joined_request_takes_no_place_in_the_queue,
        a_debounced_request_finds_its_run_by_its_key,
        a_debounced_run_waits_at_most_the_maximum_wait, a_child_never_waits_for_its_ancestor,
        the_queue_position_of_a_run_is_known, the_time_for_which_the_next_runs_wait_is_known;
    signals: signals_are_kept_in_order_of_arrival_until_they_are_taken,
        a_signal_with_the_same_key_is_delivered_once, an_ended_run_receives_no_signal,
        an_inbox_has_bounds, a_refused_transaction_sends_and_takes_no_signal,
        an_awaited_signal_finds_room_in_a_full_inbox, waiting_signals_are_listed_and_can_be_dropped;
    failures: failures_are_kept_in_order_within_a_bound,
        a_cancelled_run_with_a_failure_waits_for_the_operator;
    journals: a_change_replaces_exactly_what_it_names, a_part_is_read_without_the_rest,
        saving_keeps_the_journal_without_its_effects, continuing_as_new_keeps_the_runs_own_data;
    trees: a_start_is_committed_once_with_its_transaction,
        children_end_with_their_parent_unless_detached, the_leaves_are_notified_first,
        a_run_with_nothing_to_undo_ends_without_notification, a_cancelled_run_is_not_parked,
        terminating_ends_the_tree_at_once, a_large_family_is_cancelled_in_parts,
        a_retry_resumes_at_the_leaf_that_failed, a_retry_may_restart_or_use_another_component;
    operator: a_repeated_call_changes_nothing_and_returns_its_first_answer,
        a_run_ends_the_pause_of_a_run_and_never_that_of_a_person,
        a_call_creates_a_revision_once, a_call_retries_parked_runs_of_its_deployment_only,
        the_calls_of_a_generation_are_bounded_and_the_next_one_has_none,
        an_action_is_on_the_feed_with_its_run;
    parked: a_parked_run_is_listed_and_counted_until_it_resumes;
    values: a_long_value_is_read_back_as_it_was, a_page_of_long_values_is_bounded;
    states: an_edit_is_committed_and_on_the_feed, an_edit_of_an_absent_deployment_is_refused,
        a_run_that_read_an_edited_value_conflicts;
    operations: an_operation_is_found_until_it_is_done,
        a_cancelled_operation_stays_cancelled_and_counts_its_results,
        an_expired_run_is_removed_completely, an_unused_component_is_removed;
    changes: a_firing_happens_once, a_paused_schedule_is_not_due,
        a_new_spec_restarts_a_schedule_and_the_same_spec_continues_it,
        no_change_sets_a_time_that_is_already_done, a_firing_of_another_revision_does_nothing,
        a_firing_is_due_when_its_jitter_is_over, a_next_time_is_replanned_unless_it_has_changed,
        unended_firings_are_known;
    overlaps: an_overlapping_firing_is_skipped_with_a_reason,
        one_firing_waits_and_the_next_is_dropped, all_firings_wait_in_order_up_to_the_bound,
        a_firing_starts_after_the_others_are_cancelled_or_terminated,
        a_manual_run_counts_as_an_overlap, a_waiting_run_may_be_cancelled,
        several_firings_at_once_equal_single_ones, no_turn_is_lost_if_a_firing_and_an_end_race;
    firings: only_irregular_firings_are_listed, firings_cut_off_by_a_new_spec_are_missed,
        the_newest_thousand_are_kept, a_limit_ends_a_schedule,
        consecutive_failures_pause_a_schedule, firings_passed_during_a_pause_are_listed,
        a_part_of_a_backfill_is_created_once, a_cancelled_backfill_creates_no_run;
    events: events_are_ordered_and_committed_with_their_transaction, a_key_publishes_once,
        a_page_starts_at_a_time_and_pages_are_contiguous,
        retention_removes_events_and_a_topic_with_its_last_event, a_long_payload_is_read_back;
    usage: removed_records_no_longer_count, a_deleted_deployment_keeps_no_state,
        a_deployment_creates_its_share_of_topics_and_others_theirs,
        a_deleted_topic_is_gone_and_restarts_empty, runs_nest_no_deeper_than_the_maximum,
        the_open_children_of_a_run_are_bounded, a_queue_counts_children;
    subscriptions: a_subscription_receives_each_event_once_and_in_order,
        a_subscription_starts_now_or_at_the_earliest_event,
        a_new_revision_keeps_the_position_and_a_removed_subscription_loses_it,
        another_pattern_keeps_the_positions_of_common_topics,
        a_paused_or_changed_deployment_receives_nothing,
        a_paused_subscription_receives_nothing_and_keeps_its_position,
        an_event_removed_before_delivery_is_reported_as_lost, skipping_leaves_nothing_waiting,
        a_replay_delivers_past_events_once_more;
    deliveries: a_delivery_is_stored_with_the_request_for_its_run, a_long_body_is_read_back_as_it_was,
        the_keys_of_sealed_bodies_are_wrapped_again, a_repeated_delivery_is_counted_and_makes_no_run,
        a_body_under_an_unsigned_key_is_known_for_72_hours,
        a_signed_text_with_several_readings_is_one_delivery,
        another_body_of_a_transmission_is_refused_and_kept,
        deliveries_wait_in_order_outside_a_full_queue, the_outcome_of_a_delivery_follows_its_run,
        a_delivery_that_makes_no_run_is_settled_at_once,
        a_settled_delivery_is_replayed_with_another_run, a_delivery_has_the_entries_of_its_runs, a_delivery_that_is_evidence_is_kept_longer,
        a_list_of_deliveries_finds_each_once,
        a_settled_delivery_expires_completely, a_deployment_with_waiting_deliveries_is_not_deleted;
    reports: sums_of_a_range_equal_a_recount_of_its_entries,
        customers_are_ranked_by_net_revenue_and_then_by_id,
        runs_add_their_fuel_to_the_stream_when_they_end, a_deployment_has_the_streams_of_its_name_alone,
        the_statement_of_a_closed_period_does_not_change, a_rate_belongs_to_its_day_and_currencies;
    entries: an_external_id_posts_once, totals_are_the_sum_of_the_entries,
        revenue_counts_a_half_open_range, an_external_id_outlives_its_deployment,
        an_entry_is_found_by_id_number_and_answer, entries_of_all_streams_are_listed_by_time,
        an_entry_of_the_host_posts_once, an_entry_that_does_not_balance_is_refused,
        a_stream_is_on_paper_or_not_from_its_first_entry_on,
        a_unit_keeps_the_decimal_places_of_its_first_entry;
    evidence: the_journal_of_a_removed_run_stays_while_it_is_evidence;
    findings: a_finding_is_open_until_entries_explain_it,
        a_finding_that_a_person_closed_is_kept_with_the_reason,
        an_id_with_two_contents_in_one_transaction_is_a_finding;
    reservations: a_settlement_posts_a_part_and_returns_the_rest, a_void_returns_all,
        an_end_that_does_not_fit_its_reservation_is_refused,
        a_reservation_is_over_from_its_very_millisecond_on;
    balances: an_account_of_a_customer_moves_as_its_rules_say, an_expired_hold_is_returned_before_the_next_entry,
        a_decision_conflicts_only_if_it_would_be_another, a_decision_sees_the_entries_of_its_transaction,
        questions_in_a_row_have_the_answers_of_single_ones,
        a_floor_is_the_customer_s_own_or_the_deployment_s,
        an_account_of_the_stream_has_what_is_posted_less_what_is_reserved,
        a_rest_lapses_when_late_usage_is_over_and_nothing_is_held,
        balances_are_listed_as_they_are_and_as_they_were;
    budgets: usage_counts_in_its_own_period_and_a_settlement_in_that_of_the_reservation,
        an_expired_hold_leaves_its_budget_at_once, a_budget_sees_the_entries_of_the_transaction,
        concurrent_drawers_never_exceed_a_budget, usage_beyond_a_budget_is_a_finding_until_it_fits,
        a_budget_that_changes_more_than_its_limit_counts_from_nothing, budgets_are_listed_with_their_customers;
    fuel: a_run_holds_fuel_before_it_begins_and_returns_the_rest, a_waiting_run_begins_when_fuel_returns,
        a_waiting_run_begins_in_the_next_period, a_budget_that_refuses_refuses_requests_without_room,
        each_generation_holds_fuel_of_its_own, a_changed_budget_wakes_the_runs_that_wait_for_it,
        a_changed_budget_wakes_more_runs_than_one_commit_can, a_customers_limit_wakes_its_own_waiting_runs,
        a_run_that_ends_while_it_waits_leaves_nothing, a_hold_outlives_the_epoch_that_made_it;
    proof: entries_are_numbered_and_chained_in_the_order_of_commits,
        the_time_of_posting_does_not_decrease, every_field_of_an_entry_is_in_its_hash;
    secrets: a_new_version_is_the_newest_at_once_and_older_ones_end, an_ended_version_is_removed,
        the_numbers_of_a_deleted_secret_continue, a_secret_has_few_valid_versions,
        a_rotation_visits_each_record_once_and_forgets_the_old_key;
    feed: the_feed_lists_each_commit_in_order_and_trims_its_old_end, one_commit_trims_few_entries;
    health: a_scrub_verifies_every_record_and_is_recorded;
    incidents: a_deployment_and_the_host_have_one_open_incident_each, a_change_of_an_incident_names_the_version_before_it,
        incidents_are_listed_by_filter_and_the_latest_first, a_deleted_deployment_leaves_no_open_incident_and_no_route,
        the_last_two_healthy_revisions_are_known;
    deployment_health: changes_are_listed_newest_first_and_announced,
        old_changes_are_removed_except_the_last,
        a_deleted_deployment_leaves_no_health_to_its_successor,
        an_outage_lasts_from_the_last_mark_to_the_next_start;
    alerts: an_alert_is_committed_with_its_notifications_and_announced, one_alert_is_open_for_each_key,
        a_step_that_another_one_has_overtaken_does_nothing,
        a_notification_waits_in_the_order_of_its_channel_until_it_is_settled,
        a_channel_with_too_many_waiting_notifications_takes_no_more,
        alerts_that_are_over_are_listed_last_first_and_removed_later,
        a_silence_is_kept_until_it_ends_or_is_deleted, counts_of_attempts_are_kept_with_their_deployment;
}

/// Checks every claim on a store that `empty` creates.
///
/// # Panics
/// If a claim fails; its name is in the message.
pub fn exercise(empty: Factory<'_>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime for the test");
    for (name, claim) in CLAIMS {
        tracing::info!(name, "claim");
        let store = empty();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(claim(store.clone()))));
        assert!(outcome.is_ok(), "the claim {name} failed");
        runtime.block_on(store.close()).expect("the store closes");
    }
}

/// Runs random sequences of operations on a store that `empty` creates and on models, which must
/// give the same answers.
///
/// # Panics
/// If they differ, with the shortest sequence found.
pub fn compare_with_model(cases: u32, empty: Factory<'_>) {
    models::transactions::compare(cases, empty);
    models::families::compare(cases, empty);
    models::lanes::compare(cases, empty);
    models::flow::compare(cases, empty);
    models::ledger::compare(cases, empty);
    models::balances::compare(cases, empty);
    models::budgets::compare(cases, empty);
}
