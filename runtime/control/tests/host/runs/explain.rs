//! Explanations of a run: the stages in their fixed order, and an answer for every state.

use serde_json::json;
use tidemill_control::{Explanation, HostConfig, RunRequest, StageName, StageVerdict};
use tidemill_core::run::{Run, RunState};
use tidemill_core::{Code, RunId, Timestamp};
use tidemill_engine::Cause;
use tidemill_store::records::RunRequestResult;

use crate::fixture::guests::{failure, output};
use crate::fixture::{START, TestHost, name};

async fn explained(world: &TestHost, id: RunId) -> Explanation {
    let explanation = world.host.explain(id).await.unwrap();
    let names: Vec<_> = explanation.stages.iter().map(|stage| stage.name).collect();
    assert!(names.is_empty() || names == StageName::ALL, "all of them, in order");
    assert!(!explanation.summary.is_empty());
    explanation
}

/// Returns the first stage at which a run waits.
async fn waits_at(world: &TestHost, id: RunId) -> Option<StageName> {
    let stages = explained(world, id).await.stages;
    stages.iter().find(|stage| stage.verdict == StageVerdict::Waits).map(|stage| stage.name)
}

async fn asked(world: &TestHost, deployment: &str, input: serde_json::Value, delay: u64) -> Run {
    let delay = Some(std::time::Duration::from_millis(delay));
    let ask = RunRequest { delay, ..RunRequest::new(name(deployment), input.to_string()) };
    match world.host.request(ask).await.unwrap() {
        RunRequestResult::Created(run) => run,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_run_passes_the_stages_in_order() {
    let world = TestHost::paused_with(|config: &mut HostConfig| config.concurrency = 2).await;
    world
        .deploy(json!({ "name": "a", "concurrency": 2, "concurrency_key": "/k", "rate": { "runs": 2, "per": "1m" } }))
        .await;
    world.deploy(json!({ "name": "other" })).await;
    let gate = world.guests.gated("1");
    let holder = asked(&world, "a", json!({ "k": 1 }), 0).await;
    let other = asked(&world, "a", json!({ "k": 2 }), 0).await;
    world.tick().await;
    world.guests.have_begun(2).await;

    let run = asked(&world, "a", json!({ "k": 1 }), 10_000).await;
    world.host.pause(&name("a"), "a look".to_owned()).await.unwrap();
    assert_eq!(waits_at(&world, run.id).await, Some(StageName::Paused));
    assert!(explained(&world, run.id).await.summary.ends_with(": a look"));
    world.host.resume(&name("a")).await.unwrap();
    let explanation = explained(&world, run.id).await;
    assert_eq!(waits_at(&world, run.id).await, Some(StageName::Time));
    assert_eq!(explanation.stages[5].until, Some(START.plus_millis(10_000)));

    world.clock.advance(10_000);
    let later = asked(&world, "a", json!({ "k": 1 }), 0).await;
    world.tick().await;
    // The delayed run requests its lane when it is due.
    let explanation = explained(&world, later.id).await;
    assert_eq!(waits_at(&world, later.id).await, Some(StageName::Key));
    let stage = &explanation.stages[6];
    assert_eq!((stage.used, stage.limit, &stage.runs), (Some(1), Some(1), &vec![holder.id]));
    assert!(explanation.next.unwrap().contains(&format!("tidemill runs explain {}", holder.id)));

    // The holders of the keys end, and runs of another deployment take all slots.
    gate.add_permits(2);
    world.until_settled(holder.id).await;
    world.until_settled(other.id).await;
    world.host.idle().await;
    for _ in 0..2 {
        asked(&world, "other", json!({}), 0).await;
    }
    world.tick().await;
    world.guests.have_begun(4).await;
    let stages = explained(&world, later.id).await.stages;
    assert_eq!(stages.iter().find(|stage| stage.name == StageName::Key).unwrap().verdict, StageVerdict::Passes);
    let rate = stages.iter().find(|stage| stage.name == StageName::Rate).unwrap();
    assert_eq!((rate.verdict, rate.used, rate.limit), (StageVerdict::Waits, Some(2), Some(2)));
    assert_eq!(rate.until, Some(START.plus_millis(60_000)));
    assert_eq!(waits_at(&world, later.id).await, Some(StageName::Rate));

    world.clock.advance(50_000);
    world.tick().await;
    assert_eq!(waits_at(&world, later.id).await, Some(StageName::Node));
    gate.add_permits(10);
    world.host.idle().await;
    world.tick().await;
    assert_eq!(world.until_settled(later.id).await.state, RunState::Succeeded);
    world.host.idle().await;
    world.tick().await;
    assert_eq!(world.until_settled(run.id).await.state, RunState::Succeeded);
}

#[tokio::test]
async fn a_run_that_waits_for_its_deployment_shows_its_position() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a", "concurrency": 1 })).await;
    let gate = world.guests.gated("1");
    let first = world.request("a").await;
    world.tick().await;
    world.guests.have_begun(1).await;
    assert!(explained(&world, first.id).await.summary.starts_with("it runs on node `node` in attempt 1"));
    let next = world.request("a").await;
    assert_eq!(waits_at(&world, next.id).await, Some(StageName::Concurrency));
    assert_eq!(explained(&world, next.id).await.summary, "1 of 1 slots of its deployment are used");
    let low = RunRequest { priority: Some(1), ..RunRequest::new(name("a"), "{}") };
    let RunRequestResult::Created(low) = world.host.request(low).await.unwrap() else { panic!() };
    assert_eq!(waits_at(&world, low.id).await, Some(StageName::Priority));
    assert!(explained(&world, low.id).await.summary.starts_with("number 2 by priority and age, with priority 1"));
    gate.add_permits(9);
}

#[tokio::test]
async fn debounced_requests_show_their_deadline() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a", "debounce": { "wait": "5s" } })).await;
    let run = asked(&world, "a", json!({}), 0).await;
    assert_eq!(waits_at(&world, run.id).await, Some(StageName::Debounce));
    assert_eq!(explained(&world, run.id).await.stages[1].until, Some(START.plus_millis(5_000)));
}

