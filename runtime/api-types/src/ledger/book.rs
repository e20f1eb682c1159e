//! Corrections, closed periods and exchange rates of the ledger.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
#[cfg(feature = "schema")]
use utoipa::ToSchema;

use crate::{LedgerEntry, Time};

/// A period whose statement does not change any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct ClosedPeriod<'a> {
    /// The period, such as `2026-10`.
    pub period: Cow<'a, str>,
    /// Its time zone.
    pub time_zone: Cow<'a, str>,
    /// The start, inclusive.
    pub start: Time,
    /// The end, exclusive.
    pub end: Time,
    /// When it was closed.
    pub closed_at: Time,
    /// The sequence number of the last entry at that time.
    pub sequence: u64,
}

/// The exchange rate of one day.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct ExchangeRate<'a> {
    /// The day, such as `2026-10-05`.
    pub day: Cow<'a, str>,
    /// The currency that is converted.
    pub from: Cow<'a, str>,
    /// The currency into which it is converted.
    pub to: Cow<'a, str>,
    /// How much of `to` one unit of `from` is: decimal text such as `0.9234`, above zero, at most
    /// 18 digits.
    pub rate: Cow<'a, str>,
    /// Who published the rate; at most 255 bytes.
    #[serde(default)]
    pub source: Cow<'a, str>,
    /// When it was set; left out in a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_at: Option<Time>,
}

/// Exchange rates to set.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct RateRequest<'a> {
    /// The rates; at most 500.
    pub rates: Vec<ExchangeRate<'a>>,
}

/// A correction of an entry by hand.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct CorrectionRequest<'a> {
    /// Why the entry is wrong; at most 4096 bytes.
    pub reason: Cow<'a, str>,
    /// Who corrects it; `operator` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Cow<'a, str>>,
    /// The right entry. Without it, the correction only reverses the wrong one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<RightEntry<'a>>,
}

/// The entry in place of a wrong one. A field that is left out is as in the wrong one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct RightEntry<'a> {
    /// The kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Cow<'a, str>>,
    /// The amount in the currency's own unit, such as `19.99`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Cow<'a, str>>,
    /// The currency; with another one, the amount is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Cow<'a, str>>,
    /// When it occurred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<Time>,
    /// The customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<Cow<'a, str>>,
    /// The description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Cow<'a, str>>,
}

/// The entries of a correction.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct CorrectionResult<'a> {
    /// Whether the same correction was made before, and nothing was posted.
    pub duplicate: bool,
    /// The reversal, and the right entry if there is one.
    pub entries: Vec<LedgerEntry<'a>>,
}
