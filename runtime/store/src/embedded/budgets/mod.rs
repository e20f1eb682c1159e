//! Budgets: what a deployment, or each of its customers, may use of a currency or of fuel in each
//! period.
//!
//! `define` writes the budgets of a revision; `count` counts entries in the commit that appends
//! them; `question` answers what a `reserve` or `draw` may take; `judge` keeps the finding
//! `over-budget`; `fuel` holds the fuel of runs; `list` and `recount` read.
//!
//! Invariants:
//! - A counter is the sum of the entries that count in its period: those after
//!   [`Budget::since`](crate::records::Budget::since), each in the period of its `occurred_at`, and
//!   the end of a reservation in the period of the reservation.
//! - No transaction reads a counter. The commit evaluates the conditions of a transaction in order,
//!   as for accounts.
//! - A counter belongs to a budget's number. What has another number is not read any more, and the
//!   timer of findings removes it.

pub(crate) mod count;
pub(crate) mod define;
pub(crate) mod fuel;
pub(crate) mod judge;
mod keys;
mod list;
pub(crate) mod question;
pub(crate) mod recount;
mod store;

use tidemill_core::DeploymentName;

use crate::embedded::tables::{BUDGET_LIMITS, BUDGETS};
use crate::embedded::tx::ReadTx;
use crate::error::Result;
use crate::records::{Budget, BudgetLimit};

/// Returns a budget by the names of its deployment and its own.
pub(crate) fn get(store: &impl ReadTx, deployment: &str, name: &str) -> Result<Option<Budget>> {
    store.record(BUDGETS, &keys::budget(deployment, name))
}

/// Returns the budgets of a deployment, by name.
pub(crate) fn of(store: &impl ReadTx, deployment: &str) -> Result<Vec<Budget>> {
    store.records(BUDGETS, &keys::budget(deployment, ""))
}

/// Returns the limit of a counter: the customer's own, or the budget's.
fn limit_of(store: &impl ReadTx, budget: &Budget, customer: &str) -> Result<i64> {
    let own: Option<BudgetLimit> = store.record(BUDGET_LIMITS, &keys::limit(budget, customer))?;
    Ok(own.map_or(budget.limit, |own| own.limit))
}

/// Whether the names are those of a budget's deployment and its own.
fn is_named(budget: &Budget, deployment: &DeploymentName, name: &str) -> bool {
    budget.deployment == *deployment && budget.name.as_str() == name
}
