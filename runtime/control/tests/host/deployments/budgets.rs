//! Budgets of fuel: runs wait for room, or requests are refused.

use std::time::Duration;

use serde_json::{Value, json};
use tidemill_control::{ControlError, RunRequest, StageName, StageVerdict};
use tidemill_core::run::{Run, RunState};
use tidemill_core::{BudgetName, Code, RunId};
use tidemill_store::records::{BudgetFilter, PageRequest, RunRequestResult};

use crate::fixture::{START, TestHost, name};

const DAY: u64 = 24 * 3_600_000;

/// A manifest whose runs hold 1,100 units of fuel, of at most 2,500 a day.
fn manifest(per: &str, over: &str) -> Value {
    json!({ "name": "a", "limits": { "fuel": 1_000 }, "customer_key": "/customer", "budgets": [
        { "name": "work", "unit": "fuel", "limit": "2500", "per": per, "period": "day", "over": over },
    ] })
}

async fn request(world: &TestHost, customer: &str) -> Result<Run, ControlError> {
    let input = json!({ "customer": customer }).to_string();
    match world.host.request(RunRequest::new(name("a"), input)).await? {
        RunRequestResult::Created(run) => Ok(run),
        other => panic!("{other:?}"),
    }
}

/// What is used and held today, of a customer or of the deployment.
async fn counted(world: &TestHost, customer: Option<&str>) -> (i128, i128) {
    let filter = BudgetFilter { customer: customer.map(str::to_owned), ..BudgetFilter::default() };
    let page = world.store.budget_lines(&filter, PageRequest::first(1), START).await.unwrap();
    let counter = page.items[0].counter.unwrap();
    (counter.used, counter.held)
}

/// Returns the runs in a state.
async fn in_state(world: &TestHost, runs: &[Run], state: &str) -> Vec<RunId> {
    let mut found = Vec::new();
    for run in runs {
        if world.run(run.id).await.state.name() == state {
            found.push(run.id);
        }
    }
    found
}

async fn stage(world: &TestHost, id: RunId) -> (StageVerdict, String) {
    let stages = world.host.explain(id).await.unwrap().stages;
    let waits: Vec<_> = stages.iter().filter(|stage| stage.verdict == StageVerdict::Waits).collect();
    assert!(waits.iter().all(|stage| stage.name == StageName::Budget), "{waits:?}");
    let budget = stages.into_iter().find(|stage| stage.name == StageName::Budget).unwrap();
    (budget.verdict, budget.detail)
}

#[tokio::test]
async fn a_run_without_room_waits_until_fuel_returns_or_the_day_ends() {
    let world = TestHost::paused().await;
    world.deploy(manifest("deployment", "wait")).await;
    let gate = world.guests.gated("1");
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.push(request(&world, "c").await.unwrap());
    }
    world.tick().await;
    world.guests.have_begun(2).await;
    assert_eq!(counted(&world, None).await, (0, 2_200));
    let waits = "of the 2,500 units of fuel of budget `work`, 0 are used and 2,200 held in the period that ends at";
    let waiting = in_state(&world, &runs, "queued").await;
    assert_eq!(waiting.len(), 2);
    let (verdict, detail) = stage(&world, waiting[0]).await;
    assert!(verdict == StageVerdict::Waits && detail.starts_with(waits), "{detail}");
    gate.add_permits(1);
    world.first_in("succeeded").await;
    world.tick().await;
    world.guests.have_begun(3).await;
    assert_eq!(counted(&world, None).await, (100, 2_200));
    world.clock.set(START.plus_millis(DAY));
    world.tick().await;
    world.guests.have_begun(4).await;
    gate.add_permits(9);
    for run in runs {
        assert_eq!(world.until_settled(run.id).await.state, RunState::Succeeded);
    }
    assert_eq!(counted(&world, None).await, (300, 0), "the fourth run counts on the next day");
}

#[tokio::test]
async fn a_call_waits_for_its_turn_as_a_request_does() {
    let world = TestHost::running().await;
    world.deploy(manifest("customer", "wait")).await;
    let call = RunRequest::new(name("a"), json!({ "customer": "c" }).to_string());
    let called = world.host.invoke(call, Duration::from_secs(20)).await.unwrap();
    assert_eq!(called.run.state, RunState::Succeeded);
    assert_eq!((counted(&world, Some("c")).await, counted(&world, Some("d")).await), ((100, 0), (0, 0)));
}

