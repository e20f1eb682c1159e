//! Firings of a schedule: overlap and catch-up policies, limits, and failures in a row.

use proptest::prelude::*;
use serde_json::{Value, json};
use tidemill_core::run::RunState;
use tidemill_core::schedule::{CatchUp, Overlap};
use tidemill_core::{ScheduleName, Timestamp};
use tidemill_engine::Cause;
use tidemill_store::records::{FiringEntry, FiringFate, PageRequest, RunFilter, Schedule};

use crate::fixture::guests::{failure, output};
use crate::fixture::{START, TestHost, name};

const MINUTE: u64 = 60_000;

fn often() -> ScheduleName {
    "often".parse().unwrap()
}

async fn world(schedule: Value) -> TestHost {
    let world = TestHost::paused().await;
    deploy(&world, schedule).await;
    world
}

async fn deploy(world: &TestHost, more: Value) {
    let mut schedule = json!({ "name": "often", "cron": "* * * * *" });
    schedule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world.deploy(json!({ "name": "a", "concurrency": 50, "schedules": [schedule] })).await;
}

async fn minute(world: &TestHost) {
    world.clock.advance(MINUTE);
    world.tick().await;
}

async fn stored(world: &TestHost) -> Schedule {
    world.store.schedule(&name("a"), &often()).await.unwrap().unwrap()
}

async fn list(world: &TestHost) -> Vec<FiringEntry> {
    world.store.firing_list(&name("a"), &often(), PageRequest::first(100)).await.unwrap().items
}

/// Returns the minute of each run's nominal time, with its state.
async fn states(world: &TestHost) -> Vec<(u64, &'static str)> {
    let runs = world.runs(RunFilter::default()).await;
    let minute = |at: Option<Timestamp>| at.unwrap().millis_since(START) / MINUTE;
    let mut states: Vec<_> = runs.iter().map(|run| (minute(run.trigger.at), run.state.name())).collect();
    states.sort_unstable();
    states
}

/// Lets ready runs execute until there are none.
async fn settle(world: &TestHost) {
    loop {
        world.tick().await;
        world.host.idle().await;
        if world.store.queued(&name("a"), 1).await.unwrap() == 0 {
            return;
        }
    }
}

#[tokio::test]
async fn each_overlap_policy_decides_for_each_catch_up_policy() {
    // Three are missed, and the fourth is on time. Each row has the number of executed and of
    // missed firings.
    for (catch_up, due, missed) in [(CatchUp::Last, 2, 2), (CatchUp::None, 1, 3), (CatchUp::All, 4, 0)] {
        for overlap in Overlap::ALL {
            let world = world(json!({ "catch_up": catch_up.as_str(), "overlap": overlap.as_str() })).await;
            world.clock.advance(4 * MINUTE);
            settle(&world).await;
            let (fired, skipped, dropped) = match overlap {
                Overlap::Skip => (1, due - 1, 0),
                Overlap::QueueOne => (due.min(2), 0, due - due.min(2)),
                _ => (due, 0, 0),
            };
            let schedule = stored(&world).await;
            let what = format!("{overlap:?}, {catch_up:?}");
            assert_eq!(
                (schedule.fired, schedule.skipped, schedule.dropped, schedule.missed),
                (fired, skipped, dropped, missed),
                "{what}"
            );
            assert_eq!(schedule.fired + schedule.skipped + schedule.dropped + schedule.missed, 4, "{what}");
            assert_eq!(schedule.waiting, 0, "{what}");
            let states = states(&world).await;
            let cancelled = states.iter().filter(|(_, state)| *state == "cancelled").count() as u64;
            let ends_others = matches!(overlap, Overlap::CancelOther | Overlap::TerminateOther);
            assert_eq!(cancelled, if ends_others { fired - 1 } else { 0 }, "{what}: {states:?}");
            let listed: u64 =
                list(&world).await.iter().filter(|entry| entry.fate != FiringFate::Late).map(|e| e.count).sum();
            assert_eq!(listed, skipped + dropped + missed, "{what}");
            let late = if catch_up == CatchUp::None { 0 } else { fired.min(due - 1) };
            assert_eq!(schedule.late, late, "{what}");
        }
    }
}

#[tokio::test]
async fn a_queued_firing_starts_when_the_earlier_ones_have_ended() {
    let world = world(json!({ "overlap": "queue-one" })).await;
    let gate = world.guests.gated("1");
    minute(&world).await;
    world.guests.have_begun(1).await;
    minute(&world).await;
    minute(&world).await;
    assert_eq!(states(&world).await, [(1, "running"), (2, "queued")]);
    let entries = list(&world).await;
    assert_eq!(
        (entries.len(), entries[0].fate, entries[0].first),
        (1, FiringFate::Dropped, START.plus_millis(3 * MINUTE))
    );
    gate.add_permits(1);
    world.first_in("succeeded").await;
    world.tick().await;
    world.guests.have_begun(2).await;
    assert_eq!((world.guests.most(), stored(&world).await.waiting), (1, 0));
    gate.add_permits(1);
    world.host.idle().await;
    let metrics = world.host.metrics_text().await.unwrap();
    for line in [r#"result="dropped"} 1"#, r#"result="fired"} 2"#] {
        assert!(metrics.contains(&format!("tidemill_firings_total{{deployment=\"a\",{line}")), "{line} in\n{metrics}");
    }
}

