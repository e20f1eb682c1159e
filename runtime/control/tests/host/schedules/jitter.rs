//! Jitter: overlap and pauses apply when a firing is due, not at its nominal time.

use serde_json::{Value, json};
use tidemill_control::ControlError;
use tidemill_core::manifest::Manifest;
use tidemill_core::schedule::Schedule;
use tidemill_core::{ScheduleName, Timestamp};
use tidemill_store::records::RunFilter;

use crate::fixture::guests::output;
use crate::fixture::{START, TestHost, name};

const MINUTE: u64 = 60_000;

fn often() -> ScheduleName {
    "often".parse().unwrap()
}

fn manifest(more: &Value) -> Value {
    let mut schedule = json!({ "name": "often", "cron": "* * * * *" });
    schedule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "name": "a", "concurrency": 50, "schedules": [schedule] })
}

fn schedule(more: &Value) -> Schedule {
    let mut manifest = manifest(more);
    manifest["module"] = "module@1.0.0".into();
    Manifest::parse_json(manifest.to_string().as_bytes()).unwrap().schedules.remove(0)
}

async fn fired(world: &TestHost) -> Vec<Timestamp> {
    let mut times: Vec<_> = world.runs(RunFilter::default()).await.iter().filter_map(|run| run.trigger.at).collect();
    times.sort_unstable();
    times
}

/// Returns a host at a nominal time whose firing is due some seconds later.
async fn at_a_nominal_time(more: &Value) -> (TestHost, Timestamp, Timestamp) {
    let world = TestHost::paused().await;
    world.guests.act(|_| async { output("1") });
    world.deploy(manifest(more)).await;
    let schedule = schedule(more);
    let due = |at: Timestamp| schedule.due_at(&name("a"), at);
    let nominal = schedule.preview(START, 100).into_iter().find(|at| due(*at).millis_since(*at) > 10_000).unwrap();
    world.clock.set(nominal.plus_millis(0));
    world.tick().await;
    world.host.idle().await;
    (world, nominal, due(nominal))
}

#[tokio::test]
async fn a_firing_begins_when_its_jitter_is_over_and_not_before() {
    let (world, nominal, due) = at_a_nominal_time(&json!({ "jitter": "30s" })).await;
    assert!(!fired(&world).await.contains(&nominal));
    let before = world.store.schedule(&name("a"), &often()).await.unwrap().unwrap();
    world.clock.set(due);
    world.tick().await;
    assert_eq!(fired(&world).await.last(), Some(&nominal));
    let stored = world.store.schedule(&name("a"), &often()).await.unwrap().unwrap();
    assert_eq!((stored.through, stored.late), (Some(nominal), before.late));
}

#[tokio::test]
async fn firings_are_never_skipped_or_cancelled_by_runs_that_have_not_started() {
    for overlap in ["skip", "cancel-other", "queue-one"] {
        let more = json!({ "jitter": "10m", "long_jitter": true, "overlap": overlap, "catch_up": "none" });
        let world = TestHost::paused().await;
        world.guests.act(|_| async { output("1") });
        world.deploy(manifest(&more)).await;
        for _ in 0..15 * 40 {
            world.clock.advance(MINUTE / 15);
            world.tick().await;
            world.host.idle().await;
        }
        let stored = world.store.schedule(&name("a"), &often()).await.unwrap().unwrap();
        assert!(stored.fired >= 29, "{overlap}: {stored:?}");
        assert_eq!((stored.skipped, stored.dropped, stored.missed, stored.late), (0, 0, 0, 0), "{overlap}");
        let succeeded = RunFilter { states: vec!["succeeded".to_owned()], ..RunFilter::default() };
        assert_eq!(world.runs(succeeded).await.len() as u64, stored.fired, "{overlap}");
        assert_eq!(world.guests.most(), 1, "{overlap}");
    }
}

#[tokio::test]
async fn pauses_deletions_and_revisions_apply_to_jittered_firings() {
    for what in ["pause", "pause the deployment", "remove", "disable"] {
        let (world, nominal, due) = at_a_nominal_time(&json!({ "jitter": "30s" })).await;
        let before = fired(&world).await;
        let mut other = manifest(&json!({ "jitter": "30s" }));
        match what {
            "pause" => drop(world.host.pause_schedule(&name("a"), &often(), String::new()).await.unwrap()),
            "pause the deployment" => drop(world.host.pause(&name("a"), String::new()).await.unwrap()),
            "remove" => world.deploy(json!({ "name": "a" })).await,
            _ => {
                other["enabled"] = false.into();
                world.deploy(other).await;
            }
        }
        world.clock.set(due.plus_millis(1));
        world.tick().await;
        assert_eq!(fired(&world).await, before, "{what}: {nominal:?}");
    }
}

#[tokio::test]
async fn a_firing_begins_before_the_end_of_its_schedule() {
    let end = START.plus_millis(5 * MINUTE + 1_000);
    let (more, world) = (json!({ "jitter": "30s", "end": end.to_rfc3339() }), TestHost::paused().await);
    world.guests.act(|_| async { output("1") });
    world.deploy(manifest(&more)).await;
    while let Some(next) = world.store.next_due().await.unwrap() {
        world.clock.set(next);
        world.tick().await;
        world.host.idle().await;
    }
    let runs = world.runs(RunFilter::default()).await;
    assert_eq!(runs.len(), 5);
    assert!(runs.iter().all(|run| run.created_at < end), "{runs:?}");
}

#[tokio::test]
async fn long_jitter_is_deployed_only_on_explicit_request() {
    let world = TestHost::paused().await;
    let refused = world.try_deploy("1.0.0", manifest(&json!({ "jitter": "31s" }))).await.unwrap_err();
    let ControlError::Problems { problems, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(problems[0].pointer, "/schedules/0/jitter");
    assert!(problems[0].fix.contains("\"30s\"") && problems[0].fix.contains("long_jitter"), "{problems:?}");
    world.try_deploy("1.0.0", manifest(&json!({ "jitter": "30s" }))).await.unwrap();
    world.try_deploy("1.0.0", manifest(&json!({ "jitter": "31s", "long_jitter": true }))).await.unwrap();
}
