//! Trees of runs: children end with their parents, are awaited, and are retried with them.

use serde_json::json;
use tidemill_control::{Activation, HostConfig, RetryRequest};
use tidemill_core::run::{Export, Run, RunState, Seed, TriggerKind};
use tidemill_core::{ComponentDigest, Fuel, RunId, Timestamp};
use tidemill_engine::{ActivationResult, Cause, DryRun, StartRun, Urgency};
use tidemill_store::records::PageRequest;

use crate::fixture::guests::{ended, failed, failure, output};
use crate::fixture::{BOTH_WAYS, START, TestHost, component, name};

/// Returns a request for a run of `child`, as the engine would make it.
pub async fn start(job: &Activation, detached: bool) -> StartRun {
    let target = job.channel.target(job.run.id, &name("child"), None, b"[7]").await.unwrap();
    StartRun {
        id: RunId::new(START, u128::from_le_bytes(*job.run.seed.0.first_chunk().unwrap())),
        deployment: name("child"),
        revision: target.revision,
        component: target.component,
        export: target.export,
        input: "[7]".into(),
        key: format!("{}-1", job.run.id),
        labels: vec![("of".to_owned(), "parent".to_owned())],
        priority: target.priority,
        at: START,
        not_before: Timestamp::default(),
        detached,
        seed: Seed([7; 32]),
    }
}

/// Makes parents start a child and answer with its result; children execute `child`.
fn family<F: Future<Output = tidemill_engine::ActivationResult> + Send + 'static>(
    world: &TestHost,
    detached: bool,
    child: impl Fn(Activation) -> F + Send + Sync + Clone + 'static,
) {
    world.act(move |mut guest| {
        let child = child.clone();
        async move {
            if guest.job.run.deployment.as_str() == "child" {
                return Ok(child(guest.job).await);
            }
            let started = start(&guest.job, detached).await;
            let id = guest.start(started);
            Ok(match guest.child(id).await?.as_str() {
                "succeeded" => guest.succeed("\"well\""),
                _ => guest.fail(false),
            })
        }
    });
}

async fn world_with(change: fn(&mut HostConfig)) -> TestHost {
    let world = TestHost::paused_with(change).await;
    world.deploy(json!({ "name": "parent", "labels": { "team": "a" } })).await;
    world.deploy(json!({ "name": "child", "labels": { "team": "b" }, "priority": 3 })).await;
    world
}

async fn child_of(world: &TestHost, parent: RunId) -> Run {
    let mut commits = world.store.committed();
    loop {
        let children = world.host.children(parent, PageRequest::first(10)).await.unwrap().items;
        if let [child] = children.as_slice() {
            return child.clone();
        }
        commits.changed().await.unwrap();
    }
}

