//! Circuit breakers of deployments: what opens them, what waits then, how they close, and what an
//! operator decides.

use std::time::Duration;

use serde_json::json;
use tidemill_control::{BreakerReport, ControlError, RunRequest, StageName, StageVerdict};
use tidemill_core::breaker::BreakerMode;
use tidemill_core::healing::HealingMode;
use tidemill_core::run::{Export, Run, RunState, Trigger};
use tidemill_core::{Code, RunId};
use tidemill_engine::{Cause, StartRun};
use tidemill_store::records::{FeedEvent, RunFilter};

use crate::fixture::guests::{failure, output};
use crate::fixture::{BOTH_WAYS, START, TestHost, name};

/// Ticks until no run starts.
async fn settle(world: &TestHost) {
    loop {
        world.host.idle().await;
        let before = world.guests.begun();
        world.tick().await;
        world.host.idle().await;
        // What the ended runs changed is handled by another tick.
        world.tick().await;
        world.host.idle().await;
        if world.guests.begun() == before {
            return;
        }
    }
}

/// Starts a host that repairs nothing, so that only the breaker acts.
async fn host() -> TestHost {
    TestHost::paused_with(|config| config.healing = HealingMode::Off).await
}

fn report(world: &TestHost, of: &str) -> BreakerReport {
    world.host.breaker(&name(of)).unwrap()
}

fn fail(world: &TestHost, retryable: bool, cause: Cause) {
    world.guests.act(move |_| async move { failure(retryable, cause) });
}

fn work(world: &TestHost) {
    world.guests.act(|_| async { output("1") });
}

async fn requests(world: &TestHost, of: &str, count: usize) -> Vec<RunId> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(world.request(of).await.id);
    }
    all
}

/// Opens the breaker of `a` by ten runs that trap.
async fn open(world: &TestHost) {
    fail(world, false, Cause::Trap);
    requests(world, "a", 10).await;
    settle(world).await;
    assert_eq!(report(world, "a").state(), "open");
}

async fn invoked(world: &TestHost, of: &str) -> Result<Run, ControlError> {
    world.host.invoke(RunRequest::new(name(of), "{}"), Duration::from_secs(60)).await.map(|result| result.run)
}

/// Returns the events of breakers, as deployment, state and reason.
async fn announced(world: &TestHost) -> Vec<(String, String, String)> {
    let feed = world.store.feed(0, 10_000).await.unwrap();
    let event = |event| match event {
        FeedEvent::Breaker { deployment, state, reason, .. } => Some((deployment.to_string(), state, reason)),
        _ => None,
    };
    feed.into_iter().filter_map(|entry| event(entry.event)).collect()
}

