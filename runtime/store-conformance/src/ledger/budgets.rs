//! Claims about budgets.

use std::sync::Arc;

use futures_util::future::join_all;
use tidemill_core::budget::{BudgetCounter, BudgetPeriod, BudgetScope, BudgetUnit, OverBudget};
use tidemill_core::money::EntryKind;
use tidemill_core::{BudgetName, Timestamp};
use tidemill_store::Store;
use tidemill_store::records::{
    BalanceCheck, BalanceDecision, BalanceQuestion, BudgetFilter, BudgetLimit, BudgetLine, FindingFilter, FloorAccount,
    NewBudget, NewEntry, OwnEntries, PageRequest, PutDeployment, ReadCheck, RunCommitResult,
};

use super::balances::{append, credit, ended, held};
use super::with_content;
use crate::fixture::{NOON, claimed_run, component, digest, later, name, owner, success, version};

/// One day, in milliseconds.
pub(crate) const DAY: u64 = 24 * 3_600_000;

/// Returns a budget of 1.00 EUR a day.
pub(crate) fn budget(scope: BudgetScope) -> NewBudget {
    NewBudget {
        name: "cap".parse().expect("a name"),
        unit: BudgetUnit::Currency("EUR".into()),
        limit: 100,
        scope,
        period: BudgetPeriod::Day,
        time_zone: "UTC".into(),
        over: OverBudget::Wait,
    }
}

/// Deploys `a` with these budgets; another number makes another revision.
pub(crate) async fn define(store: &Arc<dyn Store>, number: u64, budgets: Vec<NewBudget>, now: Timestamp) {
    store.put_version(version("1.0.0", b"component"), component(b"component")).await.expect("a version");
    let put = PutDeployment {
        name: name("a"),
        expected: None,
        component: digest(),
        manifest: format!("{{\"n\":{number}}}").into(),
        schedules: vec![],
        subscriptions: vec![],
        budgets,
        incident: None,
        now,
    };
    store.put_deployment(put).await.expect("a deployment");
}

pub(crate) fn of_customer(entry: NewEntry, customer: &str) -> NewEntry {
    with_content(NewEntry { customer: Some(customer.into()), ..entry })
}

pub(crate) fn used(id: &str, cents: i64, at: Timestamp) -> NewEntry {
    credit(id, EntryKind::Usage, cents, at)
}

/// Returns the question of an entry to the budget `cap`.
pub(crate) fn asked(entry: &NewEntry, partial: bool) -> BalanceQuestion {
    BalanceQuestion {
        stream: entry.stream.clone(),
        account: FloorAccount::Budget { name: "cap".into(), customer: entry.customer.clone().unwrap_or_default() },
        currency: entry.currency.clone(),
        kind: entry.kind.clone(),
        external_id: entry.external_id.clone(),
        of: None,
        minor_units: entry.minor_units,
        occurred_at: entry.occurred_at,
        partial,
        floor: 0,
    }
}

async fn decide(store: &Arc<dyn Store>, entry: &NewEntry, now: Timestamp) -> BalanceDecision {
    store.decide(&asked(entry, false), &mut OwnEntries::default(), now).await.expect("a decision")
}

pub(crate) async fn lines(store: &Arc<dyn Store>, customer: Option<&str>, at: Timestamp) -> Vec<BudgetLine> {
    let filter = BudgetFilter { customer: customer.map(str::to_owned), ..BudgetFilter::default() };
    store.budget_lines(&filter, PageRequest::first(100), at).await.expect("a page").items
}

async fn counter(store: &Arc<dyn Store>, at: Timestamp) -> (i128, i128) {
    let BudgetCounter { used, held } = lines(store, Some("c"), at).await[0].counter.expect("a counter");
    (used, held)
}

async fn findings(store: &Arc<dyn Store>) -> Vec<(String, Option<i128>)> {
    let page = store.findings(FindingFilter::default(), PageRequest::first(10)).await.expect("a page");
    let over = page.items.into_iter().filter(|finding| finding.kind == "over-budget");
    over.map(|finding| (finding.subject, finding.minor_units)).collect()
}

async fn checked(store: &Arc<dyn Store>) {
    assert_eq!(store.check_ledger().await.expect("a check").problems, Vec::<String>::new());
}

