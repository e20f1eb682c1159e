//! Concurrent runs: no update is lost, and no limit is exceeded.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidemill_control::RunRequest;
use tidemill_core::run::RunState;
use tidemill_engine::Cause;
use tidemill_store::records::RunFilter;
use tokio::sync::Semaphore;

use crate::fixture::guests::{count, failed, output, wait};
use crate::fixture::{TestHost, name, value};

const LONG: Duration = Duration::from_secs(120);

async fn counter(world: &TestHost) -> String {
    value(&world.store, "n").await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_counting_calls_count_two_hundred() {
    let world = TestHost::running().await;
    world.deploy(json!({ "name": "a", "concurrency": 200 })).await;
    let store = Arc::clone(&world.store);
    world.guests.act(move |job| {
        let store = Arc::clone(&store);
        async move { count(&store, &job).await }
    });
    let calls: Vec<_> = (0..200)
        .map(|_| {
            let host = world.host.clone();
            tokio::spawn(async move { host.invoke(RunRequest::new(name("a"), "{}"), LONG).await.unwrap() })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().run.state, RunState::Succeeded);
    }
    assert_eq!(counter(&world).await, "200");
    assert_eq!(world.runs(RunFilter::default()).await.len(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_counting_queued_runs_count_two_hundred() {
    let world = TestHost::running().await;
    world.deploy(json!({ "name": "a", "concurrency": 200 })).await;
    let store = Arc::clone(&world.store);
    world.guests.act(move |job| {
        let store = Arc::clone(&store);
        async move { count(&store, &job).await }
    });
    let requests = (0..200).map(|_| world.request("a"));
    let runs = futures_util::future::join_all(requests).await;
    for run in runs {
        assert_eq!(world.until_settled(run.id).await.state, RunState::Succeeded);
    }
    assert_eq!(counter(&world).await, "200");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_read_a_value_that_is_never_committed_executes_again() {
    let world = TestHost::running().await;
    world.deploy(json!({ "name": "a", "concurrency": 200, "retry": { "then": "fail" } })).await;
    let store = Arc::clone(&world.store);
    world.guests.act(move |job| {
        let store = Arc::clone(&store);
        async move {
            let mut ended = count(&store, &job).await;
            if job.input.as_ref() == b"[]" {
                // The next run may have the value of this one already.
                ended.outcome = failed(false, Cause::Guest);
            }
            ended
        }
    });
    let calls: Vec<_> = (0..200)
        .map(|n| {
            let host = world.host.clone();
            let input = if n % 5 == 0 { "[]" } else { "{}" };
            tokio::spawn(async move { host.invoke(RunRequest::new(name("a"), input), LONG).await.unwrap() })
        })
        .collect();
    let mut succeeded = 0;
    for call in calls {
        succeeded += usize::from(call.await.unwrap().run.state == RunState::Succeeded);
    }
    assert_eq!((succeeded, counter(&world).await.as_str()), (160, "160"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrency_of_a_deployment_is_never_exceeded() {
    let world = TestHost::running().await;
    world.deploy(json!({ "name": "a", "concurrency": 3 })).await;
    world.guests.act(|_| async {
        tokio::task::yield_now().await;
        output("1")
    });
    let calls = (0..40).map(|n| {
        let host = world.host.clone();
        async move {
            if n % 2 == 0 {
                host.invoke(RunRequest::new(name("a"), "{}"), LONG).await.unwrap().run.id
            } else {
                world_request(&host).await
            }
        }
    });
    let ids = futures_util::future::join_all(calls).await;
    for id in ids {
        assert_eq!(world.until_settled(id).await.state, RunState::Succeeded);
    }
    assert!(world.guests.most() <= 3, "{} ran at once", world.guests.most());
}

async fn world_request(host: &tidemill_control::ControlPlane) -> tidemill_core::RunId {
    match host.request(RunRequest::new(name("a"), "{}")).await.unwrap() {
        tidemill_store::records::RunRequestResult::Created(run)
        | tidemill_store::records::RunRequestResult::Existing(run)
        | tidemill_store::records::RunRequestResult::Joined(run) => run.id,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_deployment_does_not_hold_up_another() {
    let world = TestHost::running().await;
    world.deploy(json!({ "name": "full", "concurrency": 1 })).await;
    world.deploy(json!({ "name": "a" })).await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    world.guests.act(move |job| {
        let gate = Arc::clone(&held);
        async move {
            if job.run.deployment.as_str() == "full" {
                wait(&gate, &job).await.unwrap_or_else(|| output("1"))
            } else {
                output("2")
            }
        }
    });
    let waiting: Vec<_> = [world.request("full").await, world.request("full").await].into();
    world.guests.have_begun(1).await;
    let invoked = world.host.invoke(RunRequest::new(name("a"), "{}"), LONG).await.unwrap();
    assert_eq!(invoked.run.state, RunState::Succeeded);
    gate.add_permits(2);
    for run in waiting {
        assert_eq!(world.until_settled(run.id).await.state, RunState::Succeeded);
    }
}

#[tokio::test]
async fn runs_of_higher_priority_start_first() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a", "concurrency": 1 })).await;
    for priority in [1, 9, 5] {
        let ask = RunRequest { priority: Some(priority), ..RunRequest::new(name("a"), "{}") };
        world.host.request(ask).await.unwrap();
    }
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&order);
    world.guests.act(move |job| {
        seen.lock().unwrap().push(job.run.id);
        async { output("1") }
    });
    for done in 1..=3 {
        world.tick().await;
        world.guests.have_begun(done).await;
        let last = *order.lock().unwrap().last().unwrap();
        world.until_settled(last).await;
        world.host.idle().await;
    }
    let mut priorities = Vec::new();
    let ids = order.lock().unwrap().clone();
    for id in ids {
        priorities.push(world.run(id).await.priority);
    }
    assert_eq!(priorities, [9, 5, 1]);
}
