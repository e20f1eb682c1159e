//! The wire form of entries, accounts and totals. Amounts are integers of the currency's minor
//! unit.

use serde::Serialize;
use tidemill_core::RunId;
use tidemill_store::records::{AccountTotal, LedgerCheck, LedgerEntry, LedgerLeg, StreamTotal};
use utoipa::ToSchema;

use crate::wire::{StoredJson, TimeJson, stored_json};

/// An immutable entry of the ledger.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerEntry)]
pub struct LedgerEntryJson<'a> {
    /// The id of the entry.
    id: &'a str,
    /// The stream of the entry.
    stream: &'a str,
    /// The run that posted the entry.
    #[schema(value_type = String)]
    run: RunId,
    /// The provider's own id; unique in the stream.
    external_id: &'a str,
    /// The kind of entry: `sale`, `usage`, `refund`, ….
    kind: &'a str,
    /// The amount, in minor units.
    minor_units: i64,
    /// The currency: ISO 4217, or a unit that the operator declared.
    currency: &'a str,
    /// The change of net revenue, in minor units.
    net_revenue: i64,
    /// When the sale, the refund or the like happened.
    occurred_at: TimeJson,
    /// When the entry was committed.
    posted_at: TimeJson,
    /// The customer, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<&'a str>,
    /// A description for people.
    description: &'a str,
    /// Additional data from the guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    metadata: Option<StoredJson<'a>>,
    /// The two legs of the entry, which sum to zero.
    legs: Vec<LegJson<'a>>,
}

/// One leg of an entry.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerLeg)]
pub struct LegJson<'a> {
    /// The account within the stream.
    account: &'a str,
    /// The amount added to the account; negative for the account that gives.
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
    /// The sum of the account's legs, in minor units.
    #[schema(value_type = i64)]
    minor_units: i128,
}

/// The revenue of a stream in one currency.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Total)]
pub struct TotalJson {
    /// The currency.
    currency: String,
    /// Net revenue, in minor units.
    #[schema(value_type = i64)]
    net_revenue: i128,
    /// Number of entries in the sum.
    entries: u64,
}

/// The revenue of a stream within a time range.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Revenue)]
pub struct RevenueJson<'a> {
    /// The stream.
    pub stream: &'a str,
    /// The start of the range, inclusive.
    pub start: TimeJson,
    /// The end of the range, exclusive.
    pub end: TimeJson,
    /// One total per currency, summed from the entries.
    pub totals: Vec<TotalJson>,
}

/// The result of recomputing the ledger.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerCheck)]
pub struct CheckJson<'a> {
    /// Whether every total equals the sum of its entries.
    good: bool,
    /// Number of entries read.
    entries: u64,
    /// Number of totals compared.
    totals: u64,
    /// Descriptions of the differences; at most 100.
    problems: &'a [String],
}

impl<'a> LedgerEntryJson<'a> {
    /// Builds the wire form of an entry.
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
    /// Builds the wire form of a balance.
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
    /// Builds the wire form of a total.
    #[must_use]
    pub fn of(total: &StreamTotal) -> Self {
        Self { currency: total.currency.clone(), net_revenue: total.net_revenue, entries: total.entries }
    }
}

impl<'a> CheckJson<'a> {
    /// Builds the wire form of a check's result.
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
