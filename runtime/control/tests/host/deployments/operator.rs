//! Actions of runs on other deployments: what they change, once, and what no run may change.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tidemill_core::breaker::BreakerMode;
use tidemill_core::health::HealthStatus;
use tidemill_core::manifest::Manifest;
use tidemill_core::operator::OperatorAction::{self, Pause, Recycle, Resume, Retry, Rollback};
use tidemill_core::policy::PolicyInForce;
use tidemill_core::run::{Run, RunState};
use tidemill_core::{Code, Failure, Policy, Revision, RunId};
use tidemill_engine::{Cause, OperatorRequest, Outcome};
use tidemill_store::records::{FeedEvent, OperatorAnswer};
use tokio::sync::Semaphore;

use crate::fixture::guests::output;
use crate::fixture::{BOTH_WAYS, TestHost, component, name};

/// The answers of an acting run, in order.
type Answers = Arc<Mutex<Vec<Result<OperatorAnswer, Failure>>>>;

/// A host with the deployment `runbook`, and with `a` in its second revision.
async fn world() -> TestHost {
    prepared(TestHost::paused().await).await
}

async fn prepared(world: TestHost) -> TestHost {
    world.deploy(json!({ "name": "runbook" })).await;
    world.deploy(json!({ "name": "a" })).await;
    world.deploy(json!({ "name": "a", "priority": 7 })).await;
    world
}

/// Makes runs of `runbook` perform these actions on `a`, and others succeed.
fn acting(world: &TestHost, actions: impl Into<Vec<(OperatorAction, OperatorRequest)>>) -> Answers {
    let answers = Answers::default();
    let (seen, actions) = (Arc::clone(&answers), actions.into());
    world.act(move |mut guest| {
        let (seen, actions) = (Arc::clone(&seen), actions.clone());
        async move {
            if guest.job.run.deployment.as_str() == "runbook" {
                for (action, request) in actions {
                    let answer = guest.operate("a", action, request).await?;
                    seen.lock().unwrap().push(answer);
                }
            }
            Ok(guest.succeed("1"))
        }
    });
    answers
}

/// Executes a run of `runbook`.
async fn run_book(world: &TestHost) -> Run {
    let run = world.request("runbook").await;
    world.tick().await;
    world.until_settled(run.id).await
}

async fn act(
    world: &TestHost,
    actions: impl Into<Vec<(OperatorAction, OperatorRequest)>>,
) -> Vec<Result<OperatorAnswer, Failure>> {
    let actions = actions.into();
    let count = actions.len();
    let answers = acting(world, actions);
    assert_eq!(run_book(world).await.state, RunState::Succeeded);
    let answers = answers.lock().unwrap().clone();
    assert_eq!(answers.len(), count);
    answers
}

async fn is_paused(world: &TestHost) -> bool {
    world.store.deployment(&name("a")).await.unwrap().unwrap().paused.is_some()
}

/// Returns the actions on the feed, with the deployment of the run and its note.
async fn announced(world: &TestHost) -> Vec<(OperatorAction, String, RunId, String)> {
    let feed = world.store.feed(0, 10_000).await.unwrap();
    let acted = feed.into_iter().filter_map(|entry| match entry.event {
        FeedEvent::Operator { action, by, run, note, deployment, .. } => {
            assert_eq!(deployment, name("a"));
            Some((action, by.to_string(), run, note))
        }
        _ => None,
    });
    acted.collect()
}

fn refusal(answer: &Result<OperatorAnswer, Failure>) -> (&str, &str) {
    let failure = answer.as_ref().unwrap_err();
    (&failure.code, &failure.message)
}

#[tokio::test]
async fn a_run_pauses_a_deployment_and_resumes_it_after_a_wait() {
    for change in BOTH_WAYS {
        let world = prepared(TestHost::paused_with(change).await).await;
        world.act(|mut guest| async move {
            if guest.job.run.deployment.as_str() == "runbook" {
                assert_eq!(guest.operate("a", Pause, OperatorRequest::Pause).await?, Ok(OperatorAnswer::Done));
                guest.sleep_until(guest.job.run.created_at.plus_millis(60_000)).await?;
                assert_eq!(guest.operate("a", Resume, OperatorRequest::Resume).await?, Ok(OperatorAnswer::Done));
            }
            Ok(guest.succeed("1"))
        });
        let book = world.request("runbook").await;
        world.tick().await;
        world.until(book.id, |run| run.state == RunState::Suspended).await;
        let pause = world.store.deployment(&name("a")).await.unwrap().unwrap().paused.unwrap();
        assert_eq!(pause.note, "pause by a run");
        let waits = world.request("a").await;
        world.tick().await;
        assert_eq!(world.run(waits.id).await.state.name(), "queued");

        world.clock.advance(60_000);
        world.tick().await;
        assert_eq!(world.until_settled(book.id).await.state, RunState::Succeeded);
        world.tick().await;
        assert_eq!(world.until_settled(waits.id).await.state, RunState::Succeeded);
        let by = |action, note: &str| (action, "runbook".to_owned(), book.id, note.to_owned());
        assert_eq!(announced(&world).await, [by(Pause, "pause by a run"), by(Resume, "resume by a run")]);
    }
}

