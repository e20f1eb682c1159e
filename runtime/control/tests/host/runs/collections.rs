//! Collections of a revenue stream: each starts where the last successful one ended, and none
//! overlap.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tidemill_control::{BackfillRequest, RunRequest};
use tidemill_core::Code;
use tidemill_core::run::{Export, Run, RunState};
use tidemill_engine::Cause;
use tidemill_store::records::{RunFilter, RunRequestResult};

use crate::fixture::guests::{failure, output};
use crate::fixture::{START, TestHost, evict_immediately, name};

const HOUR: u64 = 3_600_000;

async fn stream() -> TestHost {
    let world = TestHost::new(&[Export::RevenueStream], false).await;
    let schedule = json!({ "name": "hourly", "cron": "0 * * * *" });
    world.deploy(json!({ "name": "a", "schedules": [schedule] })).await;
    world
}

fn hours(n: u64) -> u64 {
    START.plus_millis(n * HOUR).as_millis()
}

async fn next_hour(world: &TestHost) {
    world.clock.advance(HOUR);
    world.tick().await;
    world.guests.have_begun(1).await;
    world.host.idle().await;
}

#[tokio::test]
async fn each_period_begins_where_the_last_success_ended() {
    let world = stream().await;
    let periods = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&periods);
    let results = Arc::new(Mutex::new(vec![true, false, true]));
    world.guests.act(move |job| {
        let period: serde_json::Value = serde_json::from_slice(&job.input).unwrap();
        seen.lock().unwrap().push((period["start"].as_u64().unwrap(), period["end"].as_u64().unwrap()));
        let good = results.lock().unwrap().remove(0);
        async move { if good { output(r#"{"posted":1,"duplicates":0}"#) } else { failure(false, Cause::Guest) } }
    });
    for _ in 0..3 {
        next_hour(&world).await;
    }
    assert_eq!(*periods.lock().unwrap(), [(hours(0), hours(1)), (hours(1), hours(2)), (hours(1), hours(3))]);
    assert_eq!(world.store.watermark(&name("a")).await.unwrap().unwrap().as_millis(), hours(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn collections_never_overlap_whatever_starts_them() {
    let world = TestHost::new(&[Export::RevenueStream, Export::Workflow], true).await;
    world.deploy(json!({ "name": "a", "concurrency": 8 })).await;
    world.guests.act(|_| async {
        tokio::task::yield_now().await;
        output(r#"{"posted":0,"duplicates":0}"#)
    });
    let calls = (0..20).map(|_| {
        let host = world.host.clone();
        let ask = RunRequest { export: Some(Export::RevenueStream), ..RunRequest::new(name("a"), "{}") };
        async move { host.invoke(ask, std::time::Duration::from_secs(60)).await.unwrap().run.state.name() }
    });
    let states = futures_util::future::join_all(calls).await;
    assert!(states.iter().all(|state| *state == "succeeded"), "{states:?}");
    assert_eq!(world.guests.most(), 1);
}

#[tokio::test]
async fn a_collection_by_hand_may_name_its_period_and_nothing_else() {
    let world = stream().await;
    world.guests.act(|job| async move { output(std::str::from_utf8(&job.input).unwrap()) });
    let wait = std::time::Duration::from_secs(60);
    let named = world.host.invoke(RunRequest::new(name("a"), r#"{"start": 5, "end": 9}"#), wait).await.unwrap();
    assert_eq!(named.output.as_deref(), Some(br#"{"start":5,"end":9}"#.as_slice()));
    let refused = world.host.invoke(RunRequest::new(name("a"), r#"{"from": 5}"#), wait).await.unwrap_err();
    assert_eq!(refused.code(), Code::BadField);
}

/// A separate period moves nothing: the gap between it and the last success would never be
/// collected.
#[tokio::test]
async fn a_collection_by_hand_moves_the_watermark_only_without_a_gap() {
    let world = stream().await;
    world.guests.act(|_| async { output(r#"{"posted":0,"duplicates":0}"#) });
    let wait = std::time::Duration::from_secs(60);
    let collect = async |start: u64, end: u64| {
        let input = format!(r#"{{"start": {}, "end": {}}}"#, hours(start), hours(end));
        world.host.invoke(RunRequest::new(name("a"), input), wait).await.unwrap();
        world.store.watermark(&name("a")).await.unwrap().map(|mark| mark.as_millis())
    };
    assert_eq!(collect(2, 3).await, None, "the stream begins at 0");
    assert_eq!(collect(0, 2).await, Some(hours(2)));
    assert_eq!(collect(0, 1).await, Some(hours(2)), "never back");
    assert_eq!(collect(5, 6).await, Some(hours(2)), "a gap is left to be collected");
    assert_eq!(collect(1, 4).await, Some(hours(4)));
}

/// Returns a backfill from half past the first hour to the third.
fn again() -> BackfillRequest {
    BackfillRequest {
        deployment: name("a"),
        schedule: "hourly".parse().unwrap(),
        start: START.plus_millis(HOUR / 2),
        end: START.plus_millis(3 * HOUR),
        overlap: None,
        key: None,
    }
}

fn period(start: u64, end: u64) -> String {
    format!(r#"{{"start":{start},"end":{end}}}"#)
}

#[tokio::test]
async fn a_backfill_of_a_stream_collects_each_period_again() {
    let world = stream().await;
    let periods = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&periods);
    world.guests.act(move |job| {
        seen.lock().unwrap().push(String::from_utf8(job.input.to_vec()).unwrap());
        async { output(r#"{"posted":0,"duplicates":0}"#) }
    });
    for _ in 0..3 {
        next_hour(&world).await;
    }
    periods.lock().unwrap().clear();
    world.host.backfill(again()).await.unwrap();
    while periods.lock().unwrap().len() < 2 {
        world.tick().await;
        world.host.idle().await;
    }
    assert_eq!(*periods.lock().unwrap(), [period(hours(0) + HOUR / 2, hours(1)), period(hours(1), hours(2))]);
    assert_eq!(world.store.watermark(&name("a")).await.unwrap().unwrap().as_millis(), hours(3));
}

#[tokio::test]
async fn a_backfilled_collection_uses_the_lane_of_its_own_period() {
    let world = TestHost::new(&[Export::RevenueStream], false).await;
    let schedule = json!({ "name": "hourly", "cron": "0 * * * *" });
    world.deploy(json!({ "name": "a", "concurrency_key": "/start", "schedules": [schedule] })).await;
    world.host.pause(&name("a"), String::new()).await.unwrap();
    world.clock.advance(3 * HOUR);
    let by_hand = world.host.request(RunRequest::new(name("a"), period(hours(1), hours(2)))).await.unwrap();
    let RunRequestResult::Created(by_hand) = by_hand else { panic!("{by_hand:?}") };
    world.host.backfill(again()).await.unwrap();
    world.tick().await;
    let runs = world.runs(RunFilter::default()).await;
    let second = |run: &&Run| run.trigger.is_backfill() && run.trigger.at == Some(START.plus_millis(2 * HOUR));
    let backfilled = runs.iter().find(second).unwrap();
    assert_eq!((backfilled.lanes.len(), &backfilled.lanes), (1, &by_hand.lanes));
}

#[tokio::test]
async fn a_collection_that_waits_keeps_its_stream_and_its_period() {
    let world = TestHost::with(&[Export::RevenueStream], false, evict_immediately).await;
    world.deploy(json!({ "name": "a" })).await;
    let periods = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&periods);
    world.act(move |mut guest| {
        seen.lock().unwrap().push((guest.job.run.id, String::from_utf8(guest.job.input.to_vec()).unwrap()));
        async move {
            guest.call("asked");
            guest.sleep_until(START.plus_millis(2_000)).await?;
            Ok(guest.succeed("{}"))
        }
    });
    let first = world.request("a").await;
    world.tick().await;
    world.until(first.id, |run| run.state == RunState::Suspended).await;
    world.host.idle().await;
    let second = world.request("a").await;
    world.tick().await;
    // It returns its permit, which the first one needs.
    let later = |run: &Run| matches!(run.state, RunState::Queued { not_before } if not_before > START);
    world.until(second.id, later).await;
    world.host.idle().await;
    assert_eq!(world.guests.begun(), 1);
    world.clock.advance(2_000);
    world.tick().await;
    assert_eq!(world.until_settled(first.id).await.state, RunState::Succeeded);
    world.host.idle().await;
    world.clock.advance(5_000);
    world.tick().await;
    assert_eq!(world.until_settled(second.id).await.state, RunState::Succeeded);
    let periods = periods.lock().unwrap().clone();
    let ids: Vec<_> = periods.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [first.id, first.id, second.id]);
    assert_eq!(periods[0].1, periods[1].1);
}
