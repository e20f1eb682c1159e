//! Runs that wait, in memory or not, and are woken by time, signal, child or cancellation, while
//! they hold no permit.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidemill_control::{RunRequest, SignalTarget};
use tidemill_core::run::{Run, RunState};
use tidemill_core::{Code, RunId};
use tidemill_store::records::{RecoveryFilter, RunFilter, RunRequestResult};

use crate::fixture::{BOTH_WAYS, START, TestHost, evict_immediately, name};

const LONG: Duration = Duration::from_secs(60);

/// Makes guests sleep for `millis`, and count before and after.
fn sleeping(world: &TestHost, millis: u64) {
    world.act(move |mut guest| async move {
        guest.count("before").await;
        guest.sleep_until(guest.job.run.created_at.plus_millis(millis)).await?;
        guest.count("after").await;
        Ok(guest.succeed("1"))
    });
}

/// Makes guests wait for a signal and answer with it.
fn listening(world: &TestHost) {
    world.act(|mut guest| async move {
        let came = guest.signal("go").await?;
        Ok(guest.succeed(std::str::from_utf8(&came).unwrap()))
    });
}

async fn suspended(world: &TestHost, id: RunId) -> Run {
    world.until(id, |run| run.state == RunState::Suspended).await
}

async fn send(world: &TestHost, id: RunId, payload: &'static str) {
    let sent = world.host.signal(SignalTarget::Run(id), "go".to_owned(), payload.into(), None).await.unwrap();
    assert_eq!((sent.run, sent.duplicate), (id, false));
}

#[tokio::test]
async fn a_resident_run_resumes_without_replay() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    sleeping(&world, 5_000);
    let run = world.request("a").await;
    world.tick().await;
    suspended(&world, run.id).await;
    world.host.idle().await;
    assert!(world.store.state(&name("a"), "before").await.unwrap().value.is_some());
    world.clock.advance(4_999);
    world.tick().await;
    assert_eq!(world.run(run.id).await.state, RunState::Suspended);
    world.clock.advance(1);
    world.tick().await;
    assert_eq!(world.until_settled(run.id).await.state, RunState::Succeeded);
    assert_eq!(world.guests.begun(), 1);
}

#[tokio::test]
async fn a_run_that_left_memory_is_replayed() {
    let world = TestHost::paused_with(evict_immediately).await;
    world.deploy(json!({ "name": "a" })).await;
    sleeping(&world, 5_000);
    let run = world.request("a").await;
    world.tick().await;
    suspended(&world, run.id).await;
    world.host.idle().await;
    world.clock.advance(5_000);
    world.tick().await;
    let ended = world.until_settled(run.id).await;
    assert_eq!((ended.state, ended.attempt, ended.waiting_for), (RunState::Succeeded, 1, None));
    assert_eq!(world.guests.begun(), 2);
    for key in ["before", "after"] {
        assert_eq!(world.store.state(&name("a"), key).await.unwrap().value.unwrap().as_ref(), b"1");
    }
}

#[tokio::test]
async fn the_oldest_resident_run_leaves_if_there_is_no_room() {
    let world = TestHost::paused_with(|config| config.waiting_max = 1).await;
    world.deploy(json!({ "name": "a" })).await;
    listening(&world);
    let first = world.request("a").await;
    world.tick().await;
    suspended(&world, first.id).await;
    let second = world.request("a").await;
    world.tick().await;
    suspended(&world, second.id).await;
    world.host.idle().await;
    send(&world, first.id, "1").await;
    send(&world, second.id, "2").await;
    world.tick().await;
    for run in [first, second] {
        assert_eq!(world.until_settled(run.id).await.state, RunState::Succeeded);
    }
    assert_eq!(world.guests.begun(), 3);
}

#[tokio::test]
async fn a_resident_run_leaves_memory_after_its_maximum_time() {
    let world = TestHost::paused_with(|config| config.keep_waiting = Duration::from_millis(20)).await;
    world.deploy(json!({ "name": "a" })).await;
    listening(&world);
    let run = world.request("a").await;
    world.tick().await;
    suspended(&world, run.id).await;
    world.guests.are_gone(1).await;
    send(&world, run.id, "7").await;
    world.tick().await;
    assert_eq!(world.until_settled(run.id).await.state, RunState::Succeeded);
    assert_eq!(world.guests.begun(), 2);
}