#[tokio::test]
async fn a_run_never_ends_the_pause_of_a_person() {
    const ALL: [(OperatorAction, OperatorRequest); 5] = [
        (Pause, OperatorRequest::Pause),
        (Resume, OperatorRequest::Resume),
        (Rollback, OperatorRequest::Rollback(None)),
        (Retry, OperatorRequest::Retry(1)),
        (Recycle, OperatorRequest::Recycle),
    ];
    let world = world().await;
    world.host.pause(&name("a"), "hands off".to_owned()).await.unwrap();
    for answer in act(&world, ALL).await {
        let (code, message) = refusal(&answer);
        assert_eq!(code, "host/operator-refused");
        assert!(message.contains("has paused `a`") && message.contains("hands off"), "{message}");
    }
    assert!(is_paused(&world).await && announced(&world).await.is_empty() && world.guests.evicted().is_empty());
    assert_eq!(world.store.deployment(&name("a")).await.unwrap().unwrap().revision, Revision::new(2));

    // A person who pauses after a run takes over.
    world.host.resume(&name("a")).await.unwrap();
    assert_eq!(act(&world, [(Pause, OperatorRequest::Pause)]).await, [Ok(OperatorAnswer::Done)]);
    world.host.pause(&name("a"), String::new()).await.unwrap();
    let answers = act(&world, [(Resume, OperatorRequest::Resume)]).await;
    assert_eq!(refusal(&answers[0]).0, "host/operator-refused");
    assert!(is_paused(&world).await);
}

#[tokio::test]
async fn a_run_ends_the_pause_of_another_run_also_after_a_crash() {
    let mut world = world().await;
    assert_eq!(act(&world, [(Pause, OperatorRequest::Pause)]).await, [Ok(OperatorAnswer::Done)]);
    let dead = world.next_epoch().await;
    world.tick().await;
    assert!(is_paused(&world).await);
    assert_eq!(act(&world, [(Resume, OperatorRequest::Resume)]).await, [Ok(OperatorAnswer::Done)]);
    assert!(!is_paused(&world).await);
    drop(dead);
}

#[tokio::test]
async fn a_run_does_not_act_on_a_deployment_whose_breaker_is_forced() {
    const PAUSE: [(OperatorAction, OperatorRequest); 1] = [(Pause, OperatorRequest::Pause)];
    let world = world().await;
    for (mode, said) in [(BreakerMode::ForcedOpen, "open: hands off"), (BreakerMode::ForcedClosed, "closed: hands off")]
    {
        world.host.decide_breaker(&name("a"), mode, "hands off".to_owned()).await.unwrap();
        let answers = act(&world, PAUSE).await;
        let (code, message) = refusal(&answers[0]);
        assert_eq!(code, "host/operator-refused");
        assert!(message.ends_with(said), "{message}");
    }
    assert!(!is_paused(&world).await);
    world.host.decide_breaker(&name("a"), BreakerMode::Automatic, "go on".to_owned()).await.unwrap();
    assert_eq!(act(&world, PAUSE).await, [Ok(OperatorAnswer::Done)]);
}

#[tokio::test]
async fn a_rollback_creates_the_revision_that_later_runs_use() {
    let world = world().await;
    let to = |revision| (Rollback, OperatorRequest::Rollback(Some(Revision::new(revision))));
    let answers =
        act(&world, vec![(Rollback, OperatorRequest::Rollback(None)), to(2), to(4), to(0), to(u64::MAX)]).await;
    let revision = |number| Ok(OperatorAnswer::Revision(Revision::new(number)));
    assert_eq!(answers[..3], [revision(3), revision(4), revision(4)]);
    for answer in &answers[3..] {
        assert_eq!(refusal(answer).0, "host/revision-not-found");
    }
    assert_eq!(world.request("a").await.revision, Revision::new(4));
    let manifest = world.store.deployment(&name("a")).await.unwrap().unwrap().manifest;
    assert_eq!(Manifest::parse_json(manifest.as_bytes()).unwrap().priority, 7);
    assert_eq!(announced(&world).await.len(), 2, "the third one changed nothing");
}

