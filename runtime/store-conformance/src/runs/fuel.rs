//! Claims about budgets of fuel: what runs hold, and how they wait.

use std::sync::Arc;

use futures_util::future::join_all;
use tidemill_core::budget::{BudgetCounter, BudgetPeriod, BudgetScope, BudgetUnit, OverBudget};
use tidemill_core::ids::Owner;
use tidemill_core::run::{Run, RunEvent, RunState};
use tidemill_core::{Code, Fuel, RunId, Timestamp};
use tidemill_store::records::{
    AdmissionLimits, AdmissionTerms, BudgetFilter, BudgetLimit, NewBudget, NewRun, PageRequest, QueueKind,
    RecoveryFilter, RetryChange, RunCommit,
};
use tidemill_store::{Store, StoreError};

use crate::fixture::{NOON, done, failure, later, name, new_run, owner, request, success};
use crate::ledger::budgets::{DAY, define};

/// What a run holds.
const HOLD: u64 = 40;

/// Returns a budget of 100 units of fuel a day.
fn budget(scope: BudgetScope, over: OverBudget) -> NewBudget {
    NewBudget {
        name: "work".parse().expect("a name"),
        unit: BudgetUnit::Fuel,
        limit: 100,
        scope,
        period: BudgetPeriod::Day,
        time_zone: "UTC".into(),
        over,
    }
}

async fn defined(store: &Arc<dyn Store>, scope: BudgetScope) -> Owner {
    define(store, 1, vec![budget(scope, OverBudget::Wait)], NOON).await;
    owner(store).await
}

/// Returns a request of a customer.
fn of(customer: &str) -> NewRun {
    let terms = AdmissionTerms { customer: Some(customer.into()), ..AdmissionTerms::default() };
    NewRun { terms, ..new_run("a") }
}

async fn admitted(store: &Arc<dyn Store>, owner: &Owner, now: Timestamp) -> (Vec<Run>, Option<Timestamp>) {
    let limits = AdmissionLimits { fuel: Some(HOLD), ..AdmissionLimits::default() };
    let admitted = store.admit(owner, &name("a"), 10, limits, now).await.expect("an admission");
    (admitted.claimed.into_iter().map(|claimed| claimed.run).collect(), admitted.next)
}

/// What is used and held on the day of `at`, of a customer or of the deployment.
async fn counted(store: &Arc<dyn Store>, customer: Option<&str>, at: Timestamp) -> (i128, i128) {
    let filter = BudgetFilter { customer: customer.map(str::to_owned), ..BudgetFilter::default() };
    let page = store.budget_lines(&filter, PageRequest::first(10), at).await.expect("a page");
    let BudgetCounter { used, held } = page.items[0].counter.expect("a counter");
    (used, held)
}

/// Ends a run that has used this fuel in all.
async fn end(store: &Arc<dyn Store>, owner: &Owner, run: &Run, fuel: u64) {
    done(store, success(owner, &Run { fuel: Fuel::new(fuel), ..run.clone() })).await;
}

fn ids(runs: &[Run]) -> Vec<RunId> {
    runs.iter().map(|run| run.id).collect()
}

/// The end of the day of [`NOON`].
fn midnight() -> Timestamp {
    Timestamp::from_millis((NOON.as_millis() / DAY + 1) * DAY)
}

pub(crate) async fn a_run_holds_fuel_before_it_begins_and_returns_the_rest(store: Arc<dyn Store>) {
    let me = defined(&store, BudgetScope::Customer).await;
    for customer in ["c", "c", "c", "d", ""] {
        request(&store, of(customer)).await;
    }
    let (runs, next) = admitted(&store, &me, NOON).await;
    assert_eq!((runs.len(), next), (4, Some(midnight())), "the third run of `c` waits");
    assert_eq!((counted(&store, Some("c"), NOON).await, counted(&store, Some("d"), NOON).await), ((0, 80), (0, 40)));
    end(&store, &me, &runs[0], 15).await;
    assert_eq!(counted(&store, Some("c"), NOON).await, (15, 40));
    // What a run used beyond its hold is not counted: a transaction that was repeated.
    end(&store, &me, &runs[1], 50).await;
    assert_eq!(counted(&store, Some("c"), NOON).await, (55, 0));
    let (third, _) = admitted(&store, &me, NOON).await;
    assert_eq!((third.len(), counted(&store, Some("c"), NOON).await), (1, (55, 40)));
    assert_eq!(store.check_ledger().await.expect("a check").problems, Vec::<String>::new());
}