#[tokio::test]
async fn a_suspended_run_shows_what_it_waits_for() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a", "concurrency": 1 })).await;
    world.act(|mut guest| async move {
        if guest.job.input.as_ref() == b"1" {
            guest.sleep_until(START.plus_millis(9_000)).await?;
        } else {
            guest.signal("go").await?;
        }
        Ok(guest.succeed("1"))
    });
    let sleeper = asked(&world, "a", json!(1), 0).await;
    world.tick().await;
    world.until(sleeper.id, |run| run.state == RunState::Suspended).await;
    world.host.idle().await;
    let listener = asked(&world, "a", json!(2), 0).await;
    world.tick().await;
    world.until(listener.id, |run| run.state == RunState::Suspended).await;
    let explanation = explained(&world, sleeper.id).await;
    assert_eq!(explanation.summary, format!("it sleeps until {}", START.plus_millis(9_000).to_rfc3339()));
    assert!(explanation.stages.is_empty());
    let explanation = explained(&world, listener.id).await;
    assert_eq!(explanation.summary, "it waits for the signal `go`");
    assert_eq!(explanation.next, Some(format!("`tidemill runs signal {} go` sends it.", listener.id)));
}

#[tokio::test]
async fn ended_and_parked_runs_explain_the_cause_and_the_next_action() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "good" })).await;
    world.deploy(json!({ "name": "parks", "retry": "never" })).await;
    world.deploy(json!({ "name": "fails", "retry": { "attempts": 1, "then": "fail" } })).await;
    world.guests.act(|job| async move {
        if job.run.deployment.as_str() == "good" { output("1") } else { failure(false, Cause::Guest) }
    });
    let runs = [world.request("good").await, world.request("parks").await, world.request("fails").await];
    world.tick().await;
    for run in &runs {
        world.until_settled(run.id).await;
    }
    let cancelled = asked(&world, "good", json!({}), 60_000).await;
    world.host.cancel(cancelled.id, false).await.unwrap();
    let [good, parks, fails] = runs.map(|run| run.id);
    let expected = [
        (good, "it succeeded at ", None),
        (parks, "it is parked with no-luck: ", Some("tidemill runs retry")),
        (fails, "it failed at ", Some("tidemill runs retry")),
        (cancelled.id, "it was cancelled at ", Some("Start a new run")),
    ];
    for (id, summary, next) in expected {
        let explanation = explained(&world, id).await;
        assert!(explanation.summary.starts_with(summary), "{explanation:?}");
        match next {
            Some(next) => assert!(explanation.next.unwrap().contains(next)),
            None => assert_eq!(explanation.next, None),
        }
        assert!(explanation.stages.is_empty());
    }
    let unknown = world.host.explain(RunId::new(Timestamp::default(), 7)).await.unwrap_err();
    assert_eq!(unknown.code(), Code::RunNotFound);
}

#[tokio::test]
async fn a_queued_firing_names_the_runs_before_it() {
    let world = TestHost::paused().await;
    let schedule = json!({ "name": "often", "cron": "* * * * *", "overlap": "queue-all" });
    world.deploy(json!({ "name": "a", "schedules": [schedule] })).await;
    let _gate = world.guests.gated("1");
    for _ in 0..3 {
        world.clock.advance(60_000);
        world.tick().await;
    }
    world.guests.have_begun(1).await;
    let mut runs = world.runs(tidemill_store::records::RunFilter::default()).await;
    runs.sort_by_key(|run| run.trigger.at);
    assert_eq!(waits_at(&world, runs[2].id).await, Some(StageName::Schedule));
    let explanation = explained(&world, runs[2].id).await;
    assert_eq!(explanation.stages[4].runs, [runs[0].id]);
    assert!(explanation.summary.contains("number 2 of the waiting ones"), "{}", explanation.summary);
    assert!(explanation.next.unwrap().contains(&format!("tidemill runs explain {}", runs[0].id)));
}