#[tokio::test]
async fn the_first_revision_has_none_before_it() {
    let world = world().await;
    world.deploy(json!({ "name": "b" })).await;
    world.act(|mut guest| async move {
        let answer = guest.operate("b", Rollback, OperatorRequest::Rollback(None)).await?;
        Ok(guest.succeed(&json!(answer.unwrap_err().code).to_string()))
    });
    let run = run_book(&world).await;
    assert_eq!(&world.store.output(run.id).await.unwrap().unwrap()[..], b"\"host/revision-not-found\"");
}

#[tokio::test]
async fn an_action_whose_answer_a_crash_lost_is_not_repeated() {
    let requests = [
        (Rollback, OperatorRequest::Rollback(None), OperatorAnswer::Revision(Revision::new(3))),
        (Pause, OperatorRequest::Pause, OperatorAnswer::Done),
        (Recycle, OperatorRequest::Recycle, OperatorAnswer::Done),
    ];
    for (action, request, expected) in requests {
        let mut world = world().await;
        let hang = Arc::new(Semaphore::new(0));
        let (acted, first) = (Arc::new(Semaphore::new(0)), Arc::new(Mutex::new(true)));
        let (hung, done, is_first) = (Arc::clone(&hang), Arc::clone(&acted), Arc::clone(&first));
        world.act(move |mut guest| {
            let (hang, acted, first) = (Arc::clone(&hung), Arc::clone(&done), Arc::clone(&is_first));
            async move {
                let dies = std::mem::take(&mut *first.lock().unwrap());
                if dies {
                    // The first host acts and dies before it records the answer.
                    guest.call("begun");
                    guest.save().await;
                    let call = guest.next_operator_call("a", action);
                    guest.job.channel.operate(call, request).await.unwrap();
                    acted.add_permits(1);
                    hang.acquire().await.unwrap().forget();
                    return Ok(output("0"));
                }
                guest.call("begun");
                let answer = guest.operate("a", action, request).await?;
                Ok(guest.succeed(&serde_json::to_string(&answer.unwrap()).unwrap()))
            }
        });
        let run = world.request("runbook").await;
        world.tick().await;
        acted.acquire().await.unwrap().forget();
        // A person ends the pause before the run continues.
        if action == Pause {
            world.host.resume(&name("a")).await.unwrap();
        }
        let dead = world.next_epoch().await;
        world.tick().await;
        assert_eq!(world.until_settled(run.id).await.state, RunState::Succeeded);
        let answer: OperatorAnswer =
            serde_json::from_slice(&world.store.output(run.id).await.unwrap().unwrap()).unwrap();
        assert_eq!(answer, expected, "{action}");
        assert_eq!(announced(&world).await.len(), 1, "{action}");
        assert!(!is_paused(&world).await);
        hang.add_permits(1);
        drop(dead);
    }
}

#[tokio::test]
async fn parked_runs_are_retried_up_to_the_limit() {
    let world = world().await;
    world.act(|mut guest| async move { Ok(guest.stop(crate::fixture::guests::failed(false, Cause::Guest))) });
    let mut parked = Vec::new();
    for _ in 0..3 {
        parked.push(world.request("a").await.id);
        world.tick().await;
        world.until_settled(parked[parked.len() - 1]).await;
        world.clock.advance(1);
    }
    let other = world.request("runbook").await;
    world.tick().await;
    assert_eq!(world.until_settled(other.id).await.state.name(), "parked");
    let answers = act(&world, [(Retry, OperatorRequest::Retry(2)), (Retry, OperatorRequest::Retry(100))]).await;
    assert_eq!(answers, [Ok(OperatorAnswer::Runs(2)), Ok(OperatorAnswer::Runs(1))]);
    world.tick().await;
    for id in parked {
        let run = world.until(id, |run| run.state == RunState::Succeeded).await;
        assert_eq!(run.attempt, 2);
    }
    assert_eq!(world.run(other.id).await.state.name(), "parked", "runs of others stay parked");
    assert_eq!(act(&world, [(Retry, OperatorRequest::Retry(5))]).await, [Ok(OperatorAnswer::Runs(0))]);
    assert_eq!(announced(&world).await.len(), 2);
}

#[tokio::test]
async fn a_recycled_deployment_loses_its_code() {
    let world = world().await;
    assert_eq!(act(&world, [(Recycle, OperatorRequest::Recycle)]).await, [Ok(OperatorAnswer::Done)]);
    assert_eq!(world.guests.evicted(), [component()]);
}