#[tokio::test]
async fn queued_firings_start_in_order_over_a_restart() {
    let mut world = world(json!({ "overlap": "queue-all" })).await;
    let gate = world.guests.gated("1");
    minute(&world).await;
    world.guests.have_begun(1).await;
    minute(&world).await;
    minute(&world).await;
    drop(world.next_epoch().await);
    world.tick().await;
    gate.add_permits(10);
    while states(&world).await.iter().any(|(_, state)| *state != "succeeded") {
        settle(&world).await;
    }
    let mut runs = world.runs(RunFilter::default()).await;
    runs.sort_by_key(|run| run.trigger.at);
    assert!(runs.is_sorted_by_key(|run| run.started_at) && runs.len() == 3);
    assert_eq!(world.guests.begun(), 4, "the one that was taken over, twice");
}

#[tokio::test]
async fn the_earlier_run_is_cancelled_and_the_new_one_starts_after_it() {
    for overlap in ["cancel-other", "terminate-other"] {
        let world = world(json!({ "overlap": overlap })).await;
        let _gate = world.guests.gated("1");
        minute(&world).await;
        world.guests.have_begun(1).await;
        minute(&world).await;
        world.first_in("cancelled").await;
        world.tick().await;
        world.guests.have_begun(2).await;
        assert_eq!(states(&world).await, [(1, "cancelled"), (2, "running")], "{overlap}");
        assert_eq!(world.guests.most(), 1, "{overlap}");
    }
}

#[tokio::test]
async fn a_limit_ends_a_schedule() {
    let world = world(json!({ "overlap": "allow", "limit": 2 })).await;
    for _ in 0..4 {
        minute(&world).await;
    }
    let schedule = stored(&world).await;
    assert_eq!((schedule.fired, schedule.left, schedule.next), (2, Some(0), None));
    settle(&world).await;
    world.host.trigger(&name("a"), &often(), None).await.unwrap();
    deploy(&world, json!({ "overlap": "allow", "limit": 3 })).await;
    minute(&world).await;
    assert_eq!((stored(&world).await.fired, stored(&world).await.left), (3, Some(2)));
}

#[tokio::test]
async fn times_cut_off_by_a_new_revision_are_missed_and_not_lost() {
    let world = world(json!({ "overlap": "allow" })).await;
    world.clock.advance(3 * MINUTE + 1);
    // They were not processed when the schedule changes.
    deploy(&world, json!({ "overlap": "skip" })).await;
    world.tick().await;
    let schedule = stored(&world).await;
    assert_eq!((schedule.fired, schedule.missed, schedule.next), (0, 3, Some(START.plus_millis(4 * MINUTE))));
    assert_eq!(list(&world).await[0].count, 3);
    deploy(&world, json!({ "overlap": "allow" })).await;
    assert_eq!(stored(&world).await.missed, 3);
}

#[tokio::test]
async fn failures_in_a_row_pause_a_schedule() {
    let world = world(json!({ "overlap": "allow", "pause_after_failures": 3 })).await;
    world.guests.act(|_| async { failure(false, Cause::Guest) });
    for failed in 1..=3 {
        assert_eq!(stored(&world).await.paused, None);
        minute(&world).await;
        settle(&world).await;
        assert_eq!(stored(&world).await.failures, failed);
    }
    let note = stored(&world).await.paused.unwrap().note;
    assert!(note.starts_with("3 runs in a row failed"), "{note}");
    minute(&world).await;
    assert_eq!(states(&world).await.len(), 3);
    world.guests.act(|_| async { output("1") });
    world.host.resume_schedule(&name("a"), &often()).await.unwrap();
    minute(&world).await;
    settle(&world).await;
    assert_eq!((stored(&world).await.failures, stored(&world).await.fired), (0, 4));
    let entries = list(&world).await;
    assert_eq!((entries[0].fate, entries[0].count), (FiringFate::Paused, 1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    /// Whatever is done to a schedule, and whenever the host ticks, each nominal time that has
    /// passed is counted once, and each without a run is listed.
    #[test]
    fn no_nominal_time_passes_without_being_counted(
        overlap in prop::sample::select(Overlap::ALL.to_vec()),
        catch_up in prop::sample::select(CatchUp::ALL.to_vec()),
        steps in prop::collection::vec((0u64..20, 0usize..3, any::<bool>()), 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let words = json!({
                "overlap": overlap.as_str(), "catch_up": catch_up.as_str(), "catch_up_window": "10m",
            });
            let world = world(words).await;
            let gate = world.guests.gated("1");
            let mut passed = 0;
            for (minutes, ends, by_hand) in steps {
                world.clock.advance(minutes * MINUTE);
                passed += minutes;
                world.tick().await;
                if by_hand {
                    world.host.trigger(&name("a"), &often(), None).await.unwrap();
                }
                gate.add_permits(ends);
                tokio::task::yield_now().await;
            }
            let schedule = stored(&world).await;
            assert_eq!(schedule.fired + schedule.skipped + schedule.dropped + schedule.missed, passed, "{schedule:?}");
            let listed: u64 = list(&world).await.iter().filter(|entry| entry.fate != FiringFate::Late).map(|e| e.count).sum();
            assert_eq!(listed, passed - schedule.fired);
            let runs = world.runs(RunFilter::default()).await;
            assert_eq!(runs.len() as u64, schedule.fired + schedule.by_hand);
            // Let every guest end.
            gate.add_permits(1_000);
            while world.runs(RunFilter::default()).await.iter().any(|run| !run.state.is_settled()) {
                settle(&world).await;
            }
            assert_eq!(stored(&world).await.waiting, 0);
            assert!(world.runs(RunFilter::default()).await.iter().all(|run| run.state != RunState::Suspended));
        });
    }
}
