//! The ledger and its streams. Amounts are integers of the currency's minor unit.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tidemill_core::RunId;
#[cfg(feature = "schema")]
use utoipa::ToSchema;

use crate::{StoredJson, Time};

/// An immutable entry of the ledger.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct LedgerEntry<'a> {
    /// The id of the entry.
    pub id: Cow<'a, str>,
    /// The stream of the entry.
    pub stream: Cow<'a, str>,
    /// The run that posted the entry; left out if the host or a person did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub run: Option<RunId>,
    /// The provider's own id; unique in the stream.
    pub external_id: Cow<'a, str>,
    /// The kind of entry: `sale`, `usage`, `refund`, ….
    pub kind: Cow<'a, str>,
    /// The amount, in minor units.
    pub minor_units: i64,
    /// The currency: ISO 4217, or a unit that the operator declared.
    pub currency: Cow<'a, str>,
    /// The change of net revenue, in minor units.
    pub net_revenue: i64,
    /// When the sale, the refund or the like happened.
    pub occurred_at: Time,
    /// When the entry was committed.
    pub posted_at: Time,
    /// The customer, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<Cow<'a, str>>,
    /// A description for people.
    pub description: Cow<'a, str>,
    /// Additional data from the guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<serde_json::Value>))]
    pub metadata: Option<StoredJson<'a>>,
    /// The two legs of the entry, which sum to zero.
    pub legs: Vec<LedgerLeg<'a>>,
}

/// One leg of an entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct LedgerLeg<'a> {
    /// The account within the stream.
    pub account: Cow<'a, str>,
    /// The amount added to the account; negative for the account that gives.
    pub minor_units: i64,
}

/// The balance of one account in one currency.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Account<'a> {
    /// The stream.
    pub stream: Cow<'a, str>,
    /// The account.
    pub account: Cow<'a, str>,
    /// The currency.
    pub currency: Cow<'a, str>,
    /// The sum of the account's legs, in minor units.
    #[cfg_attr(feature = "schema", schema(value_type = i64))]
    pub minor_units: i128,
}

/// The revenue of a stream in one currency.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Total {
    /// The currency.
    pub currency: String,
    /// Net revenue, in minor units.
    #[cfg_attr(feature = "schema", schema(value_type = i64))]
    pub net_revenue: i128,
    /// Number of entries in the sum.
    pub entries: u64,
}

/// The revenue of a stream within a time range.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Revenue<'a> {
    /// The stream.
    pub stream: Cow<'a, str>,
    /// The start of the range, inclusive.
    pub start: Time,
    /// The end of the range, exclusive.
    pub end: Time,
    /// One total per currency, summed from the entries.
    pub totals: Vec<Total>,
}

/// The result of recomputing the ledger.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct LedgerCheck<'a> {
    /// Whether every total equals the sum of its entries.
    pub good: bool,
    /// Number of entries read.
    pub entries: u64,
    /// Number of totals compared.
    pub totals: u64,
    /// Descriptions of the differences; at most 100.
    pub problems: Cow<'a, [String]>,
}

/// A deployment whose component exports `revenue-stream`, or that has earned before.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Stream {
    /// The deployment. If it was deleted, its entries remain.
    pub name: String,
    /// Whether the deployment exists now.
    pub deployed: bool,
    /// The time up to which revenue was collected; left out before the first success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collected_until: Option<Time>,
    /// The revenue, per currency.
    pub totals: Vec<Total>,
}