#[tokio::test]
async fn a_signal_wakes_the_waiting_run_and_is_taken_once() {
    for change in BOTH_WAYS {
        let world = TestHost::paused_with(change).await;
        world.deploy(json!({ "name": "a" })).await;
        listening(&world);
        let ask = RunRequest { key: Some("order-7".to_owned()), ..RunRequest::new(name("a"), "{}") };
        let host = world.host.clone();
        let call = tokio::spawn(async move { host.invoke(ask, LONG).await.unwrap() });
        let run = world.first_in("suspended").await;
        let to = SignalTarget::Key(name("a"), "order-7".to_owned());
        let key = Some("once".to_owned());
        let sent = world.host.signal(to.clone(), "go".to_owned(), r#"{"x":1}"#.into(), key.clone()).await.unwrap();
        assert_eq!((sent.run, sent.duplicate), (run.id, false));
        let again = world.host.signal(to.clone(), "go".to_owned(), r#"{"x":1}"#.into(), key).await.unwrap();
        assert!(again.duplicate);
        world.tick().await;
        let invoked = call.await.unwrap();
        assert_eq!(invoked.run.id, run.id);
        assert_eq!(invoked.output.as_deref(), Some(br#"{"x":1}"#.as_slice()));
        let late = world.host.signal(to, "go".to_owned(), "1".into(), None).await.unwrap_err();
        assert_eq!(late.code(), Code::RunState);
    }
}

#[tokio::test]
async fn an_earlier_signal_is_taken_without_a_wait() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    listening(&world);
    let run = world.request("a").await;
    send(&world, run.id, "[1]").await;
    world.tick().await;
    assert_eq!(world.until_settled(run.id).await.state, RunState::Succeeded);
    let garbage = world.host.signal(SignalTarget::Run(run.id), "go".to_owned(), "nonsense".into(), None).await;
    assert_eq!(garbage.unwrap_err().code(), Code::BadJson);
}

#[tokio::test]
async fn a_thousand_sleeping_runs_hold_no_permits() {
    let world = TestHost::paused_with(|config| config.concurrency = 100).await;
    world.deploy(json!({ "name": "a", "concurrency": 100 })).await;
    sleeping(&world, 3_600_000);
    futures_util::future::join_all((0..1_000).map(|_| world.request("a"))).await;
    let asleep = RunFilter { states: vec!["suspended".to_owned()], ..RunFilter::default() };
    while world.runs(asleep.clone()).await.len() < 1_000 {
        world.tick().await;
        world.host.idle().await;
    }
    assert_eq!(world.host.running(), 0);
    world.tick().await;
    // Another run starts at once.
    world.act(|mut guest| async move { Ok(guest.succeed("1")) });
    assert_eq!(world.host.invoke(RunRequest::new(name("a"), "{}"), LONG).await.unwrap().run.state, RunState::Succeeded);
    sleeping(&world, 3_600_000);
    world.clock.advance(3_600_000);
    let ended = RunFilter { states: vec!["succeeded".to_owned()], ..RunFilter::default() };
    while world.runs(ended.clone()).await.len() < 1_001 {
        world.tick().await;
        world.host.idle().await;
    }
    assert!(world.guests.most() <= 100);
}

#[tokio::test]
async fn resumed_runs_are_claimed_before_new_ones() {
    let world = TestHost::paused_with(evict_immediately).await;
    world.deploy(json!({ "name": "a", "concurrency": 1 })).await;
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&order);
    world.act(move |mut guest| {
        seen.lock().unwrap().push(guest.job.run.id);
        async move {
            guest.signal("go").await?;
            Ok(guest.succeed("1"))
        }
    });
    let woken = world.request("a").await;
    world.tick().await;
    suspended(&world, woken.id).await;
    world.host.idle().await;
    let new = world.host.request(RunRequest { priority: Some(9), ..RunRequest::new(name("a"), "{}") }).await.unwrap();
    let RunRequestResult::Created(new) = new else { panic!() };
    send(&world, woken.id, "1").await;
    world.tick().await;
    assert_eq!(world.until_settled(woken.id).await.state, RunState::Succeeded);
    world.host.idle().await;
    world.tick().await;
    suspended(&world, new.id).await;
    assert_eq!(*order.lock().unwrap(), [woken.id, woken.id, new.id]);
}

#[tokio::test]
async fn a_wait_counts_as_lifetime() {
    for change in BOTH_WAYS {
        let world = TestHost::paused_with(change).await;
        world.deploy(json!({ "name": "a", "limits": { "lifetime": "4s" } })).await;
        sleeping(&world, 8_000);
        let run = world.request("a").await;
        world.tick().await;
        let waits = suspended(&world, run.id).await;
        assert_eq!(waits.waiting_for.unwrap().until, Some(START.plus_millis(4_000)));
        world.host.idle().await;
        world.clock.advance(4_000);
        world.tick().await;
        let parked = world.until_settled(run.id).await;
        assert_eq!(parked.state.failure().unwrap().code, "host/limit-lifetime");
    }
}

#[tokio::test]
async fn shutdown_evicts_waiting_runs_and_the_next_epoch_resumes_them() {
    let mut world = TestHost::running().await;
    world.deploy(json!({ "name": "a" })).await;
    listening(&world);
    let host = world.host.clone();
    let call = tokio::spawn(async move { host.invoke(RunRequest::new(name("a"), "{}"), LONG).await.unwrap() });
    let run = world.first_in("suspended").await;
    world.host.shutdown(LONG).await;
    assert!(!call.await.unwrap().run.state.is_settled());
    world.open_again().await;
    assert_eq!(world.run(run.id).await.state, RunState::Suspended);
    listening(&world);
    drop(world.next_epoch().await);
    world.tick().await;
    send(&world, run.id, "3").await;
    world.tick().await;
    let ended = world.until_settled(run.id).await;
    assert_eq!((ended.state, ended.takeovers), (RunState::Succeeded, 0));
}

#[tokio::test]
async fn a_waiting_crash_suspect_does_not_delay_the_next() {
    let mut world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    let suspect = world.request("a").await;
    world.store.claim(world.host.owner(), &name("a"), 1, START).await.unwrap();
    for crashes in 1..=3 {
        drop(world.next_epoch().await);
        if crashes < 3 {
            world.store.take_over(world.host.owner(), RecoveryFilter::All, 10, START).await.unwrap();
        }
    }
    sleeping(&world, 3_600_000);
    tokio::time::timeout(Duration::from_secs(8), world.tick()).await.expect("it sleeps, and others may begin");
    suspended(&world, suspect.id).await;
    assert!(world.host.ready().ready);
}

#[tokio::test]
async fn a_signal_with_an_invalid_payload_is_refused_when_sent() {
    let world = TestHost::paused().await;
    world.put_typed().await;
    world.try_deploy("2.0.0", json!({ "name": "a" })).await.unwrap();
    listening(&world);
    let ask = RunRequest::new(name("a"), "[]");
    let RunRequestResult::Created(run) = world.host.request(ask).await.unwrap() else { panic!("it is new") };
    world.tick().await;
    suspended(&world, run.id).await;
    let signal = async |name: &str, payload: &'static str| {
        world.host.signal(SignalTarget::Run(run.id), name.to_owned(), payload.into(), None).await
    };
    assert_eq!(signal("go", "\"yes\"").await.unwrap_err().code(), Code::InputInvalid);
    assert!(signal("another", "\"yes\"").await.is_ok(), "it is not declared");
    assert!(signal("go", "7").await.is_ok());
    world.tick().await;
    assert_eq!(world.until_settled(run.id).await.state, RunState::Succeeded);

    // A run that sends one is refused in the same way.
    world.guests.act(|job| async move {
        let run = &job.run;
        let refused = job.channel.check_signal(&run.deployment, run.revision, "go", b"true").await.unwrap_err();
        assert!(job.channel.check_signal(&run.deployment, run.revision, "go", b"7").await.is_ok());
        crate::fixture::guests::output(&format!("{:?}", refused.code))
    });
    let invoked = world.host.invoke(RunRequest::new(name("a"), "[]"), LONG).await.unwrap();
    assert_eq!(invoked.output.as_deref(), Some(br#""host/input-invalid""#.as_slice()));
}