pub(crate) async fn a_waiting_run_begins_when_fuel_returns(store: Arc<dyn Store>) {
    let me = defined(&store, BudgetScope::Deployment).await;
    let mut asked = Vec::new();
    for _ in 0..6 {
        asked.push(request(&store, of("")).await.id);
    }
    let urgent = request(&store, NewRun { priority: 9, ..of("") }).await.id;
    let (runs, _) = admitted(&store, &me, NOON).await;
    assert_eq!(ids(&runs), [urgent, asked[0]]);
    assert_eq!(admitted(&store, &me, NOON).await.0, []);
    let position = store.queue_position(asked[1], 10).await.expect("a read").expect("a position");
    assert_eq!(position.listed, QueueKind::Delayed(midnight()));
    let wait = position.budget.expect("it waits");
    assert_eq!((wait.budget.as_str(), wait.limit, wait.counted.held), ("work", 100, 80));
    end(&store, &me, &runs[0], 20).await;
    let (second, _) = admitted(&store, &me, NOON).await;
    assert_eq!(ids(&second), [asked[1]], "20 used, and twice 40 held");
    assert_eq!(counted(&store, None, NOON).await, (20, 80));
    end(&store, &me, &second[0], 1).await;
    end(&store, &me, &runs[1], 1).await;
    let (next, _) = admitted(&store, &me, NOON).await;
    assert_eq!((next.len(), counted(&store, None, NOON).await), (1, (22, 40)), "62 of 100 are used or held");
}

pub(crate) async fn a_waiting_run_begins_in_the_next_period(store: Arc<dyn Store>) {
    let me = defined(&store, BudgetScope::Deployment).await;
    for _ in 0..3 {
        request(&store, of("")).await;
    }
    let (runs, _) = admitted(&store, &me, NOON).await;
    let before = Timestamp::from_millis(midnight().as_millis() - 1);
    assert_eq!(admitted(&store, &me, before).await.0, []);
    let (late, _) = admitted(&store, &me, midnight()).await;
    assert_eq!((late.len(), counted(&store, None, midnight()).await), (1, (0, 40)));
    // What began before counts where it began.
    end(&store, &me, &runs[0], 30).await;
    assert_eq!((counted(&store, None, NOON).await, counted(&store, None, midnight()).await), ((30, 40), (0, 40)));
    end(&store, &me, &late[0], 5).await;
    assert_eq!(counted(&store, None, midnight()).await, (5, 0));
}

pub(crate) async fn a_budget_that_refuses_refuses_requests_without_room(store: Arc<dyn Store>) {
    define(&store, 1, vec![budget(BudgetScope::Customer, OverBudget::Refuse)], NOON).await;
    let me = owner(&store).await;
    let asked = |customer: &str, key: &str| {
        let new = of(customer);
        NewRun { key: Some(key.into()), terms: AdmissionTerms { fuel: Some(HOLD), ..new.terms.clone() }, ..new }
    };
    request(&store, asked("c", "1")).await;
    let second = request(&store, asked("c", "2")).await;
    assert_eq!(counted(&store, Some("c"), NOON).await, (0, 80), "an accepted request holds its fuel");
    let refused = store.request_run(asked("c", "3")).await;
    assert!(matches!(&refused, Err(StoreError::EffectImpossible { code: Code::BudgetExceeded, .. })), "{refused:?}");
    assert_eq!(request(&store, asked("c", "2")).await.id, second.id, "a known key is no new run");
    request(&store, asked("d", "4")).await;
    let (runs, next) = admitted(&store, &me, NOON).await;
    assert_eq!((runs.len(), next), (3, None), "no accepted run waits");
    assert_eq!(counted(&store, Some("c"), NOON).await, (0, 80));
    end(&store, &me, &runs[0], 20).await;
    request(&store, asked("c", "3")).await;
    assert_eq!(counted(&store, Some("c"), NOON).await, (20, 80));
}