#[tokio::test]
async fn a_budget_that_refuses_refuses_requests_without_room() {
    let world = TestHost::paused().await;
    world.deploy(manifest("customer", "refuse")).await;
    for _ in 0..2 {
        request(&world, "c").await.unwrap();
    }
    let refused = request(&world, "c").await.unwrap_err();
    assert_eq!(refused.code(), Code::BudgetExceeded, "{refused}");
    request(&world, "d").await.unwrap();
    let work: BudgetName = "work".parse().unwrap();
    world.host.set_budget_limit(&name("a"), &work, "c", Some(3_300)).await.unwrap();
    request(&world, "c").await.unwrap();
    assert_eq!(counted(&world, Some("c")).await, (0, 3_300));
}

/// Starts a host with running loops and a clock that does not advance, and requests three runs of
/// which the last waits for the budget.
async fn with_a_waiting_run(per: &str) -> (TestHost, RunId) {
    let world = TestHost::running().await;
    world.deploy(manifest(per, "wait")).await;
    world.guests.gated("1");
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(request(&world, "c").await.unwrap());
    }
    world.guests.have_begun(2).await;
    let last = runs.pop().unwrap().id;
    let mut commits = world.store.committed();
    while world.store.queue_position(last, 1).await.unwrap().unwrap().budget.is_none() {
        commits.changed().await.unwrap();
    }
    (world, last)
}

#[tokio::test]
async fn a_raised_limit_of_a_customer_admits_its_waiting_runs_at_once() {
    let (world, waiting) = with_a_waiting_run("customer").await;
    let work: BudgetName = "work".parse().unwrap();
    world.host.set_budget_limit(&name("a"), &work, "another", Some(9_900)).await.unwrap();
    assert_eq!(world.run(waiting).await.state.name(), "queued");
    world.host.set_budget_limit(&name("a"), &work, "c", Some(3_300)).await.unwrap();
    world.guests.have_begun(3).await;
    assert_eq!(counted(&world, Some("c")).await, (0, 3_300));
}

#[tokio::test]
async fn a_revision_with_a_higher_limit_admits_waiting_runs_at_once() {
    let (world, _) = with_a_waiting_run("deployment").await;
    let mut more = manifest("deployment", "wait");
    more["budgets"][0]["limit"] = json!("3300");
    world.deploy(more).await;
    world.guests.have_begun(3).await;
    assert_eq!(counted(&world, None).await, (0, 3_300));
}

#[tokio::test]
async fn a_restarted_host_returns_what_its_runs_held() {
    let mut world = TestHost::paused().await;
    world.deploy(manifest("deployment", "wait")).await;
    let gate = world.guests.gated("1");
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(request(&world, "c").await.unwrap());
    }
    world.tick().await;
    world.guests.have_begun(2).await;
    let (begun, waiting) = (in_state(&world, &runs, "running").await, in_state(&world, &runs, "queued").await);
    let before = world.next_epoch().await;
    assert_eq!(counted(&world, None).await, (0, 2_200), "the holds are durable");
    gate.add_permits(9);
    world.tick().await;
    for run in begun {
        assert_eq!(world.until_settled(run).await.state, RunState::Succeeded);
    }
    world.host.idle().await;
    world.tick().await;
    assert_eq!(world.until_settled(waiting[0]).await.state, RunState::Succeeded);
    world.host.idle().await;
    assert_eq!(counted(&world, None).await, (300, 0));
    drop(before);
}

#[tokio::test]
async fn a_budget_in_which_no_run_could_begin_is_refused() {
    let world = TestHost::paused().await;
    let mut small = manifest("deployment", "wait");
    small["budgets"][0]["limit"] = json!("1099");
    let refused = world.try_deploy("1.0.0", small).await.unwrap_err();
    let ControlError::Problems { problems, .. } = refused else { panic!("{refused}") };
    assert_eq!(problems[0].pointer, "/budgets/0/limit");
    let mut least = manifest("deployment", "wait");
    least["budgets"][0]["limit"] = json!("1100");
    world.try_deploy("1.0.0", least).await.unwrap();
}