pub(crate) async fn usage_counts_in_its_own_period_and_a_settlement_in_that_of_the_reservation(store: Arc<dyn Store>) {
    define(&store, 1, vec![budget(BudgetScope::Customer)], NOON).await;
    let (today, tomorrow) = (NOON, NOON.plus_millis(DAY));
    append(&store, used("u1", 30, today), today).await;
    let hold = held(credit("h", EntryKind::Drawdown, 50, today), None);
    append(&store, hold.clone(), today).await;
    assert_eq!((counter(&store, today).await, counter(&store, tomorrow).await), ((30, 50), (0, 0)));
    let over = BalanceDecision::OverBudget { limit: 100, used: 30, held: 50, needed: 21 };
    assert_eq!(decide(&store, &used("n", 20, today), today).await, BalanceDecision::Covered(20));
    assert_eq!(decide(&store, &used("n", 21, today), today).await, over);
    let partial = store.decide(&asked(&used("n", 21, today), true), &mut OwnEntries::default(), today).await;
    assert_eq!(partial, Ok(BalanceDecision::Covered(20)));
    assert_eq!(decide(&store, &used("n", 100, tomorrow), today).await, BalanceDecision::Covered(100));
    // Another customer and another kind have room.
    assert_eq!(decide(&store, &of_customer(used("n", 100, today), "d"), today).await, BalanceDecision::Covered(100));
    assert_eq!(decide(&store, &credit("n", EntryKind::Sale, 900, today), today).await, BalanceDecision::Covered(900));
    append(&store, ended(&hold, Some(40), tomorrow), tomorrow).await;
    assert_eq!((counter(&store, today).await, counter(&store, tomorrow).await), ((70, 0), (0, 0)));
    append(&store, credit("r", EntryKind::UsageReversal, 10, tomorrow), tomorrow).await;
    assert_eq!((counter(&store, today).await, counter(&store, tomorrow).await), ((70, 0), (-10, 0)));
    checked(&store).await;
}

pub(crate) async fn an_expired_hold_leaves_its_budget_at_once(store: Arc<dyn Store>) {
    define(&store, 1, vec![budget(BudgetScope::Deployment)], NOON).await;
    append(&store, held(used("h", 80, NOON), Some(later(5))), NOON).await;
    let over = BalanceDecision::OverBudget { limit: 100, used: 0, held: 80, needed: 100 };
    assert_eq!(decide(&store, &used("n", 100, NOON), later(4)).await, over);
    assert_eq!(decide(&store, &used("n", 100, NOON), later(5)).await, BalanceDecision::Covered(100));
    assert_eq!(store.expire_reservations(later(5), 9).await.expect("a tick").done, 1);
    assert_eq!(lines(&store, None, NOON).await[0].counter, Some(BudgetCounter::default()));
    assert_eq!(decide(&store, &used("n", 100, NOON), later(5)).await, BalanceDecision::Covered(100));
    checked(&store).await;
}

pub(crate) async fn a_budget_sees_the_entries_of_the_transaction(store: Arc<dyn Store>) {
    define(&store, 1, vec![budget(BudgetScope::Customer)], NOON).await;
    let stored = held(used("s", 60, NOON), None);
    append(&store, stored.clone(), NOON).await;
    let own = [
        used("u", 10, NOON),
        NewEntry { id: "own-hold".into(), ..held(credit("h", EntryKind::Drawdown, 20, NOON), None) },
        ended(&stored, Some(25), NOON),
    ];
    let question = asked(&used("n", 100, NOON), false);
    for (after, used, held) in [(0, 0, 60), (1, 10, 60), (2, 10, 80), (3, 35, 20)] {
        let answer = store.decide(&question, &mut own[..after].iter().cloned().collect(), NOON).await;
        assert_eq!(answer, Ok(BalanceDecision::OverBudget { limit: 100, used, held, needed: 100 }), "{after}");
    }
    let voided = ended(&own[1], None, NOON);
    let all = [own.as_slice(), &[voided]].concat();
    let mut one_by_one = OwnEntries::default();
    for (after, entry) in all.iter().enumerate() {
        one_by_one.push(Arc::new(entry.clone()));
        let answer = store.decide(&question, &mut one_by_one, NOON).await;
        let at_once = store.decide(&question, &mut all[..=after].iter().cloned().collect(), NOON).await;
        assert_eq!(answer, at_once, "after {after} entries");
    }
    let answer = store.decide(&question, &mut all.iter().cloned().collect(), NOON).await;
    assert_eq!(answer, Ok(BalanceDecision::OverBudget { limit: 100, used: 35, held: 0, needed: 100 }));
}