pub(crate) async fn each_generation_holds_fuel_of_its_own(store: Arc<dyn Store>) {
    let me = defined(&store, BudgetScope::Customer).await;
    request(&store, of("c")).await;
    let run = admitted(&store, &me, NOON).await.0.remove(0);
    let again = |run: &Run, generation, fuel| {
        let state = run.state.next(RunEvent::Requeued { not_before: NOON }).expect("a running run can return");
        Run { state, generation, fuel: Fuel::new(fuel), ..run.clone() }
    };
    // A retry of the same generation keeps its hold.
    done(&store, RunCommit::of(me.clone(), again(&run, 1, 10), NOON)).await;
    assert_eq!(counted(&store, Some("c"), NOON).await, (0, 40));
    let run = admitted(&store, &me, NOON).await.0.remove(0);
    assert_eq!(counted(&store, Some("c"), NOON).await, (0, 40));
    let next = RunCommit { customer: Some("d".into()), ..RunCommit::of(me.clone(), again(&run, 2, 30), NOON) };
    done(&store, next).await;
    assert_eq!(counted(&store, Some("c"), NOON).await, (30, 0));
    let run = admitted(&store, &me, NOON).await.0.remove(0);
    assert_eq!((counted(&store, Some("c"), NOON).await, counted(&store, Some("d"), NOON).await), ((30, 0), (0, 40)));
    // A parked run holds nothing, and holds fuel again when it is tried again.
    let parked = run.state.next(RunEvent::Parked(failure())).expect("a running run can be parked");
    let parked = Run { state: parked, fuel: Fuel::new(35), ..run };
    done(&store, RunCommit::of(me.clone(), parked.clone(), NOON)).await;
    assert_eq!(counted(&store, Some("d"), NOON).await, (5, 0));
    let change = RetryChange { component: None, from_start: false, now: later(1) };
    store.retry_run(parked.id, change).await.expect("a retry");
    let run = admitted(&store, &me, later(1)).await.0.remove(0);
    end(&store, &me, &run, 42).await;
    assert_eq!(counted(&store, Some("d"), NOON).await, (12, 0));
}

pub(crate) async fn a_changed_budget_wakes_the_runs_that_wait_for_it(store: Arc<dyn Store>) {
    let me = defined(&store, BudgetScope::Deployment).await;
    for _ in 0..4 {
        request(&store, of("")).await;
    }
    assert_eq!(admitted(&store, &me, NOON).await.0.len(), 2);
    assert_eq!(admitted(&store, &me, NOON).await.0.len(), 0);
    let more = NewBudget { limit: 120, ..budget(BudgetScope::Deployment, OverBudget::Wait) };
    define(&store, 2, vec![more], later(1)).await;
    assert_eq!(admitted(&store, &me, later(1)).await.0.len(), 1);
    assert_eq!(counted(&store, None, NOON).await, (0, 120));
    // Without the budget, nothing waits and nothing is held.
    define(&store, 3, vec![], later(2)).await;
    let rest = store.admit(&me, &name("a"), 10, AdmissionLimits::default(), later(2)).await.expect("an admission");
    assert_eq!(rest.claimed.len(), 1);
    end(&store, &me, &rest.claimed[0].run, 7).await;
}

