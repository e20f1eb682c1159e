//! Schedules: each time fires once, committed with the next one; overlapping and missed times are
//! counted.

use std::time::Duration;

use serde_json::json;
use tidemill_control::{ControlError, PASSED_MAX};
use tidemill_core::clock::Stopwatch;
use tidemill_core::run::TriggerKind;
use tidemill_core::schedule::ScheduleEnd;
use tidemill_core::{Code, Manifest, ScheduleName, Timestamp};
use tidemill_store::records::{FiringFate, PageRequest, RunFilter, Schedule};

use crate::fixture::{START, TestHost, name};

const MINUTE: u64 = 60_000;

fn minutely(more: serde_json::Value) -> serde_json::Value {
    let mut schedule = json!({ "name": "often", "cron": "* * * * *" });
    for (key, value) in more.as_object().unwrap() {
        schedule[key] = value.clone();
    }
    json!({ "name": "a", "schedules": [schedule] })
}

fn often() -> ScheduleName {
    "often".parse().unwrap()
}

async fn stored(world: &TestHost) -> Schedule {
    world.store.schedule(&name("a"), &often()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_firing_commits_the_run_and_the_next_time_together() {
    let world = TestHost::paused().await;
    world.deploy(minutely(json!({ "input": { "x": 1 } }))).await;
    world.tick().await;
    assert!(world.runs(RunFilter::default()).await.is_empty());
    world.clock.advance(MINUTE);
    world.tick().await;
    let run = world.first_in("succeeded").await;
    assert_eq!((run.trigger.kind, run.trigger.name.as_deref()), (TriggerKind::Schedule, Some("often")));
    assert_eq!(run.trigger.at, Some(START.plus_millis(MINUTE)));
    assert_eq!(world.store.input(run.id).await.unwrap().as_deref(), Some(br#"{"x":1}"#.as_slice()));
    let schedule = stored(&world).await;
    assert_eq!((schedule.next, schedule.fired), (Some(START.plus_millis(2 * MINUTE)), 1));
    world.tick().await;
    assert_eq!(world.runs(RunFilter::default()).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_schedules_of_one_second_fire_once_each() {
    let world = TestHost::paused().await;
    for n in 0..1_000 {
        let manifest = json!({ "name": format!("d{n}"), "schedules": [{ "name": "often", "cron": "* * * * *" }] });
        world.deploy(manifest).await;
    }
    world.clock.advance(MINUTE);
    let stopwatch = Stopwatch::start();
    world.tick().await;
    let took = stopwatch.elapsed();
    let runs = world.runs(RunFilter::default()).await;
    let mut names: Vec<_> = runs.iter().map(|run| run.deployment.to_string()).collect();
    names.sort();
    names.dedup();
    assert_eq!((runs.len(), names.len()), (1_000, 1_000));
    // It takes a second in a release build; this is a debug build.
    assert!(took < Duration::from_secs(20), "{took:?}");
    world.host.idle().await;
    let queued = RunFilter { states: vec!["queued".to_owned()], ..RunFilter::default() };
    while !world.runs(queued.clone()).await.is_empty() {
        world.tick().await;
        world.host.idle().await;
    }
    assert_eq!(world.guests.begun(), 1_000);
    assert_eq!(world.runs(RunFilter::default()).await.len(), 1_000);
}

#[tokio::test]
async fn a_firing_is_skipped_and_counted_while_the_last_run_executes() {
    let world = TestHost::paused().await;
    world.deploy(minutely(json!({}))).await;
    let gate = world.guests.gated("1");
    world.clock.advance(MINUTE);
    world.tick().await;
    world.guests.have_begun(1).await;
    world.clock.advance(MINUTE);
    world.tick().await;
    let schedule = stored(&world).await;
    assert_eq!((schedule.fired, schedule.skipped), (1, 1));
    gate.add_permits(1);
    world.first_in("succeeded").await;
    world.clock.advance(MINUTE);
    world.tick().await;
    world.guests.have_begun(2).await;
    gate.add_permits(1);
}

#[tokio::test]
async fn firings_overlap_if_the_policy_allows_it() {
    let world = TestHost::paused().await;
    world.deploy(minutely(json!({ "overlap": "allow" }))).await;
    let gate = world.guests.gated("1");
    for begun in 1..=2 {
        world.clock.advance(MINUTE);
        world.tick().await;
        world.guests.have_begun(begun).await;
    }
    assert_eq!(world.guests.most(), 2);
    gate.add_permits(2);
    world.host.idle().await;
}

#[tokio::test]
async fn missed_times_are_made_up_for_by_the_policy_and_counted() {
    for (policy, fired, missed) in [("last", 2, 2), ("none", 1, 3), ("all", 4, 0)] {
        let world = TestHost::paused().await;
        world.deploy(minutely(json!({ "catch_up": policy, "overlap": "allow" }))).await;
        // Three are missed; the fourth is on time.
        world.clock.advance(4 * MINUTE);
        world.tick().await;
        let schedule = stored(&world).await;
        assert_eq!((schedule.fired, schedule.missed), (fired, missed), "{policy}");
        assert_eq!(schedule.next, Some(START.plus_millis(5 * MINUTE)));
    }
}

#[tokio::test]
async fn a_paused_schedule_lets_its_times_pass() {
    let world = TestHost::paused().await;
    world.deploy(minutely(json!({}))).await;
    world.host.pause_schedule(&name("a"), &often(), "while we look".to_owned()).await.unwrap();
    world.clock.advance(10 * MINUTE + 1);
    world.tick().await;
    assert!(world.runs(RunFilter::default()).await.is_empty());
    let resumed = world.host.resume_schedule(&name("a"), &often()).await.unwrap();
    assert_eq!(resumed.next, Some(START.plus_millis(11 * MINUTE)));
    let list = world.store.firing_list(&name("a"), &often(), PageRequest::first(9)).await.unwrap().items;
    assert_eq!((list[0].fate, list[0].count), (FiringFate::Paused, 10));
    assert_eq!((list[0].first, list[0].last), (START.plus_millis(MINUTE), START.plus_millis(10 * MINUTE)));
    world.tick().await;
    assert!(world.runs(RunFilter::default()).await.is_empty());
    let (run, _) = world.host.trigger(&name("a"), &often(), None).await.unwrap();
    assert_eq!(run.trigger.details.as_deref(), Some(r#"{"by_hand":true}"#));
    world.tick().await;
    world.until_settled(run.id).await;
    let schedule = stored(&world).await;
    assert_eq!((schedule.fired, schedule.by_hand, schedule.missed), (0, 1, 0));
    let shown = world.host.preview(&name("a"), &often(), 2, START).await.unwrap();
    let times: Vec<_> = shown.firings.iter().map(|planned| planned.at).collect();
    assert_eq!(times, [START.plus_millis(MINUTE), START.plus_millis(2 * MINUTE)]);
}

#[tokio::test]
async fn times_passed_in_a_long_pause_are_listed_with_the_last_one_and_a_mark() {
    let world = TestHost::paused().await;
    let schedule = json!({ "name": "often", "every": "1s" });
    world.deploy(json!({ "name": "a", "schedules": [schedule] })).await;
    world.host.pause_schedule(&name("a"), &often(), String::new()).await.unwrap();
    let passed = async |seconds: u64| {
        world.clock.advance(seconds * 1_000);
        world.host.resume_schedule(&name("a"), &often()).await.unwrap();
        let list = world.store.firing_list(&name("a"), &often(), PageRequest::first(1)).await.unwrap().items;
        world.host.pause_schedule(&name("a"), &often(), String::new()).await.unwrap();
        list[0].clone()
    };
    let long = passed(250_000).await;
    assert_eq!((long.count, long.more, long.first), (PASSED_MAX, true, START.plus_millis(1_000)));
    assert_eq!(long.last, START.plus_millis(250_000_000));
    let short = passed(7).await;
    assert_eq!((short.count, short.more, short.last), (7, false, START.plus_millis(250_007_000)));
}

#[tokio::test]
async fn a_preview_ends_at_the_limit() {
    let world = TestHost::paused().await;
    let manifest = |limit: u64| {
        let mut manifest = minutely(json!({ "limit": limit }));
        manifest["module"] = "module@1.0.0".into();
        manifest
    };
    world.deploy(manifest(5)).await;
    world.clock.advance(MINUTE + 1);
    world.tick().await;
    world.until_settled(world.runs(RunFilter::default()).await[0].id).await;
    let shown = async |from: u64| {
        let from = START.plus_millis(from * MINUTE);
        let ahead = world.host.preview(&name("a"), &often(), 3, from).await.unwrap();
        let times: Vec<_> = ahead.firings.iter().map(|one| one.at.millis_since(START) / MINUTE).collect();
        (times, ahead.ends)
    };
    assert_eq!(shown(1).await, (vec![2, 3, 4], None));
    assert_eq!(shown(2).await, (vec![3, 4, 5], Some(ScheduleEnd::Limit)), "one of five has fired");
    assert_eq!(shown(4).await, (vec![5], Some(ScheduleEnd::Limit)));
    assert_eq!(shown(9).await, (vec![], Some(ScheduleEnd::Limit)));
    assert_eq!(shown(0).await, (vec![1, 2, 3], None), "what has passed takes nothing from it");
    let deployed = async |limit| {
        let manifest = Manifest::parse_json(manifest(limit).to_string().as_bytes()).unwrap();
        let mut deployed = world.host.deploy(manifest, None, true).await.unwrap();
        let ahead = deployed.previews.remove(0).ahead;
        (ahead.firings.len(), ahead.ends)
    };
    assert_eq!(deployed(5).await, (4, Some(ScheduleEnd::Limit)));
    assert_eq!(deployed(6).await, (6, Some(ScheduleEnd::Limit)), "a new limit starts a new count");
    assert_eq!(deployed(30).await, (20, None));
}

#[tokio::test]
async fn a_new_revision_keeps_the_next_time_of_unchanged_schedules() {
    let world = TestHost::paused().await;
    world.deploy(minutely(json!({}))).await;
    let changed = Timestamp::from_millis(START.as_millis() + 90_000);
    world.clock.set(changed);
    let mut manifest = minutely(json!({}));
    manifest["priority"] = 7.into();
    world.deploy(manifest).await;
    assert_eq!(stored(&world).await.next, Some(START.plus_millis(MINUTE)));
    world.deploy(minutely(json!({ "cron": "*/5 * * * *" }))).await;
    assert_eq!(stored(&world).await.next, Some(START.plus_millis(5 * MINUTE)));
    let mut off = minutely(json!({ "cron": "*/5 * * * *" }));
    off["enabled"] = false.into();
    world.deploy(off).await;
    assert_eq!(stored(&world).await.next, None);
}

#[tokio::test]
async fn the_scheduler_loop_fires_a_due_schedule() {
    let world = TestHost::running().await;
    world.deploy(minutely(json!({}))).await;
    world.clock.advance(MINUTE);
    // A change of any schedule wakes the scheduler, which reads the clock again.
    world.deploy(json!({ "name": "b" })).await;
    let run = world.first_in("succeeded").await;
    assert_eq!(run.trigger.at, Some(START.plus_millis(MINUTE)));
    world.host.shutdown(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn a_step_of_all_days_with_a_day_of_the_week_causes_a_warning() {
    let world = TestHost::paused().await;
    let with = |cron: &str| json!({ "name": "a", "schedules": [{ "name": "often", "cron": cron }] });
    let deployed = world.try_deploy("1.0.0", with("0 0 */2 * MON")).await.unwrap();
    assert!(deployed.warnings.iter().any(|warning| warning.contains("crontab")), "{:?}", deployed.warnings);
    assert_eq!(world.try_deploy("1.0.0", with("0 0 13 * MON")).await.unwrap().warnings, [""; 0]);
}

#[tokio::test]
async fn a_schedule_with_an_invalid_input_is_refused() {
    let world = TestHost::paused().await;
    world.put_typed().await;
    let manifest = |input| json!({ "name": "typed", "schedules": [{ "name": "s", "every": "1h", "input": input }] });
    let refused = world.try_deploy("2.0.0", manifest(json!([1, "2"]))).await.unwrap_err();
    let ControlError::Problems { problems, .. } = refused else { panic!("{refused:?}") };
    assert_eq!((problems[0].code, problems[0].pointer.as_str()), (Code::InputInvalid, "/schedules/0/input/1"));
    world.try_deploy("2.0.0", manifest(json!([1, 2]))).await.unwrap();
}