pub(crate) async fn concurrent_drawers_never_exceed_a_budget(store: Arc<dyn Store>) {
    define(&store, 1, vec![budget(BudgetScope::Deployment)], NOON).await;
    let me = owner(&store).await;
    let mut done = 0;
    let draws = (0..12).map(|number: u32| {
        let (store, me) = (&store, &me);
        async move {
            let run = claimed_run(store, me, "a").await;
            let entry = used(&format!("d{number}"), 15, NOON);
            let mut commit = success(me, &run);
            // All were decided while nothing was used.
            let check = BalanceCheck { after: 0, question: asked(&entry, false), covered: Some(15) };
            (commit.reads, commit.now) = (vec![ReadCheck::Balance(Box::new(check))], NOON);
            let held = held(entry, None);
            commit.postings = vec![NewEntry { id: format!("{}-{number}", run.id), run: Some(run.id), ..held }];
            matches!(store.commit_run(commit).await.expect("no error"), RunCommitResult::Done(_))
        }
    });
    for committed in join_all(draws).await {
        done += u32::from(committed);
    }
    assert_eq!(done, 6, "six times 15 of 100");
    assert_eq!(lines(&store, None, NOON).await[0].counter, Some(BudgetCounter { used: 0, held: 90 }));
    checked(&store).await;
}

pub(crate) async fn usage_beyond_a_budget_is_a_finding_until_it_fits(store: Arc<dyn Store>) {
    define(&store, 1, vec![budget(BudgetScope::Customer)], NOON).await;
    append(&store, used("u1", 100, NOON), NOON).await;
    assert_eq!(findings(&store).await, []);
    append(&store, used("u2", 7, NOON), NOON).await;
    let day = NOON.as_millis() / DAY * DAY;
    let subject = format!("cap/{}/c", Timestamp::from_millis(day));
    assert_eq!(findings(&store).await, [(subject.clone(), Some(7))]);
    append(&store, credit("r1", EntryKind::UsageReversal, 3, NOON), NOON).await;
    assert_eq!(findings(&store).await, [(subject.clone(), Some(4))]);
    // A limit of the customer's own counts, and so does its end.
    let limit = |cents| BudgetLimit { limit: cents, set_at: NOON };
    let cap: BudgetName = "cap".parse().expect("a name");
    let set = async |limit| store.set_budget_limit(&name("a"), &cap, "c", limit, later(1)).await.expect("a limit");
    let tick = async || store.update_due_findings(later(9), 100).await.expect("a tick").0.next;
    set(Some(limit(104))).await;
    assert_eq!((tick().await, findings(&store).await), (None, vec![]));
    assert!(lines(&store, Some("c"), NOON).await[0].own_limit);
    set(None).await;
    append(&store, of_customer(used("u3", 1, NOON), "d"), NOON).await;
    assert_eq!(findings(&store).await, [], "an entry of another customer");
    append(&store, used("u4", 1, NOON), NOON).await;
    assert_eq!(findings(&store).await, [(subject, Some(5))]);
    define(&store, 2, vec![NewBudget { limit: 105, ..budget(BudgetScope::Customer) }], later(2)).await;
    assert_eq!((tick().await, findings(&store).await), (None, vec![]));
    assert_eq!(counter(&store, NOON).await, (105, 0), "another limit keeps what was counted");
    checked(&store).await;
}

