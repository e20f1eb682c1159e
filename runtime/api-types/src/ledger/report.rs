//! Reports about the ledger. Each amount is given as an integer of minor units, as decimal text in
//! the currency's own unit, and with its number of decimal places.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
#[cfg(feature = "schema")]
use utoipa::ToSchema;

use crate::Time;

/// An amount of money, or a sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Amount {
    /// The amount, in minor units.
    #[cfg_attr(feature = "schema", schema(value_type = i64))]
    pub minor_units: i128,
    /// The amount in the currency's own unit, such as `19.99`.
    pub amount: String,
    /// The currency: ISO 4217, or a unit that the operator declared.
    pub currency: String,
    /// Number of decimal places of the currency.
    pub exponent: u8,
}

/// A range of time that a report is about.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct ReportRange {
    /// The name of the period, such as `2026-10`; left out if the range is not a
    /// named period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<String>,
    /// The start, inclusive.
    pub start: Time,
    /// The end, exclusive.
    pub end: Time,
}

/// What a report counts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct ReportBasis<'a> {
    /// The stream; left out if the report is about all streams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<Cow<'a, str>>,
    /// The time zone of its periods.
    pub time_zone: Cow<'a, str>,
    /// The time by which entries count: `occurred` or `posted`.
    pub by: Cow<'a, str>,
    /// Whether the report is about streams on paper.
    pub paper: bool,
    /// The sequence number of the last entry that counts.
    pub sequence: u64,
}

/// The entries of one kind.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct StatementLine {
    /// The kind.
    pub kind: String,
    /// Number of posted entries.
    pub entries: u64,
    /// The sum of their amounts.
    pub posted: Amount,
    /// The net revenue of these entries.
    pub net_revenue: Amount,
}

/// An account at the start and at the end of a range.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct StatementAccount {
    /// The account.
    pub account: String,
    /// Its type: `asset`, `liability`, `income`, `expense` or `neither`. Liabilities and income are
    /// above zero if the account gave more than it received.
    #[serde(rename = "type")]
    pub account_type: String,
    /// The posted balance at the start.
    pub opening: Amount,
    /// The posted balance at the end.
    pub closing: Amount,
    /// The pending balance at the end.
    pub pending: Amount,
}

/// The part of a statement in one currency.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct StatementCurrency {
    /// The currency.
    pub currency: String,
    /// The accounts, each with its opening and closing balance.
    pub accounts: Vec<StatementAccount>,
    /// The entries of the range, by kind.
    pub movements: Vec<StatementLine>,
    /// The entries that belong to an earlier period, which was closed before they were posted, by
    /// kind. They are not in `movements`.
    pub late: Vec<StatementLine>,
    /// Net revenue of the range, with late entries.
    pub net_revenue: Amount,
}

/// A statement of account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Statement<'a> {
    /// What it counts.
    #[serde(flatten)]
    pub basis: ReportBasis<'a>,
    /// Its range.
    pub range: ReportRange,
    /// Whether its period is closed, so that the statement does not change any more.
    pub closed: bool,
    /// One part for each currency.
    pub currencies: Vec<StatementCurrency>,
    /// Net revenue in the requested currency; left out if none was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub converted: Option<ConvertedRevenue>,
}

/// Net revenue in one currency, at the rates of each day.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct ConvertedRevenue {
    /// The sum of what could be converted.
    pub net_revenue: Amount,
    /// What has no rate on its day, unconverted, for each currency.
    pub unconverted: Vec<Amount>,
}

/// Net revenue in one currency: of a stream, of a kind, or of all.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct RevenueTotal {
    /// The stream, if the report groups by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// The kind, if the report groups by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The currency.
    pub currency: String,
    /// Net revenue, in minor units.
    #[cfg_attr(feature = "schema", schema(value_type = i64))]
    pub net_revenue: i128,
    /// Net revenue in the currency's own unit, such as `19.99`.
    pub amount: String,
    /// Number of decimal places of the currency.
    pub exponent: u8,
    /// Number of posted entries in the sum.
    pub entries: u64,
}

