//! The ledger and its streams. Amounts are integers of the currency's minor unit; next to them is
//! the decimal text in the currency's own unit.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tidemill_core::RunId;
#[cfg(feature = "schema")]
use utoipa::ToSchema;

use crate::{FindingCount, RevenueTotal, StoredJson, Time};

/// An immutable entry of the ledger.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct LedgerEntry<'a> {
    /// The number of the entry; dense over the whole ledger.
    pub sequence: u64,
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
    /// The call that made the entry: `post`, `reserve`, `draw`, `settle`, `void`, `expire` or
    /// `correct`.
    pub call: Cow<'a, str>,
    /// The kind of entry: `sale`, `usage`, `refund`, ….
    pub kind: Cow<'a, str>,
    /// The amount, in minor units.
    pub minor_units: i64,
    /// The amount in the currency's own unit, such as `19.99`.
    pub amount: String,
    /// The currency: ISO 4217, or a unit that the operator declared.
    pub currency: Cow<'a, str>,
    /// Number of decimal places of the currency.
    pub exponent: u8,
    /// The change of net revenue, in minor units.
    pub net_revenue: i64,
    /// The change of net revenue in the currency's own unit.
    pub net_revenue_amount: String,
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
    /// The external id that the entry answers, such as a refund its sale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<Cow<'a, str>>,
    /// The two posted legs of the entry, which sum to zero; none if it changes pending amounts
    /// only.
    pub legs: Vec<LedgerLeg<'a>>,
    /// The pending legs of a reservation and of what ends it, which sum to zero.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<LedgerLeg<'a>>,
    /// The id of the reservation that the entry settles, voids or expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservation: Option<Cow<'a, str>>,
    /// When the reservation that the entry makes expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Whether the entry belongs to a period that was closed before it was posted.
    pub late: bool,
    /// Whether the stream is on paper.
    pub paper: bool,
    /// What the entry was made from.
    pub evidence: EntryEvidence<'a>,
    /// SHA-256 of the previous entry's hash and this entry, in hexadecimal digits.
    pub hash: String,
}

/// What an entry was made from. The host fills it, not the guest.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct EntryEvidence<'a> {
    /// Whether nothing but the guest's word supports the entry: neither a delivery nor an answer.
    pub asserted: bool,
    /// The digest of the component that posted the entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// The delivery that the run processed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Cow<'a, str>>,
    /// The SHA-256 of each HTTP response that the transaction read before the entry, in hexadecimal
    /// digits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub responses: Vec<String>,
    /// Who made the entry by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<Cow<'a, str>>,
    /// Why they made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
}

/// An entry with the entries that it is related to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct LedgerEntryDetail<'a> {
    /// The entry.
    pub entry: LedgerEntry<'a>,
    /// The entry whose external id is `of`; left out if the entry has no `of` or none such exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered: Option<LedgerEntry<'a>>,
    /// The entries that answer this one, oldest first; at most 100.
    pub answers: Vec<LedgerEntry<'a>>,
}

/// One leg of an entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct LedgerLeg<'a> {
    /// The account within the stream.
    pub account: Cow<'a, str>,
    /// The amount added to the account, in minor units; negative for the account that gives.
    pub minor_units: i64,
    /// That amount in the currency's own unit.
    pub amount: String,
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
    /// The sum of the account's posted legs, in minor units. Income and liabilities are negative,
    /// because these accounts give.
    #[cfg_attr(feature = "schema", schema(value_type = i64))]
    pub minor_units: i128,
    /// That sum in the currency's own unit.
    pub amount: String,
    /// The sum of the account's pending legs, in minor units.
    #[cfg_attr(feature = "schema", schema(value_type = i64))]
    pub pending: i128,
    /// That sum in the currency's own unit.
    pub pending_amount: String,
    /// Number of decimal places of the currency.
    pub exponent: u8,
}

/// The end of the ledger's chain.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct LedgerHead {
    /// The number of the last entry; 0 if the ledger is empty.
    pub sequence: u64,
    /// The hash of the last entry, in hexadecimal digits; zeros if the ledger is empty.
    pub hash: String,
    /// When the last entry was posted; left out if the ledger is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub posted_at: Option<Time>,
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
    /// The open findings by kind. They are no differences.
    #[serde(default)]
    pub findings: Vec<FindingCount<'a>>,
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
    pub totals: Vec<RevenueTotal>,
}
