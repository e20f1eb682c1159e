//! Golden bytes of the records of budgets and customers' accounts.

use std::collections::BTreeMap;

use tidemill_core::Fuel;
use tidemill_core::budget::{BudgetCounter, BudgetPeriod, BudgetScope, BudgetUnit, OverBudget};
use tidemill_core::money::balance::{
    AccountSums, CreditGrant, CreditHold, CreditUse, GrantKind, GrantPart, PartSource,
};
use tidemill_core::money::{EntryCall, EntryKind, Leg, net_revenue};

use super::records::Rows;
use super::{at, delivery, run};
use crate::embedded::budgets::fuel::{FuelCounter, FuelHold, FuelRun};
use crate::embedded::ledger::credit::account::CreditAccountRecord;
use crate::embedded::ledger::credit::keys;
use crate::embedded::ledger::credit::past::{self, CheckpointRecord};
use crate::embedded::ledger::customers::PostedDifference;
use crate::embedded::ledger::evidence::{self, EvidenceRecord, KeptJournal};
use crate::embedded::ledger::findings::due_change::DueChange;
use crate::embedded::ledger::findings::floors::FloorRecord;
use crate::embedded::ledger::fuel;
use crate::embedded::tables::{
    BUDGET_COUNTERS, BUDGET_LIMITS, BUDGETS, CREDIT_ACCOUNTS, CREDIT_CHECKPOINTS, CREDIT_FLOORS, CREDIT_GRANTS,
    CREDIT_USES, FUEL_RUNS, LEDGER_CUSTOMERS_POSTED, LEDGER_EVIDENCE, LEDGER_FINDING_SUMS, LEDGER_FINDINGS,
    LEDGER_FUEL,
};
use crate::embedded::tx::{ReadTx as _, WriteTx};
use crate::embedded::{EmbeddedStore, fixture};
use crate::records::{
    AppendedEntry, Budget, BudgetLimit, CustomerAccount, CustomerFloor, Evidence, FuelSum, LedgerLeg, NewBudget,
    NewEntry,
};
use crate::traits::{BalanceStore as _, LedgerStore as _};

/// A budget of 100.00 EUR a month of each customer.
pub(super) fn new_budget() -> NewBudget {
    NewBudget {
        name: "cap".parse().unwrap(),
        unit: BudgetUnit::Currency("EUR".to_owned()),
        limit: 10_000,
        scope: BudgetScope::Customer,
        period: BudgetPeriod::Month,
        time_zone: "Europe/Berlin".to_owned(),
        over: OverBudget::Wait,
    }
}

/// A budget of 2,000 units of fuel a day of each customer.
pub(super) fn new_fuel_budget() -> NewBudget {
    NewBudget {
        name: "work".parse().unwrap(),
        unit: BudgetUnit::Fuel,
        limit: 2_000,
        period: BudgetPeriod::Day,
        time_zone: "UTC".to_owned(),
        ..new_budget()
    }
}

fn budgets(rows: &mut Rows) {
    let NewBudget { name, unit, limit, time_zone, .. } = new_budget();
    for (scope_name, scope) in BudgetScope::NAMES {
        for (period_name, period) in BudgetPeriod::NAMES {
            let budget = Budget {
                deployment: "shop".parse().unwrap(),
                name: name.clone(),
                number: 3,
                unit: unit.clone(),
                limit,
                scope: *scope,
                period: *period,
                time_zone: time_zone.clone(),
                since: 7,
                over: OverBudget::Wait,
            };
            rows.add(BUDGETS, &format!("{scope_name}, {period_name}"), &budget);
        }
    }
    let fuel = Budget {
        deployment: "shop".parse().unwrap(),
        name: "work".parse().unwrap(),
        number: 3,
        unit: BudgetUnit::Fuel,
        limit: 5_000_000,
        scope: BudgetScope::Deployment,
        period: BudgetPeriod::Day,
        time_zone: "UTC".to_owned(),
        since: 7,
        over: OverBudget::Refuse,
    };
    rows.add(BUDGETS, "fuel", &fuel);
    let counter = FuelCounter { budget: "work".to_owned(), number: 3, start: at(0), customer: "c-1".to_owned() };
    let holds = vec![FuelHold { counter: counter.clone(), amount: 1_100, used_before: 7 }];
    let (customer, key) = ("c-1".to_owned(), vec![1, 2, 3]);
    rows.add(FUEL_RUNS, "holds", &FuelRun { customer: customer.clone(), holds, waits: None });
    rows.add(FUEL_RUNS, "waits", &FuelRun { customer, holds: vec![], waits: Some((counter, key)) });
    rows.add(BUDGET_COUNTERS, "counter", &BudgetCounter { used: -5, held: 1 << 70 });
    rows.add(BUDGET_LIMITS, "limit", &BudgetLimit { limit: 500, set_at: at(1) });
    for (place, after) in [("start", None), ("part", Some(vec![2, 10]))] {
        let change =
            DueChange::Budget { paper: true, stream: "shop".parse().unwrap(), budget: "cap".to_owned(), after };
        rows.add(LEDGER_FINDINGS, &format!("budget, {place}"), &change);
    }
    rows.add(LEDGER_FINDINGS, "waiting runs", &DueChange::FuelWaits { start: vec![1, 2], end: vec![1, 3] });
}