/// The net revenue of one period.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct PeriodRevenue {
    /// The period.
    #[serde(flatten)]
    pub range: ReportRange,
    /// One total for each currency and group.
    pub totals: Vec<RevenueTotal>,
    /// Net revenue in the requested currency; left out if none was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub converted: Option<ConvertedRevenue>,
}

/// Net revenue within a range of time.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Revenue<'a> {
    /// What it counts.
    #[serde(flatten)]
    pub basis: ReportBasis<'a>,
    /// The start of the range, inclusive.
    pub start: Time,
    /// The end of the range, exclusive.
    pub end: Time,
    /// One total for each currency and group.
    pub totals: Vec<RevenueTotal>,
    /// Net revenue in the requested currency; left out if none was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub converted: Option<ConvertedRevenue>,
    /// The range by hours, days, weeks, months or years; left out if `per` is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub periods: Option<Vec<PeriodRevenue>>,
}

/// The growth of net revenue in one currency.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct GrowthLine {
    /// The stream, if the report groups by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// The kind, if the report groups by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Net revenue of the range.
    pub now: Amount,
    /// Net revenue of the range before.
    pub before: Amount,
    /// (now − before) / |before|, with four decimals; `null` if nothing was earned before.
    pub growth: Option<String>,
}

/// The growth of net revenue from one range to the next.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Growth<'a> {
    /// What it counts.
    #[serde(flatten)]
    pub basis: ReportBasis<'a>,
    /// The range.
    pub now: ReportRange,
    /// The range before it.
    pub before: ReportRange,
    /// One line for each currency and group.
    pub lines: Vec<GrowthLine>,
}

/// A customer and what they brought.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct CustomerRevenue {
    /// The customer; `null` for the entries without one.
    pub customer: Option<String>,
    /// Number of entries that changed net revenue.
    pub entries: u64,
    /// Net revenue.
    pub net_revenue: Amount,
}

/// What customers brought in one currency.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct CustomerCurrency {
    /// The currency.
    pub currency: String,
    /// Number of customers.
    pub customers: u64,
    /// The net revenue of all customers.
    pub net_revenue: Amount,
    /// Average net revenue of a customer in the currency's own unit, with four decimals; `null` if
    /// there is no customer.
    pub average: Option<String>,
    /// The customers with the highest net revenue, highest first; equal ones by their ids.
    pub top: Vec<CustomerRevenue>,
    /// The entries without a customer, which count in no average.
    pub without_customer: CustomerRevenue,
}

/// What customers brought within a range of time.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct CustomerReport<'a> {
    /// What it counts.
    #[serde(flatten)]
    pub basis: ReportBasis<'a>,
    /// Its range.
    pub range: ReportRange,
    /// One part for each currency.
    pub currencies: Vec<CustomerCurrency>,
}

/// The fuel of all runs of streams within a range of time, and what they earned with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct FuelReport<'a> {
    /// What it counts.
    #[serde(flatten)]
    pub basis: ReportBasis<'a>,
    /// Its range, in whole quarters of an hour.
    pub range: ReportRange,
    /// One part for each stream with runs or net revenue.
    pub streams: Vec<StreamFuel>,
}

/// The fuel of all runs of one stream, and what it earned.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct StreamFuel {
    /// The stream.
    pub stream: String,
    /// Number of runs that ended in the range.
    pub runs: u64,
    /// Their fuel, all attempts and generations included.
    pub fuel: u64,
    /// The net revenue of the range, by currency.
    pub revenue: Vec<FuelRevenue>,
}

/// Net revenue in one currency in relation to fuel.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct FuelRevenue {
    /// Net revenue.
    pub net_revenue: Amount,
    /// Net revenue per million fuel in the currency's own unit, with four decimals; `null` if no
    /// run ended.
    pub per_million_fuel: Option<String>,
}
