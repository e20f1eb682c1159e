//! The ledger: entries, balances, reports, exports, closed periods, rates, and the check that
//! recomputes all totals.

pub mod accounts;
mod amounts;
pub mod balances;
pub mod check;
pub mod correct;
pub mod entries;
pub mod export;
pub mod findings;
pub mod floors;
pub mod grant;
mod hand_entry;
pub mod head;
pub mod json;
mod known;
pub mod periods;
pub mod rates;
pub mod report;
pub mod reservations;
pub mod show;

pub use amounts::Amounts;
use known::{check_known, policy_of};