pub(crate) async fn a_customers_limit_wakes_its_own_waiting_runs(store: Arc<dyn Store>) {
    let me = defined(&store, BudgetScope::Customer).await;
    let mut asked = Vec::new();
    for customer in ["c", "c", "c", "d", "d", "d"] {
        asked.push(request(&store, of(customer)).await.id);
    }
    assert_eq!(admitted(&store, &me, NOON).await.0.len(), 4);
    let work = "work".parse().expect("a name");
    let set = async |customer: &str, limit| {
        let limit = Some(BudgetLimit { limit, set_at: NOON });
        store.set_budget_limit(&name("a"), &work, customer, limit, later(1)).await.expect("a limit").ready
    };
    assert_eq!(set("e", 900).await, [], "no run of this customer waits");
    assert_eq!(set("c", 120).await, [name("a")]);
    assert_eq!(ids(&admitted(&store, &me, later(1)).await.0), [asked[2]]);
    let position = store.queue_position(asked[5], 10).await.expect("a read").expect("a position");
    assert_eq!(position.listed, QueueKind::Delayed(midnight()), "the run of the other customer still waits");
}

pub(crate) async fn a_changed_budget_wakes_more_runs_than_one_commit_can(store: Arc<dyn Store>) {
    const RUNS: usize = 1_200;
    let none = NewBudget { limit: 0, ..budget(BudgetScope::Customer, OverBudget::Wait) };
    define(&store, 1, vec![none], NOON).await;
    let me = owner(&store).await;
    join_all((0..RUNS).map(|customer| request(&store, of(&customer.to_string())))).await;
    while admitted(&store, &me, NOON).await.1 == Some(NOON.plus_millis(1)) {}
    assert_eq!(store.waiting_deployments(NOON).await.expect("a read"), []);
    define(&store, 2, vec![budget(BudgetScope::Customer, OverBudget::Wait)], later(1)).await;
    let limits = AdmissionLimits { fuel: Some(HOLD), ..AdmissionLimits::default() };
    let admit =
        async || store.admit(&me, &name("a"), RUNS, limits, later(1)).await.expect("an admission").claimed.len();
    let at_once = admit().await;
    let mut woken = 0;
    loop {
        let (batch, effects) = store.update_due_findings(later(1), 100).await.expect("a tick");
        woken += batch.done;
        if batch.next.is_none() {
            break;
        }
        assert_eq!(effects.ready, [name("a")]);
    }
    assert_eq!((at_once + woken, admit().await), (RUNS, woken));
}

pub(crate) async fn a_run_that_ends_while_it_waits_leaves_nothing(store: Arc<dyn Store>) {
    let me = defined(&store, BudgetScope::Deployment).await;
    let mut asked = Vec::new();
    for _ in 0..4 {
        asked.push(request(&store, of("")).await.id);
    }
    let (runs, _) = admitted(&store, &me, NOON).await;
    let (cancelled, _) = store.request_cancel(asked[2], false, NOON).await.expect("a cancellation");
    assert_eq!(cancelled.state, RunState::Cancelled);
    end(&store, &me, &runs[0], 20).await;
    assert_eq!(ids(&admitted(&store, &me, NOON).await.0), [asked[3]]);
    assert_eq!(admitted(&store, &me, midnight()).await.0, []);
}

pub(crate) async fn a_hold_outlives_the_epoch_that_made_it(store: Arc<dyn Store>) {
    let dead = defined(&store, BudgetScope::Deployment).await;
    for _ in 0..3 {
        request(&store, of("")).await;
    }
    assert_eq!(admitted(&store, &dead, NOON).await.0.len(), 2);
    let me = owner(&store).await;
    let taken = store.take_over(&me, RecoveryFilter::All, 10, later(1)).await.expect("a takeover");
    assert_eq!((taken.len(), counted(&store, None, NOON).await), (2, (0, 80)));
    assert_eq!(admitted(&store, &me, later(1)).await.0, [], "the third run waits still");
    for claimed in &taken {
        end(&store, &me, &claimed.run, 10).await;
    }
    assert_eq!(counted(&store, None, NOON).await, (20, 0));
    assert_eq!(admitted(&store, &me, later(1)).await.0.len(), 1);
}