#[tokio::test]
async fn a_waiting_parent_holds_no_permit() {
    for change in BOTH_WAYS {
        let world = world_with(change).await;
        family(&world, false, |job| async move { output(std::str::from_utf8(&job.input).unwrap()) });
        let parent = world.request("parent").await;
        world.tick().await;
        world.until(parent.id, |run| run.state == RunState::Suspended).await;
        world.host.idle().await;
        let child = child_of(&world, parent.id).await;
        assert_eq!((child.state.name(), child.priority, child.export), ("queued", 3, Export::Workflow));
        assert_eq!((child.trigger.kind, child.trigger.parent), (TriggerKind::Parent, Some(parent.id)));
        let labels = [("team", "b"), ("of", "parent")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(child.labels, labels);
        world.tick().await;
        assert_eq!(world.until_settled(child.id).await.state, RunState::Succeeded);
        world.tick().await;
        assert_eq!(world.until_settled(parent.id).await.state, RunState::Succeeded);
    }
}

#[tokio::test]
async fn runs_are_cancelled_from_the_leaves_up() {
    let world = world_with(|_| {}).await;
    family(&world, false, |job| async move {
        job.cancel.reached(Urgency::Requested).await;
        ended(failed(false, Cause::Cancelled))
    });
    let parent = world.request("parent").await;
    world.tick().await;
    world.until(parent.id, |run| run.state == RunState::Suspended).await;
    let child = child_of(&world, parent.id).await;
    world.tick().await;
    world.until(child.id, |run| run.state.name() == "running").await;
    world.guests.have_begun(2).await;
    let asked = world.host.cancel(parent.id, false).await.unwrap();
    assert_eq!(asked.state, RunState::Suspended);
    assert_eq!(world.until_settled(child.id).await.state, RunState::Cancelled);
    world.tick().await;
    assert_eq!(world.until_settled(parent.id).await.state, RunState::Cancelled);
    assert!(world.run(child.id).await.ended_at <= world.run(parent.id).await.ended_at);
}

#[tokio::test]
async fn a_parents_explanation_names_the_child_that_could_not_compensate() {
    let world = world_with(|_| {}).await;
    family(&world, false, |job| async move {
        job.cancel.reached(Urgency::Requested).await;
        ActivationResult { notified: true, ..failure(false, Cause::Guest) }
    });
    let parent = world.request("parent").await;
    world.tick().await;
    world.until(parent.id, |run| run.state == RunState::Suspended).await;
    let child = child_of(&world, parent.id).await;
    world.tick().await;
    world.guests.have_begun(2).await;
    world.host.cancel(parent.id, false).await.unwrap();
    assert_eq!(world.until_settled(child.id).await.state, RunState::Cancelled);
    world.tick().await;
    assert_eq!(world.until_settled(parent.id).await.state, RunState::Cancelled);
    let summary = world.host.explain(parent.id).await.unwrap().summary;
    let named = format!("its child run {} was cancelled and could not undo all its effects", child.id);
    assert!(summary.contains(&named), "{summary}");
    assert!(!world.host.explain(child.id).await.unwrap().summary.contains("its child run"));
}

#[tokio::test]
async fn a_child_ends_with_its_parent_unless_it_is_detached() {
    for detached in [false, true] {
        let world = world_with(|_| {}).await;
        world.act(move |mut guest| async move {
            if guest.job.run.deployment.as_str() == "child" {
                guest.job.cancel.reached(Urgency::Requested).await;
                return Ok(ended(failed(false, Cause::Cancelled)));
            }
            let started = start(&guest.job, detached).await;
            guest.start(started);
            guest.send(async { "ok".to_owned() }).await?;
            Ok(guest.succeed("1"))
        });
        let parent = world.request("parent").await;
        world.tick().await;
        assert_eq!(world.until_settled(parent.id).await.state, RunState::Succeeded);
        let child = child_of(&world, parent.id).await;
        world.tick().await;
        if detached {
            world.until(child.id, |run| run.state.name() == "running").await;
            world.guests.have_begun(2).await;
            world.host.cancel(child.id, true).await.unwrap();
        }
        assert_eq!(world.until_settled(child.id).await.state, RunState::Cancelled);
    }
}

#[tokio::test]
async fn retrying_a_parent_resumes_the_tree_at_the_leaf_that_failed() {
    let world = world_with(|_| {}).await;
    family(&world, false, |job| async move {
        if job.run.attempt == 1 { failure(false, Cause::Guest) } else { output("1") }
    });
    let parent = world.request("parent").await;
    world.tick().await;
    world.until(parent.id, |run| run.state == RunState::Suspended).await;
    let child = child_of(&world, parent.id).await;
    world.tick().await;
    assert_eq!(world.until_settled(child.id).await.state.name(), "failed");
    world.tick().await;
    assert_eq!(world.until_settled(parent.id).await.state.name(), "parked");
    world.host.idle().await;
    let retried = world.host.retry(parent.id, RetryRequest::default()).await.unwrap();
    assert_eq!((retried.run.state.name(), retried.run.attempt), ("queued", 2));
    while !world.run(parent.id).await.state.is_settled() {
        world.tick().await;
        world.host.idle().await;
    }
    assert_eq!(world.run(child.id).await.state, RunState::Succeeded);
    assert_eq!(world.run(parent.id).await.state, RunState::Succeeded);
}

#[tokio::test]
async fn a_retry_on_another_component_is_checked_by_a_replay() {
    let world = world_with(|_| {}).await;
    world.act(|mut guest| async move {
        guest.send(async { "ok".to_owned() }).await?;
        Ok(guest.fail(false))
    });
    let run = world.request("parent").await;
    world.tick().await;
    assert_eq!(world.until_settled(run.id).await.state.name(), "parked");
    world.host.idle().await;
    let other = ComponentDigest::of(b"another");
    let on = |component| RetryRequest { component: Some(component), ..RetryRequest::default() };
    let unknown = world.host.retry(run.id, on(other)).await.unwrap_err();
    assert_eq!(unknown.code().as_str(), "host/component-not-found");
    let dry = RetryRequest { dry_run: true, ..on(component()) };
    assert_eq!(world.host.retry(run.id, dry).await.unwrap().replay, Some(DryRun::Continues));
    world.guests.refuse(component());
    let looked = world.host.retry(run.id, dry).await.unwrap();
    assert!(matches!(looked.replay, Some(DryRun::Mismatch(_))));
    assert_eq!(looked.run.state.name(), "parked");
    // A retry from its start has nothing to replay.
    world.act(|guest| async move {
        assert!(guest.is_live());
        Ok(output("1"))
    });
    let from_start = RetryRequest { from_start: true, ..on(component()) };
    let retried = world.host.retry(run.id, from_start).await.unwrap();
    assert_eq!((retried.run.journal_entries, retried.replay), (0, None));
    world.tick().await;
    let ended = world.until_settled(run.id).await;
    assert_eq!((ended.state, ended.fuel), (RunState::Succeeded, Fuel::new(200)));
}

#[tokio::test]
async fn a_child_is_started_only_with_a_valid_input() {
    let world = TestHost::paused().await;
    world.put_typed().await;
    world.try_deploy("2.0.0", json!({ "name": "typed" })).await.unwrap();
    world.deploy(json!({ "name": "a" })).await;
    world.guests.act(|job| async move {
        let typed = name("typed");
        let of = |input: &'static [u8]| job.channel.target(job.run.id, &typed, None, input);
        let refused = of(br#"[1, "2"]"#).await.unwrap_err();
        assert_eq!((refused.code.as_str(), refused.retryable), ("host/input-invalid", false));
        assert!(refused.message.starts_with("/1 of a run of `typed`"), "{}", refused.message);
        assert!(of(b"[1, 2]").await.is_ok());
        output("1")
    });
    let run = world.request("a").await;
    world.tick().await;
    assert_eq!(world.until_settled(run.id).await.state, RunState::Succeeded);
}