#[tokio::test]
async fn runs_wait_while_the_breaker_is_open_and_begin_when_it_closes() {
    let world = host().await;
    world.deploy(json!({ "name": "a" })).await;
    world.deploy(json!({ "name": "b" })).await;
    open(&world).await;
    let waiting = requests(&world, "a", 5).await;
    let other = world.request("b").await;
    work(&world);
    settle(&world).await;
    assert_eq!(world.guests.begun(), 11, "only the run of the other deployment began");
    assert_eq!(world.run(other.id).await.state, RunState::Succeeded);
    let opened = report(&world, "a");
    assert_eq!((opened.since, opened.until), (START, Some(START.plus_millis(60_000))));
    assert_eq!(opened.reason, "10 of the last 10 attempts failed");

    let explanation = world.host.explain(waiting[3]).await.unwrap();
    let stage = explanation.stages.iter().find(|stage| stage.verdict == StageVerdict::Waits).unwrap();
    assert_eq!((stage.name, stage.until), (StageName::Breaker, opened.until));
    assert!(explanation.summary.contains("10 of the last 10 attempts failed"), "{}", explanation.summary);
    assert!(explanation.next.unwrap().contains("--force-closed"));

    world.clock.advance(59_999);
    settle(&world).await;
    assert_eq!(world.guests.begun(), 11);
    world.clock.advance(1);
    settle(&world).await;
    for run in waiting {
        assert_eq!(world.run(run).await.state, RunState::Succeeded);
    }
    assert_eq!(report(&world, "a").state(), "half-open", "five of ten trial runs have ended");
    requests(&world, "a", 5).await;
    settle(&world).await;
    assert_eq!(report(&world, "a").state(), "closed");
    let states: Vec<_> = announced(&world).await.into_iter().map(|(of, state, _)| (of, state)).collect();
    assert_eq!(states, ["open", "half-open", "closed"].map(|state| ("a".to_owned(), state.to_owned())));
    let metrics = world.host.metrics_text().await.unwrap();
    for line in [
        "tidemill_breaker_state{deployment=\"a\"} 0",
        "tidemill_breaker_transitions_total{deployment=\"a\",to=\"half-open\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn a_caller_that_waits_is_refused_with_the_time_of_the_next_attempt() {
    let world = host().await;
    world.deploy(json!({ "name": "a" })).await;
    let keyed = |wait| {
        let request = RunRequest { key: Some("order-7".to_owned()), ..RunRequest::new(name("a"), "{}") };
        world.host.invoke(request, Duration::from_secs(wait))
    };
    let first = keyed(60).await.unwrap().run;
    assert_eq!(first.state, RunState::Succeeded);
    open(&world).await;
    world.clock.advance(10_500);
    let before = world.runs(RunFilter::default()).await.len();
    match invoked(&world, "a").await.unwrap_err() {
        ControlError::CircuitOpen { detail, retry_after, .. } => {
            assert_eq!(retry_after, 50, "rounded up");
            for part in ["`a`", "9 of the last 10 attempts failed", "2026-01-05T00:01:00.000Z"] {
                assert!(detail.contains(part), "{detail}");
            }
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.runs(RunFilter::default()).await.len(), before, "no run was created");
    assert_eq!(keyed(60).await.unwrap().run.id, first.id, "a known key is answered");
    // A caller that waits for a delayed run does not expect it to begin now.
    let delay = Some(Duration::from_secs(3_600));
    let delayed = RunRequest { delay, ..RunRequest::new(name("a"), "{}") };
    let accepted = world.host.invoke(delayed, Duration::ZERO).await.unwrap().run;
    assert!(matches!(accepted.state, RunState::Queued { .. }));
    work(&world);
    world.clock.advance(49_500);
    assert_eq!(invoked(&world, "a").await.unwrap().state, RunState::Succeeded, "half-open");
}

#[tokio::test]
async fn callers_that_must_queue_are_refused_too() {
    let world = host().await;
    world.deploy(json!({ "name": "a", "concurrency_key": "/customer", "retry": { "then": "fail" } })).await;
    open(&world).await;
    assert_eq!(invoked(&world, "a").await.unwrap_err().code(), Code::CircuitOpen);
}

#[tokio::test]
async fn half_open_begins_ten_runs_and_their_outcomes_decide() {
    for (works, state) in [(true, "closed"), (false, "open")] {
        let world = host().await;
        world.deploy(json!({ "name": "a", "concurrency": 32 })).await;
        open(&world).await;
        requests(&world, "a", 30).await;
        let gate = world.guests.gated("1");
        if !works {
            let held = std::sync::Arc::clone(&gate);
            world.guests.act(move |job| {
                let gate = std::sync::Arc::clone(&held);
                async move {
                    crate::fixture::guests::wait(&gate, &job).await;
                    failure(false, Cause::Limit)
                }
            });
        }
        world.clock.advance(60_000);
        world.tick().await;
        world.guests.have_begun(20).await;
        world.tick().await;
        assert_eq!(world.guests.begun(), 20, "ten failed before, and ten try");
        let waiting = world.first_in("queued").await;
        let held_back = world.host.explain(waiting.id).await.unwrap();
        assert!(held_back.summary.contains("half-open"), "{}", held_back.summary);
        assert_eq!(invoked(&world, "a").await.unwrap_err().code(), Code::CircuitOpen);
        gate.add_permits(100);
        settle(&world).await;
        assert_eq!(report(&world, "a").state(), state);
        assert_eq!(world.guests.begun(), if works { 40 } else { 20 });
        if !works {
            assert_eq!(report(&world, "a").reason, "10 of the 10 trial attempts failed");
        }
    }
}

#[tokio::test]
async fn answers_to_bad_input_and_one_failing_run_open_nothing() {
    let world = host().await;
    let retry = json!({ "attempts": 50, "initial": "1s", "max": "1s" });
    world.deploy(json!({ "name": "a", "retry": retry })).await;
    fail(&world, false, Cause::Guest);
    requests(&world, "a", 40).await;
    settle(&world).await;
    assert_eq!(report(&world, "a").reason, "0 of the last 20 attempts failed");
    fail(&world, true, Cause::Guest);
    requests(&world, "a", 3).await;
    for _ in 0..60 {
        settle(&world).await;
        world.clock.advance(2_000);
    }
    assert!(world.guests.begun() > 100, "{}", world.guests.begun());
    let closed = report(&world, "a");
    assert_eq!((closed.state(), closed.counts.failed), ("closed", 3), "each run counts once");
}

#[tokio::test]
async fn a_deployment_whose_runs_fail_for_now_waits_with_its_retries() {
    let world = host().await;
    world.deploy(json!({ "name": "a", "retry": { "attempts": 3, "initial": "1s", "max": "1s" } })).await;
    fail(&world, true, Cause::Guest);
    let runs = requests(&world, "a", 10).await;
    settle(&world).await;
    assert_eq!(report(&world, "a").state(), "open");
    world.clock.advance(30_000);
    settle(&world).await;
    assert_eq!(world.guests.begun(), 10, "no attempt is used up while the breaker is open");
    work(&world);
    world.clock.advance(30_000);
    settle(&world).await;
    for run in runs {
        let run = world.run(run).await;
        assert_eq!((run.state, run.attempt), (RunState::Succeeded, 2));
    }
    assert_eq!(report(&world, "a").state(), "closed");
}

#[tokio::test]
async fn a_run_that_resumes_or_undoes_its_work_passes_half_open() {
    for change in BOTH_WAYS {
        let world = TestHost::paused_with(change).await;
        world.deploy(json!({ "name": "a", "concurrency": 32 })).await;
        world.act(|mut guest| async move {
            let came = guest.signal("go").await?;
            guest.count("undone").await;
            Ok(guest.succeed(if came.as_ref() == b"cancelled" { "null" } else { "1" }))
        });
        let runs = requests(&world, "a", 2).await;
        world.tick().await;
        for run in &runs {
            world.until(*run, |run| run.state == RunState::Suspended).await;
        }
        world.host.idle().await;
        open(&world).await;
        world.host.cancel(runs[1], false).await.unwrap();
        world.tick().await;
        assert_eq!(world.run(runs[1]).await.state, RunState::Suspended, "it waits while the breaker is open");
        let _held = world.guests.gated("1");
        requests(&world, "a", 20).await;
        world.clock.advance(60_000);
        // All ten trial runs are under way.
        world.act(|mut guest| async move {
            if guest.is_live() {
                guest.job.cancel.reached(tidemill_engine::Urgency::Requested).await;
            }
            let came = guest.signal("go").await?;
            guest.count("undone").await;
            Ok(guest.succeed(if came.as_ref() == b"cancelled" { "null" } else { "1" }))
        });
        let begun = world.guests.begun();
        world.tick().await;
        world.guests.have_begun(begun + 9).await;
        world.tick().await;
        assert_eq!(world.until_settled(runs[1]).await.state, RunState::Cancelled);
        let left = report(&world, "a");
        assert_eq!(left.state(), "half-open", "{left:?}");
        world.host.shutdown(Duration::ZERO).await;
    }
}

#[tokio::test]
async fn firings_and_children_wait_and_are_not_lost() {
    let world = host().await;
    let schedule = json!({ "name": "often", "every": "20s", "overlap": "allow" });
    world.deploy(json!({ "name": "a", "schedules": [schedule] })).await;
    world.deploy(json!({ "name": "parent" })).await;
    open(&world).await;
    world.act(|mut guest| async move {
        if guest.job.run.deployment.as_str() == "a" {
            return Ok(guest.succeed("1"));
        }
        let target = guest.job.channel.target(guest.job.run.id, &name("a"), None, b"[7]").await.unwrap();
        let start = StartRun {
            id: RunId::new(START, 77),
            deployment: name("a"),
            revision: target.revision,
            component: target.component,
            export: Export::Workflow,
            input: "[7]".into(),
            key: format!("{}-1", guest.job.run.id),
            labels: Vec::new(),
            priority: target.priority,
            at: START,
            not_before: tidemill_core::Timestamp::default(),
            detached: false,
            seed: tidemill_core::run::Seed([7; 32]),
        };
        let id = guest.start(start);
        Ok(match guest.child(id).await?.as_str() {
            "succeeded" => guest.succeed("\"well\""),
            _ => guest.fail(false),
        })
    });
    let parent = world.request("parent").await;
    world.tick().await;
    world.until(parent.id, |run| run.state == RunState::Suspended).await;
    for _ in 0..2 {
        world.clock.advance(25_000);
        settle(&world).await;
    }
    let queued = world.runs(RunFilter { states: vec!["queued".to_owned()], ..RunFilter::default() }).await;
    let fired = queued.iter().filter(|run| run.trigger != Trigger::default() && run.trigger.parent.is_none()).count();
    assert_eq!((fired, queued.len()), (2, 3), "{queued:#?}");
    world.clock.advance(10_000);
    settle(&world).await;
    assert_eq!(world.until_settled(parent.id).await.state, RunState::Succeeded);
    for run in queued {
        assert_eq!(world.run(run.id).await.state, RunState::Succeeded);
    }
}

#[tokio::test]
async fn a_decision_holds_over_revisions_and_restarts_until_the_next_one() {
    let mut world = host().await;
    world.deploy(json!({ "name": "a" })).await;
    let decide =
        async |world: &TestHost, mode, note: &str| world.host.decide_breaker(&name("a"), mode, note.to_owned()).await;
    for bad in ["", "  ", &"x".repeat(1_025)] {
        assert_eq!(decide(&world, BreakerMode::ForcedOpen, bad).await.unwrap_err().code(), Code::BadField);
    }
    let unknown = world.host.decide_breaker(&name("no"), BreakerMode::Disabled, "why".to_owned()).await;
    assert_eq!(unknown.unwrap_err().code(), Code::DeploymentNotFound);

    let forced = decide(&world, BreakerMode::ForcedOpen, "the provider is down").await.unwrap();
    assert_eq!((forced.state(), forced.until, forced.reason.as_str()), ("forced-open", None, "the provider is down"));
    let run = world.request("a").await;
    drop(world.next_epoch().await);
    world.deploy(json!({ "name": "a", "priority": 7 })).await;
    world.clock.advance(3_600_000);
    settle(&world).await;
    assert_eq!(world.guests.begun(), 0);
    let report_after = report(&world, "a");
    assert_eq!((report_after.state(), report_after.since), ("forced-open", START));
    match invoked(&world, "a").await.unwrap_err() {
        ControlError::CircuitOpen { detail, fix, retry_after } => {
            assert!(detail.contains("the provider is down") && retry_after == 60, "{detail}");
            assert!(fix.unwrap().contains("--auto"));
        }
        other => panic!("{other:?}"),
    }
    let explanation = world.host.explain(run.id).await.unwrap();
    assert!(explanation.summary.contains("the provider is down") && explanation.next.unwrap().contains("--auto"));

    decide(&world, BreakerMode::ForcedClosed, "the work is urgent").await.unwrap();
    fail(&world, false, Cause::Trap);
    requests(&world, "a", 30).await;
    settle(&world).await;
    assert_eq!(world.guests.begun(), 31, "failures open nothing");
    assert_eq!(report(&world, "a").counts.failed, 20, "and are counted");
    decide(&world, BreakerMode::Disabled, "a test").await.unwrap();
    requests(&world, "a", 30).await;
    settle(&world).await;
    assert_eq!((world.guests.begun(), report(&world, "a").counts.calls), (61, 0));
    decide(&world, BreakerMode::Automatic, "it is over").await.unwrap();
    let automatic = report(&world, "a");
    assert_eq!((automatic.state(), automatic.counts.calls), ("closed", 0));
    assert_eq!(automatic.decision.unwrap().note, "it is over");
    requests(&world, "a", 30).await;
    settle(&world).await;
    assert_eq!(report(&world, "a").state(), "open");
    let states: Vec<_> = announced(&world).await.into_iter().map(|(_, state, _)| state).collect();
    assert_eq!(states, ["forced-open", "forced-closed", "disabled", "automatic", "open"]);
}

#[tokio::test]
async fn a_restart_and_a_new_revision_begin_with_a_closed_breaker() {
    let mut world = host().await;
    world.deploy(json!({ "name": "a" })).await;
    open(&world).await;
    let waiting = requests(&world, "a", 3).await;
    world.deploy(json!({ "name": "a", "priority": 7 })).await;
    assert_eq!(report(&world, "a").state(), "closed");
    settle(&world).await;
    assert_eq!(world.guests.begun(), 13, "the runs of the earlier revision begin");
    assert_eq!(report(&world, "a").counts.calls, 0, "and show nothing about the present one");
    assert!(waiting.iter().all(|id| *id != RunId::new(START, 0)));
    let (_, state, reason) = announced(&world).await.pop().unwrap();
    assert_eq!((state.as_str(), reason.as_str()), ("closed", "revision 2 was deployed"));

    open(&world).await;
    let waiting = requests(&world, "a", 3).await;
    drop(world.next_epoch().await);
    assert_eq!(report(&world, "a").state(), "closed");
    work(&world);
    settle(&world).await;
    for run in waiting {
        assert_eq!(world.run(run).await.state, RunState::Succeeded);
    }
    // The same manifest makes no revision and resets nothing.
    open(&world).await;
    world.deploy(json!({ "name": "a", "priority": 7 })).await;
    world.host.pause(&name("a"), String::new()).await.unwrap();
    world.host.resume(&name("a")).await.unwrap();
    assert_eq!(report(&world, "a").state(), "open");
}

#[tokio::test]
async fn a_deleted_deployment_leaves_no_decision_to_its_successor() {
    let mut world = host().await;
    world.deploy(json!({ "name": "a" })).await;
    world.host.decide_breaker(&name("a"), BreakerMode::ForcedOpen, "moving".to_owned()).await.unwrap();
    world.host.delete(&name("a"), false).await.unwrap();
    assert_eq!(world.host.breaker(&name("a")).unwrap_err().code(), Code::DeploymentNotFound);
    assert!(!world.host.metrics_text().await.unwrap().contains("tidemill_breaker_state{"));
    world.deploy(json!({ "name": "a" })).await;
    assert_eq!(report(&world, "a").state(), "closed");
    drop(world.next_epoch().await);
    assert_eq!((report(&world, "a").state(), report(&world, "a").decision), ("closed", None));
}

#[tokio::test]
async fn a_breaker_that_the_manifest_disables_counts_nothing() {
    let world = host().await;
    world.deploy(json!({ "name": "a", "breaker": false })).await;
    fail(&world, false, Cause::Trap);
    requests(&world, "a", 60).await;
    settle(&world).await;
    let off = report(&world, "a");
    assert_eq!((world.guests.begun(), off.state(), off.counts.calls), (60, "disabled", 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_running_loops_open_close_and_drain_the_queue() {
    let world = TestHost::running().await;
    world.deploy(json!({ "name": "a", "breaker": { "open": "1s" } })).await;
    fail(&world, false, Cause::Trap);
    for run in requests(&world, "a", 10).await {
        world.until_settled(run).await;
    }
    // The breaker learns of an outcome after its commit.
    while report(&world, "a").state() != "open" {
        tokio::task::yield_now().await;
    }
    let waiting = requests(&world, "a", 40).await;
    assert_eq!(invoked(&world, "a").await.unwrap_err().code(), Code::CircuitOpen);
    work(&world);
    world.clock.advance(1_000);
    for run in waiting {
        assert_eq!(world.until_settled(run).await.state, RunState::Succeeded);
    }
    assert_eq!(report(&world, "a").state(), "closed");
}
