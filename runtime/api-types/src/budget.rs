//! Budgets of deployments.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
#[cfg(feature = "schema")]
use utoipa::ToSchema;

use crate::{Amount, Time};

/// A budget, or one customer's part of it, in one period.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Budget<'a> {
    /// The deployment.
    pub deployment: Cow<'a, str>,
    /// The budget's name.
    pub name: Cow<'a, str>,
    /// What it limits: `fuel`, or the code of a currency.
    pub unit: Cow<'a, str>,
    /// Who has the limit: `deployment`, or each `customer`.
    pub per: Cow<'a, str>,
    /// How long a period is: `hour`, `day`, `week` or `month`.
    pub period: Cow<'a, str>,
    /// The time zone in which periods begin.
    pub time_zone: Cow<'a, str>,
    /// What becomes of a request without room: `wait` or `refuse`. Absent for money.
    pub over: Option<Cow<'a, str>>,
    /// The customer, empty for what names none. Absent if this is the budget itself.
    pub customer: Option<Cow<'a, str>>,
    /// The limit in force.
    pub limit: Amount,
    /// Whether the limit is the customer's own.
    pub own_limit: bool,
    /// When the period begins.
    pub starts_at: Time,
    /// When the next period begins.
    pub ends_at: Time,
    /// What was used in the period, less what was reversed. Absent for a budget of each customer
    /// itself.
    pub used: Option<Amount>,
    /// What reservations, or runs that have begun, hold. Absent as `used`.
    pub held: Option<Amount>,
    /// What the limit leaves; below zero if it is exceeded. Absent as `used`.
    pub left: Option<Amount>,
}

/// The limit of one customer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct BudgetLimitRequest<'a> {
    /// The limit, such as `5.00`; null removes it, so that the budget's applies.
    pub limit: Option<Cow<'a, str>>,
}
