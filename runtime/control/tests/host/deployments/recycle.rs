//! Recycling a deployment: its resident runs leave memory and continue from their journals, and its
//! code is dropped.

use serde_json::json;
use tidemill_control::SignalTarget;
use tidemill_core::Code;
use tidemill_core::run::{Run, RunState};

use crate::fixture::{TestHost, component, name};

/// Makes guests count, wait for a signal, and count again.
fn listening(world: &TestHost) {
    world.act(|mut guest| async move {
        guest.count("before").await;
        let came = guest.signal("go").await?;
        guest.count("after").await;
        Ok(guest.succeed(std::str::from_utf8(&came).unwrap()))
    });
}

async fn waiting_run(world: &TestHost, deployment: &str) -> Run {
    let run = world.request(deployment).await;
    world.tick().await;
    world.until(run.id, |run| run.state == RunState::Suspended).await
}

async fn resume(world: &TestHost, run: &Run) -> Run {
    world.host.signal(SignalTarget::Run(run.id), "go".to_owned(), "7".into(), None).await.unwrap();
    world.tick().await;
    world.until_settled(run.id).await
}

#[tokio::test]
async fn resident_runs_of_a_recycled_deployment_continue_from_their_journals() {
    let world = TestHost::paused().await;
    for deployment in ["a", "b"] {
        world.deploy(json!({ "name": deployment })).await;
    }
    listening(&world);
    let (recycled, other) = (waiting_run(&world, "a").await, waiting_run(&world, "b").await);
    world.host.idle().await;
    let dropped = world.host.recycle(&name("a")).unwrap();
    assert_eq!((dropped.component, dropped.runs), (component(), 1));
    world.guests.are_gone(1).await;
    assert_eq!(world.guests.evicted(), [component()]);

    // The other run is still in memory, so that it needs no third guest.
    assert_eq!(resume(&world, &other).await.state, RunState::Succeeded);
    assert_eq!(world.guests.begun(), 2);
    let ended = resume(&world, &recycled).await;
    assert_eq!((ended.state, ended.attempt), (RunState::Succeeded, 1));
    assert_eq!(world.guests.begun(), 3);
    for key in ["before", "after"] {
        assert_eq!(world.store.state(&name("a"), key).await.unwrap().value.unwrap().as_ref(), b"1");
    }
}

#[tokio::test]
async fn an_executing_run_keeps_its_guest() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    let gate = world.guests.gated("1");
    let run = world.request("a").await;
    world.tick().await;
    world.guests.have_begun(1).await;
    assert_eq!(world.host.recycle(&name("a")).unwrap().runs, 0);
    gate.add_permits(1);
    let ended = world.until_settled(run.id).await;
    assert_eq!((ended.state, ended.attempt, world.guests.begun()), (RunState::Succeeded, 1, 1));
}

#[tokio::test]
async fn an_unknown_deployment_cannot_be_recycled() {
    let world = TestHost::paused().await;
    let refused = world.host.recycle(&name("a")).unwrap_err();
    assert_eq!(refused.code(), Code::DeploymentNotFound);
    assert!(world.guests.evicted().is_empty());
}