pub(super) fn credit(rows: &mut Rows) {
    budgets(rows);
    let sums = AccountSums { debt: 50, held: 400 };
    rows.add(CREDIT_ACCOUNTS, "account", &CreditAccountRecord { number: 7, until_checkpoint: 9, sums });
    for (name, kind) in [("promotion", GrantKind::Promotion), ("prepayment", GrantKind::Prepayment)] {
        let grant = CreditGrant {
            id: "grant-1".to_owned(),
            kind,
            priority: 50,
            starts_at: at(1),
            expires_at: Some(at(2)),
            closes_at: Some(at(3)),
            sequence: 7,
            granted: 1_000,
            left: 600,
            held: 400,
        };
        rows.add(CREDIT_GRANTS, name, &grant);
    }
    let debt_of = GrantPart { source: PartSource::DebtOf("draw-1".to_owned()), minor_units: 1 };
    let used = CreditUse {
        id: "hold-1".to_owned(),
        sequence: 8,
        occurred_at: at(1),
        hold: Some(CreditHold { expires_at: Some(at(4)) }),
        parts: vec![GrantPart::of_grant("grant-1", 400), GrantPart::debt(50), debt_of],
    };
    rows.add(CREDIT_USES, "held", &used);
    let grants = BTreeMap::from([("grant-1".to_owned(), (600, 400))]);
    let checkpoint = CheckpointRecord { grants, holds: vec![used.clone()], sums };
    rows.add(CREDIT_CHECKPOINTS, "checkpoint", &checkpoint);
    rows.add(CREDIT_USES, "used", &CreditUse { hold: None, ..used });
    rows.add(LEDGER_FINDING_SUMS, "floor", &FloorRecord { floor: -500, paper: true, sequence: 8 });
    rows.add(LEDGER_FINDINGS, "due floor", &DueChange::Floor { account: b"shop\0EUR\0c-1".to_vec() });
    rows.add(LEDGER_FUEL, "fuel", &FuelSum { fuel: 1 << 70, runs: 3 });
    rows.add(LEDGER_CUSTOMERS_POSTED, "difference", &PostedDifference { entries: -1, net_revenue: -1_999 });
    let journal = Some(KeptJournal { deployment: "shop".parse().unwrap(), chunks: 2 });
    rows.add(LEDGER_EVIDENCE, "kept", &EvidenceRecord { until: at(9), journal });
    rows.add(CREDIT_FLOORS, "floor", &CustomerFloor { minor_units: -500, set_at: at(1) });
}

/// Posts entries of a customer with a grant that expires, a hold, a debt and a floor, a reserved
/// refund, and a sale of another month; and rows that long accounts, ended runs and retention
/// leave.
pub(super) async fn post(store: &EmbeddedStore) {
    let entry = |id: &str, kind: EntryKind, minor_units: i64| {
        let legs = kind.legs(minor_units).unwrap();
        let leg = |leg: Leg| LedgerLeg { account: leg.account.as_str().to_owned(), minor_units: leg.minor_units };
        NewEntry {
            external_id: id.to_owned(),
            kind: kind.as_str().to_owned(),
            minor_units,
            net_revenue: net_revenue(legs),
            occurred_at: at(2),
            customer: Some("c-1".to_owned()),
            legs: legs.into_iter().map(leg).collect(),
            ..fixture::new_entry()
        }
    };
    let reserved = |made: NewEntry| NewEntry {
        id: made.external_id.clone(),
        call: EntryCall::Reserve,
        net_revenue: 0,
        pending: made.legs.clone(),
        legs: vec![],
        expires_at: Some(at(1_000_000)),
        ..made
    };
    let metadata = format!("{{\"grant\":{{\"expires_at\":{}}}}}", at(1_000_000).as_millis());
    let entries = vec![
        NewEntry { metadata, ..entry("gift", EntryKind::Promotion, 500) },
        reserved(entry("hold-2", EntryKind::Drawdown, 100)),
        entry("draw-1", EntryKind::Drawdown, 450),
        NewEntry { customer: None, ..reserved(entry("refund-2", EntryKind::Refund, 5)) },
        NewEntry {
            customer: Some("c-2".to_owned()),
            metadata: format!("{{\"grant\":{{\"expires_at\":{}}}}}", at(9).as_millis()),
            late_usage_millis: 1_000_000,
            ..entry("paid", EntryKind::Prepayment, 7)
        },
    ];
    store.append_entries(entries, at(8)).await.unwrap();
    let account =
        CustomerAccount { stream: fixture::new_entry().stream, currency: "EUR".to_owned(), customer: "c-1".to_owned() };
    let floor = CustomerFloor { minor_units: -500, set_at: at(32) };
    store.set_customer_floor(account, Some(floor), at(32)).await.unwrap();
    let month = 31 * 24 * 3_600_000;
    let sale = NewEntry { occurred_at: at(2).plus_millis(month), ..entry("sale-9", EntryKind::Sale, 9) };
    let sale = store.append_entries(vec![sale], at(33)).await.unwrap().remove(0);
    let AppendedEntry::New(sale) = sale else { panic!("it is new") };
    let first: CreditAccountRecord =
        store.latest().record(CREDIT_ACCOUNTS, &keys::account(&sale.stream, "EUR", "c-1")).unwrap().unwrap();
    let evidence =
        Evidence { responses: vec![[7; 32]], delivery: Some(delivery(1).to_string()), ..Evidence::default() };
    let posted = NewEntry { evidence, ..fixture::new_entry() };
    let rows = move |c: &mut WriteTx<'_, '_>| {
        past::write(c, first.number, sale.sequence)?;
        fuel::add(c, &sale.stream, Fuel::new(123), at(34))?;
        evidence::note(c, run(90), std::slice::from_ref(&posted), at(40))?;
        evidence::keep_journal(c, run(90), &"shop".parse().unwrap(), 2)
    };
    assert!(store.commit(rows).await.unwrap());
}
