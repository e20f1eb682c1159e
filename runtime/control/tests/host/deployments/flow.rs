//! Flow control: keys, rates, debouncing, queue limits, and isolation between deployments.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tidemill_control::{HostConfig, RunRequest};
use tidemill_core::run::{Run, RunState};
use tidemill_core::{Code, RunId};
use tidemill_store::records::RunRequestResult;

use crate::fixture::guests::output;
use crate::fixture::{START, TestHost, name};

async fn ask(world: &TestHost, deployment: &str, input: serde_json::Value) -> RunRequestResult {
    world.host.request(RunRequest::new(name(deployment), input.to_string())).await.unwrap()
}

async fn asked(world: &TestHost, deployment: &str, input: serde_json::Value) -> Run {
    match ask(world, deployment, input).await {
        RunRequestResult::Created(run) => run,
        other => panic!("{other:?}"),
    }
}

/// Makes guests succeed and record the order in which their runs start.
fn noted(world: &TestHost) -> Arc<Mutex<Vec<RunId>>> {
    let order = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&order);
    world.guests.act(move |job| {
        seen.lock().unwrap().push(job.run.id);
        async { output("1") }
    });
    order
}

/// Ticks until no run starts.
async fn settle(world: &TestHost) {
    loop {
        // The next tick finds the run that the end of another one admits.
        world.host.idle().await;
        let before = world.guests.begun();
        world.tick().await;
        world.host.idle().await;
        if world.guests.begun() == before {
            return;
        }
    }
}

