//! Entries, accounts and totals as they are sent. Amounts are integers of the currency's minor unit.

use serde::Serialize;
use tidemill_core::RunId;
use tidemill_store::records::{AccountTotal, LedgerCheck, LedgerEntry, LedgerLeg, StreamTotal};
use utoipa::ToSchema;

use crate::wire::{StoredJson, TimeJson, stored_json};

/// An entry as the ledger wrote it; immutable.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerEntry)]
pub struct LedgerEntryJson<'a> {
    /// Its id.
    id: &'a str,
    /// The stream that it belongs to.
    stream: &'a str,
    /// The run that posted it.
    #[schema(value_type = String)]
    run: RunId,
    /// The provider's own id; unique in the stream.
    external_id: &'a str,
    /// What it was: `sale`, `usage`, `refund`, ….
    kind: &'a str,
    /// Its size, in minor units.
    minor_units: i64,
    /// ISO 4217, or a unit that the operator declared.
    currency: &'a str,
    /// What it adds to net revenue, in minor units.
    net_revenue: i64,
    /// When it happened.
    occurred_at: TimeJson,
    /// When it was committed.
    posted_at: TimeJson,
    /// The customer, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<&'a str>,
    /// For people.
    description: &'a str,
    /// Whatever the guest said besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    metadata: Option<StoredJson<'a>>,
    /// Its two legs, which sum to zero.
    legs: Vec<LegJson<'a>>,
}

/// One side of a posting.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerLeg)]
pub struct LegJson<'a> {
    /// The account within the stream.
    account: &'a str,
    /// What it gets; negative where it gives.
    minor_units: i64,
}

/// The balance of one account in one currency.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Account)]
pub struct AccountJson<'a> {
    /// The stream.
    stream: &'a str,
    /// The account.
    account: &'a str,
    /// The currency.
    currency: &'a str,
    /// The sum of its legs, in minor units.
    #[schema(value_type = i64)]
    minor_units: i128,
}

/// What a stream earned in one currency.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Total)]
pub struct TotalJson {
    /// The currency.
    currency: String,
    /// Net revenue, in minor units.
    #[schema(value_type = i64)]
    net_revenue: i128,
    /// The entries that it sums.
    entries: u64,
}

/// What a stream earned within a range of time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Revenue)]
pub struct RevenueJson<'a> {
    /// The stream.
    pub stream: &'a str,
    /// From this time on,
    pub start: TimeJson,
    /// and before this one.
    pub end: TimeJson,
    /// Per currency, summed from the entries.
    pub totals: Vec<TotalJson>,
}

/// What recomputing the ledger found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerCheck)]
pub struct CheckJson<'a> {
    /// Whether every total is what its entries sum to.
    good: bool,
    /// Entries read.
    entries: u64,
    /// Totals compared.
    totals: u64,
    /// Every difference, in words; at most 100.
    problems: &'a [String],
}

impl<'a> LedgerEntryJson<'a> {
    /// The entry as it is sent.
    #[must_use]
    pub fn of(entry: &'a LedgerEntry) -> Self {
        Self {
            id: &entry.id,
            stream: entry.stream.as_str(),
            run: entry.run,
            external_id: &entry.external_id,
            kind: &entry.kind,
            minor_units: entry.minor_units,
            currency: &entry.currency,
            net_revenue: entry.net_revenue,
            occurred_at: entry.occurred_at.into(),
            posted_at: entry.posted_at.into(),
            customer: entry.customer.as_deref(),
            description: &entry.description,
            metadata: Some(stored_json(entry.metadata.as_bytes())),
            legs: entry.legs.iter().map(LegJson::of).collect(),
        }
    }
}

impl<'a> LegJson<'a> {
    fn of(leg: &'a LedgerLeg) -> Self {
        Self { account: &leg.account, minor_units: leg.minor_units }
    }
}

impl<'a> AccountJson<'a> {
    /// The balance as it is sent.
    #[must_use]
    pub fn of(total: &'a AccountTotal) -> Self {
        Self {
            stream: total.stream.as_str(),
            account: &total.account,
            currency: &total.currency,
            minor_units: total.minor_units,
        }
    }
}

impl TotalJson {
    /// The total as it is sent.
    #[must_use]
    pub fn of(total: &StreamTotal) -> Self {
        Self { currency: total.currency.clone(), net_revenue: total.net_revenue, entries: total.entries }
    }
}

impl<'a> CheckJson<'a> {
    /// The finding as it is sent.
    #[must_use]
    pub fn of(check: &'a LedgerCheck) -> Self {
        Self {
            good: check.problems.is_empty(),
            entries: check.entries,
            totals: check.totals,
            problems: &check.problems,
        }
    }
}