pub(crate) async fn a_budget_that_changes_more_than_its_limit_counts_from_nothing(store: Arc<dyn Store>) {
    define(&store, 1, vec![budget(BudgetScope::Customer)], NOON).await;
    let before = held(used("h", 60, NOON), None);
    append(&store, before.clone(), NOON).await;
    append(&store, used("u", 90, NOON), NOON).await;
    let limit = BudgetLimit { limit: 5, set_at: NOON };
    let cap: BudgetName = "cap".parse().expect("a name");
    store.set_budget_limit(&name("a"), &cap, "c", Some(limit), NOON).await.expect("a limit");
    assert_eq!(findings(&store).await.len(), 1);
    let weekly = NewBudget { period: BudgetPeriod::Week, ..budget(BudgetScope::Customer) };
    define(&store, 2, vec![weekly.clone()], later(1)).await;
    assert_eq!(decide(&store, &used("n", 100, NOON), later(1)).await, BalanceDecision::Covered(100));
    // What was reserved before does not count when it ends, either.
    append(&store, ended(&before, Some(60), later(2)), later(2)).await;
    assert_eq!(counter(&store, NOON).await, (0, 0));
    append(&store, used("v", 20, NOON), later(2)).await;
    assert_eq!(counter(&store, NOON).await, (20, 0));
    assert_eq!(store.update_due_findings(later(9), 100).await.expect("a tick").0.next, None);
    assert_eq!(findings(&store).await, []);
    checked(&store).await;
    define(&store, 3, vec![], later(3)).await;
    assert_eq!(decide(&store, &used("n", 900, NOON), later(3)).await, BalanceDecision::Covered(900));
    assert_eq!(lines(&store, None, NOON).await, []);
    append(&store, used("w", 900, NOON), later(3)).await;
    define(&store, 4, vec![weekly], later(4)).await;
    assert_eq!(counter(&store, NOON).await, (0, 0));
    checked(&store).await;
    store.delete_deployment(&name("a"), later(5)).await.expect("a deletion");
    define(&store, 5, vec![budget(BudgetScope::Customer)], later(6)).await;
    append(&store, used("x", 1, NOON), later(6)).await;
    assert_eq!(counter(&store, NOON).await, (1, 0));
    checked(&store).await;
}

pub(crate) async fn budgets_are_listed_with_their_customers(store: Arc<dyn Store>) {
    let each = budget(BudgetScope::Customer);
    let whole = NewBudget { name: "whole".parse().expect("a name"), limit: 500, ..budget(BudgetScope::Deployment) };
    define(&store, 1, vec![whole, each], NOON).await;
    for (number, customer) in ["c", "d\0x", ""].into_iter().enumerate() {
        append(&store, of_customer(used(&number.to_string(), 10, NOON), customer), NOON).await;
    }
    let limit = BudgetLimit { limit: 5, set_at: NOON };
    let (of, cap): (_, BudgetName) = (name("a"), "cap".parse().expect("a name"));
    store.set_budget_limit(&of, &cap, "ca", Some(limit.clone()), NOON).await.expect("a limit");
    let whole: BudgetName = "whole".parse().expect("a name");
    let refused = store.set_budget_limit(&of, &whole, "c", Some(limit), NOON).await;
    assert!(refused.is_err(), "{refused:?}");
    let shown = |line: &BudgetLine| {
        (
            line.budget.name.as_str().to_owned(),
            line.customer.clone(),
            line.limit,
            line.counter.map(|counter| counter.used),
        )
    };
    let row =
        |name: &str, customer: Option<&str>, limit, used| (name.to_owned(), customer.map(str::to_owned), limit, used);
    let all = [
        row("cap", None, 100, None),
        row("cap", Some(""), 100, Some(10)),
        row("cap", Some("c"), 100, Some(10)),
        row("cap", Some("ca"), 5, Some(0)),
        row("cap", Some("d\0x"), 100, Some(10)),
        row("whole", None, 500, Some(30)),
    ];
    let (mut found, mut page) = (Vec::new(), PageRequest::first(2));
    loop {
        let next = store.budget_lines(&BudgetFilter::default(), page.clone(), NOON).await.expect("a page");
        assert!(next.items.len() <= 2);
        found.extend(next.items.iter().map(shown));
        match next.next {
            Some(cursor) => page.cursor = Some(cursor),
            None => break,
        }
    }
    assert_eq!(found, all);
    let of_c: Vec<_> = lines(&store, Some("ca"), NOON).await.iter().map(shown).collect();
    assert_eq!(of_c, [row("cap", Some("ca"), 5, Some(0))]);
    let tomorrow = lines(&store, None, NOON.plus_millis(DAY)).await;
    assert_eq!(
        tomorrow.iter().map(shown).collect::<Vec<_>>(),
        [row("cap", None, 100, None), row("cap", Some("ca"), 5, Some(0)), row("whole", None, 500, Some(0)),]
    );
}