#[tokio::test]
async fn an_unknown_deployment_is_neither_operated_nor_seen() {
    let world = world().await;
    world.act(|mut guest| async move {
        let acted = guest.operate("gone", Pause, OperatorRequest::Pause).await?.unwrap_err();
        let seen = guest.job.channel.health_of(&name("gone")).await.unwrap_err();
        assert_eq!(
            (acted.code.as_str(), seen.code.as_str()),
            ("host/deployment-not-found", "host/deployment-not-found")
        );
        Ok(guest.succeed("1"))
    });
    assert_eq!(run_book(&world).await.state, RunState::Succeeded);
}

#[tokio::test]
async fn a_run_sees_the_health_of_a_deployment_and_its_pause() {
    let world = world().await;
    world.host.decide_breaker(&name("a"), BreakerMode::ForcedOpen, "moving".to_owned()).await.unwrap();
    for _ in 0..4 {
        world.clock.advance(15_000);
        world.tick().await;
        world.host.health_idle().await;
    }
    world.host.pause(&name("a"), "a test".to_owned()).await.unwrap();
    let expected = world.host.health_of(&name("a")).await.unwrap().summary.state;
    let seen = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&seen);
    world.act(move |mut guest| {
        let slot = Arc::clone(&slot);
        async move {
            *slot.lock().unwrap() = Some(guest.job.channel.health_of(&name("a")).await.unwrap());
            Ok(guest.succeed("1"))
        }
    });
    run_book(&world).await;
    let seen = seen.lock().unwrap().clone().unwrap();
    assert_eq!((seen.paused, &seen.state), (true, &expected));
    assert_ne!(seen.state.status, HealthStatus::Healthy);
}

#[tokio::test]
async fn a_full_disk_delays_an_action_until_there_is_room() {
    let world = world().await;
    let (ready, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (is_ready, may_go) = (Arc::clone(&ready), Arc::clone(&go));
    world.act(move |mut guest| {
        let (ready, go) = (Arc::clone(&is_ready), Arc::clone(&may_go));
        async move {
            guest.save().await;
            ready.add_permits(1);
            go.acquire().await.unwrap().forget();
            let call = guest.operator_call("a", Pause);
            let answer = guest.job.channel.operate(call, OperatorRequest::Pause).await;
            assert_eq!(answer, Ok(OperatorAnswer::Done));
            Ok(guest.succeed("1"))
        }
    });
    let run = world.request("runbook").await;
    world.tick().await;
    ready.acquire().await.unwrap().forget();
    world.disk.set_full(true);
    while world.store.trim(1_000, crate::fixture::START).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    go.add_permits(1);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!is_paused(&world).await);
    world.disk.set_full(false);
    assert_eq!(world.until_settled(run.id).await.state, RunState::Succeeded);
    assert!(is_paused(&world).await);
    assert_eq!(announced(&world).await.len(), 1);
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_an_action_that_cannot_be_stored() {
    let world = world().await;
    let (ready, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (is_ready, may_go) = (Arc::clone(&ready), Arc::clone(&go));
    world.act(move |mut guest| {
        let (ready, go) = (Arc::clone(&is_ready), Arc::clone(&may_go));
        async move {
            guest.save().await;
            ready.add_permits(1);
            go.acquire().await.unwrap().forget();
            let call = guest.operator_call("a", Pause);
            let cancel = guest.job.cancel.clone();
            tokio::select! {
                answer = guest.job.channel.operate(call, OperatorRequest::Pause) => panic!("{answer:?}"),
                () = cancel.reached(tidemill_engine::Urgency::Now) => {}
            }
            Ok(guest.stop(Outcome::Failed { failure: Failure::new("stopped", "by the host"), cause: Cause::Cancelled }))
        }
    });
    world.request("runbook").await;
    world.tick().await;
    ready.acquire().await.unwrap().forget();
    world.disk.set_full(true);
    while world.store.trim(1_000, crate::fixture::START).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    go.add_permits(1);
    tokio::time::timeout(Duration::from_secs(30), world.host.shutdown(Duration::from_millis(50))).await.unwrap();
}

#[tokio::test]
async fn a_policy_refuses_a_manifest_with_a_forbidden_action() {
    let world = TestHost::paused_with(|config| {
        config.policy = PolicyInForce::new(Policy::parse_toml("operator.actions = [\"pause\"]").unwrap());
    })
    .await;
    let grants = |actions: &[&str]| json!({ "operator": { "actions": actions, "deployments": ["a"] } });
    world.deploy(json!({ "name": "runbook", "grants": grants(&["pause"]) })).await;
    let refused =
        world.try_deploy("1.0.0", json!({ "name": "runbook", "grants": grants(&["pause", "recycle"]) })).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::PolicyDenied);
    assert!(refused.fix().contains("\"recycle\" to `operator.actions` of the policy"), "{}", refused.fix());
}
