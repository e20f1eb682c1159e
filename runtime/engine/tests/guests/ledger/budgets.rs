//! Budgets: what `draw` and `reserve` may take in a period.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemill_core::budget::{BudgetPeriod, BudgetScope, BudgetSpec, BudgetUnit, OverBudget};
use tidemill_core::manifest::Grants;
use tidemill_core::zones::Zone;
use tidemill_store::records::{FloorAccount, NewBudget, PutDeployment, ReadCheck};

use crate::support::{Job, START, TestHost};

/// A deployment with a budget of 1.00 EUR a day of each customer.
async fn stream(host: &TestHost) -> Job<'_> {
    let mut job = host.hostile().await.grant(Grants { ledger: true, ..Grants::default() });
    let ended = job.run(json!({ "do": "post", "external_id": "first", "amount": 1 })).await;
    host.commit(&job, ended).await;
    let (scope, period) = (BudgetScope::Customer, BudgetPeriod::Day);
    let spec = BudgetSpec {
        name: "cap".parse().unwrap(),
        unit: BudgetUnit::Currency("EUR".to_owned()),
        limit: "1.00".to_owned(),
        scope,
        period,
        time_zone: Zone::utc(),
        over: OverBudget::Wait,
    };
    let budget = NewBudget {
        name: spec.name.clone(),
        unit: spec.unit.clone(),
        limit: 100,
        scope,
        period,
        time_zone: "UTC".to_owned(),
        over: OverBudget::Wait,
    };
    let put = PutDeployment {
        name: job.context.deployment.clone(),
        expected: None,
        component: job.context.component,
        manifest: "{\"n\":1}".into(),
        schedules: Vec::new(),
        subscriptions: Vec::new(),
        budgets: vec![budget],
        incident: None,
        now: START,
    };
    host.store.put_deployment(put).await.unwrap();
    job.context.budgets = Some(Arc::new([spec]));
    job
}

fn all(acts: &[Value]) -> Value {
    json!({ "do": "all", "acts": acts })
}

fn usage(id: &str, amount: i64, reserve: bool) -> Value {
    json!({ "do": "post", "external_id": id, "amount": amount, "kind": "usage", "customer": "c", "reserve": reserve })
}

fn draw(id: &str, amount: i64, up_to: bool) -> Value {
    json!({ "do": "draw", "external_id": id, "amount": amount, "customer": "c", "up_to": up_to })
}

#[tokio::test]
async fn what_exceeds_a_budget_is_refused_with_its_numbers() {
    let host = TestHost::new();
    let job = stream(&host).await;
    let credit = json!({ "do": "post", "external_id": "A", "amount": 1_000, "kind": "prepayment", "customer": "c" });
    let acts = [credit, draw("d", 60, false), usage("h", 15, true)];
    let (failure, _) = job.failure(all(&[&acts[..], &[usage("i", 26, true)]].concat())).await;
    assert_eq!((failure.code.as_str(), failure.retryable), ("host/budget-exceeded", true));
    assert_eq!(
        failure.message,
        "`i` needs 0.26 EUR, but of the 1.00 EUR of budget `cap` 0.60 EUR is used and 0.15 EUR held in this period"
    );
    let details: Value = serde_json::from_str(&failure.details.unwrap()).unwrap();
    let expected =
        json!({ "budget": "cap", "limit": "100", "used": "60", "held": "15", "needed": "26", "currency": "EUR" });
    assert_eq!(details, expected);
    // A partial draw takes what the account and the budget leave.
    let ended = job.run(all(&[&acts[..], &[draw("e", 500, true)]].concat())).await;
    let last = ended.all.effects.postings.last().unwrap();
    assert_eq!((last.external_id.as_str(), last.minor_units), ("e", 25));
    let budgets = |read: &&ReadCheck| matches!(read, ReadCheck::Balance(check) if matches!(check.question.account, FloorAccount::Budget { .. }));
    assert_eq!(ended.all.effects.reads.iter().filter(budgets).count(), 3);
}

#[tokio::test]
async fn what_is_posted_and_what_no_budget_counts_is_not_asked() {
    let host = TestHost::new();
    let job = stream(&host).await;
    assert_eq!(job.output(usage("u", 500, false)).await["duplicate"], false);
    let sale = json!({ "do": "post", "external_id": "s", "amount": 500, "customer": "c", "reserve": true });
    assert_eq!(job.output(sale).await["duplicate"], false);
    let yen = json!({ "do": "post", "external_id": "y", "amount": 500, "kind": "usage", "currency": "JPY",
        "customer": "c", "reserve": true });
    assert_eq!(job.output(yen).await["duplicate"], false);
}
