//! The ledger: entries, balances, revenue, and the check that recomputes all totals.

pub mod accounts;
pub mod check;
pub mod entries;
pub mod json;
mod known;
pub mod revenue;

use known::check_known;