#[tokio::test]
async fn runs_of_one_key_execute_one_at_a_time() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a", "concurrency_key": "/customer" })).await;
    let gate = world.guests.gated("1");
    let first = asked(&world, "a", json!({ "customer": "x" })).await;
    let second = asked(&world, "a", json!({ "customer": "x", "n": 2 })).await;
    let other = asked(&world, "a", json!({ "customer": "y" })).await;
    // Requests without a customer share the key null.
    let (none, null) = (asked(&world, "a", json!({})).await, asked(&world, "a", json!({ "customer": null })).await);
    world.tick().await;
    world.guests.have_begun(3).await;
    let queued = |run: &Run| matches!(run.state, RunState::Queued { .. });
    for (run, waits) in [(&first, false), (&second, true), (&other, false), (&none, false), (&null, true)] {
        assert_eq!(queued(&world.run(run.id).await), waits, "{run:?}");
    }
    gate.add_permits(5);
    settle(&world).await;
    for run in [first, second, other, none, null] {
        assert_eq!(world.until_settled(run.id).await.state, RunState::Succeeded);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_callers_respect_the_key() {
    let world = TestHost::running().await;
    world.deploy(json!({ "name": "a", "concurrency_key": "/k", "concurrency_per_key": 2 })).await;
    world.guests.act(|_| async {
        tokio::task::yield_now().await;
        output("1")
    });
    let calls =
        (0..30).map(|_| world.host.invoke(RunRequest::new(name("a"), "{}"), std::time::Duration::from_secs(60)));
    for called in futures_util::future::join_all(calls).await {
        assert_eq!(called.unwrap().run.state, RunState::Succeeded);
    }
    assert!(world.guests.most() <= 2, "{} ran at once", world.guests.most());
}

#[tokio::test]
async fn a_child_that_would_wait_for_its_own_parent_is_refused() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a", "concurrency_key": "/k" })).await;
    world.guests.act(|job| async move {
        let of = |input: &'static [u8]| job.channel.target(job.run.id, &job.run.deployment, None, input);
        let same = of(br#"{"k": 1}"#).await.unwrap_err();
        assert_eq!((same.code.as_str(), same.retryable), ("host/would-deadlock", false));
        assert!(same.message.contains(&job.run.id.to_string()), "{}", same.message);
        assert!(of(br#"{"k": 2}"#).await.is_ok());
        output("1")
    });
    let run = asked(&world, "a", json!({ "k": 1 })).await;
    settle(&world).await;
    assert_eq!(world.until_settled(run.id).await.state, RunState::Succeeded);
}

#[tokio::test]
async fn a_rate_is_kept_over_a_crash() {
    let mut world = TestHost::paused().await;
    world.deploy(json!({ "name": "a", "rate": { "runs": 3, "per": "1m" } })).await;
    let order = noted(&world);
    let mut runs = Vec::new();
    for n in 0..7 {
        runs.push(asked(&world, "a", json!({ "n": n })).await.id);
    }
    settle(&world).await;
    assert_eq!(order.lock().unwrap().len(), 3);
    world.clock.advance(30_000);
    drop(world.next_epoch().await);
    settle(&world).await;
    assert_eq!(order.lock().unwrap().len(), 3, "the next life knows who began");
    world.clock.advance(29_999);
    settle(&world).await;
    assert_eq!(order.lock().unwrap().len(), 3);
    for (advance, begun) in [(1, 6), (59_999, 6), (1, 7)] {
        world.clock.advance(advance);
        settle(&world).await;
        assert_eq!(order.lock().unwrap().len(), begun);
    }
    // Ids of one millisecond are not ordered.
    let mut order = order.lock().unwrap().clone();
    order.sort_unstable();
    runs.sort_unstable();
    assert_eq!(order, runs);
}

#[tokio::test]
async fn debounced_requests_become_one_run_with_the_newest_input() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a", "debounce": { "wait": "5s", "key": "/id", "max_wait": "12s" } })).await;
    let inputs = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&inputs);
    world.guests.act(move |job| {
        seen.lock().unwrap().push(String::from_utf8_lossy(&job.input).into_owned());
        async { output("1") }
    });
    let first = asked(&world, "a", json!({ "id": 1, "n": 0 })).await;
    let other = asked(&world, "a", json!({ "id": 2, "n": 0 })).await;
    for n in 1..4 {
        world.clock.advance(3_000);
        settle(&world).await;
        let RunRequestResult::Joined(run) = ask(&world, "a", json!({ "id": 1, "n": n })).await else { panic!() };
        assert_eq!(run.id, first.id);
    }
    assert_eq!(*inputs.lock().unwrap(), [json!({ "id": 2, "n": 0 }).to_string()]);
    assert_eq!(world.until_settled(other.id).await.state, RunState::Succeeded);
    // Twelve seconds after the first request, not five after the last.
    world.clock.advance(3_000);
    settle(&world).await;
    assert_eq!(inputs.lock().unwrap()[1], json!({ "id": 1, "n": 3 }).to_string());
    assert_eq!(world.until_settled(first.id).await.created_at, START);
}

#[tokio::test]
async fn a_full_queue_accepts_only_known_keys() {
    let world = TestHost::paused_with(|config: &mut HostConfig| config.queue_max = 3).await;
    world.deploy(json!({ "name": "a", "queue": 2 })).await;
    world.deploy(json!({ "name": "b", "queue": 9 })).await;
    let keyed = || RunRequest { key: Some("k".to_owned()), ..RunRequest::new(name("a"), "{}") };
    let known = world.host.request(keyed()).await.unwrap();
    world.request("a").await;
    let refused = world.host.request(RunRequest::new(name("a"), "{}")).await.unwrap_err();
    assert_eq!(refused.code(), Code::QueueFull);
    assert_eq!(refused.to_string(), "the queue of `a` is full: 2 of at most 2 runs wait");
    let new_key = RunRequest { key: Some("other".to_owned()), ..keyed() };
    assert_eq!(world.host.request(new_key).await.unwrap_err().code(), Code::QueueFull);
    let (RunRequestResult::Created(run), RunRequestResult::Existing(again)) =
        (known, world.host.request(keyed()).await.unwrap())
    else {
        panic!()
    };
    assert_eq!(run.id, again.id);
    for _ in 0..3 {
        world.request("b").await;
    }
    assert_eq!(world.host.request(RunRequest::new(name("b"), "{}")).await.unwrap_err().code(), Code::QueueFull);
    settle(&world).await;
    world.request("a").await;
}

#[tokio::test]
async fn the_lowest_priority_of_a_deployment_runs_despite_a_flood_of_the_highest() {
    let world = TestHost::paused_with(|config: &mut HostConfig| config.concurrency = 1).await;
    world.deploy(json!({ "name": "a" })).await;
    let order = noted(&world);
    let of = |priority| RunRequest { priority: Some(priority), ..RunRequest::new(name("a"), "{}") };
    let RunRequestResult::Created(low) = world.host.request(of(1)).await.unwrap() else { panic!() };
    for _ in 0..150 {
        world.host.request(of(9)).await.unwrap();
    }
    settle(&world).await;
    let place = order.lock().unwrap().iter().position(|id| *id == low.id);
    assert_eq!(place, Some(144));
}

#[tokio::test]
async fn a_flood_of_one_deployment_starves_no_other() {
    let world = TestHost::paused_with(|config: &mut HostConfig| config.concurrency = 4).await;
    // It sorts first by name and could take every slot.
    world.deploy(json!({ "name": "a-flood", "concurrency": 100 })).await;
    for single in ["single-1", "single-2", "single-3"] {
        world.deploy(json!({ "name": single })).await;
    }
    let order = noted(&world);
    for _ in 0..200 {
        world.request("a-flood").await;
    }
    let mut singles = Vec::new();
    for single in ["single-1", "single-2", "single-3"] {
        singles.push(world.request(single).await.id);
    }
    settle(&world).await;
    let order = order.lock().unwrap();
    assert_eq!(order.len(), 203);
    for single in singles {
        let place = order.iter().position(|id| *id == single).unwrap();
        assert!(place < 8, "a single run began as number {place}");
    }
}
