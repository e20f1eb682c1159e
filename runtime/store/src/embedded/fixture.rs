//! Requests for runs, entries of the ledger and budgets, for the tests of this folder.

use bytes::Bytes;
use tidemill_core::budget::{BudgetPeriod, BudgetScope, BudgetUnit, OverBudget};
use tidemill_core::money::{ContentHash, EntryCall, EntryKind};
use tidemill_core::run::{Export, Seed, Trigger};
use tidemill_core::{ComponentDigest, Revision, RunId, Timestamp};

use crate::records::{Budget, CustomerAccount, Evidence, LedgerLeg, NewEntry, NewRun};

/// A request for a run.
pub(crate) fn new_run() -> NewRun {
    NewRun {
        id: RunId::new(Timestamp::default(), 1),
        deployment: "a".parse().unwrap(),
        revision: Revision::new(1),
        component: ComponentDigest::of(b"component"),
        export: Export::Workflow,
        trigger: Trigger::default(),
        input: Bytes::new(),
        key: None,
        labels: vec![],
        priority: 5,
        now: Timestamp::default(),
        not_before: Timestamp::default(),
        seed: Seed([0; 32]),
        detached: false,
        lanes: vec![],
        terms: crate::records::AdmissionTerms::default(),
    }
}

/// A sale of 19.99 EUR of no run.
pub(crate) fn new_entry() -> NewEntry {
    let leg = |account: &str, minor_units| LedgerLeg { account: account.to_owned(), minor_units };
    NewEntry {
        id: String::new(),
        stream: "shop".parse().unwrap(),
        run: None,
        external_id: "sale-1".to_owned(),
        call: EntryCall::Post,
        kind: "sale".to_owned(),
        minor_units: 1_999,
        currency: "EUR".to_owned(),
        exponent: Some(2),
        net_revenue: 1_999,
        occurred_at: Timestamp::from_millis(1_700_000_000_001),
        customer: None,
        description: "a book".to_owned(),
        metadata: "{\"isbn\":1}".to_owned(),
        of: None,
        legs: vec![leg("sales", -1_999), leg("receivable", 1_999)],
        pending: vec![],
        reservation: None,
        expires_at: None,
        evidence: Evidence::default(),
        paper: false,
        late_usage_millis: 0,
        customer_floor: None,
        content: ContentHash::default(),
    }
}

/// An entry of a kind for the customer `c`.
pub(crate) fn customer_entry(id: &str, kind: EntryKind, cents: i64, occurred_at: Timestamp) -> NewEntry {
    NewEntry {
        external_id: id.to_owned(),
        kind: kind.as_str().to_owned(),
        minor_units: cents,
        net_revenue: 0,
        legs: kind.legs(cents).unwrap().map(LedgerLeg::from).to_vec(),
        customer: Some("c".to_owned()),
        metadata: "{}".to_owned(),
        occurred_at,
        ..new_entry()
    }
}

/// The account of the customer of [`customer_entry`].
pub(crate) fn customer_account() -> CustomerAccount {
    CustomerAccount { stream: new_entry().stream, currency: "EUR".to_owned(), customer: "c".to_owned() }
}

/// A budget of 100.00 EUR a day of each customer.
pub(crate) fn budget(deployment: &str, name: &str) -> Budget {
    Budget {
        deployment: deployment.parse().unwrap(),
        name: name.parse().unwrap(),
        number: 1,
        unit: BudgetUnit::Currency("EUR".to_owned()),
        limit: 10_000,
        scope: BudgetScope::Customer,
        period: BudgetPeriod::Day,
        time_zone: "UTC".to_owned(),
        since: 0,
        over: OverBudget::Wait,
    }
}
