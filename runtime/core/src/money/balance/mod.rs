//! A customer's account: grants, what was taken from them, debt, and what is available.
//!
//! An account is a part of `deferred` of one stream, customer and currency. A prepayment or
//! promotion is a *grant*. Usage takes from the grants that are valid at its time in the order of
//! [`GrantOrder`]. What no grant covers is *debt*, and the next grant pays it first. A reservation
//! *holds* parts of grants until it is settled, voided, or expires.
//!
//! # Example (by time, in minor units; the floor is 0)
//! | time | entry | parts | available afterwards |
//! | --- | --- | --- | --- |
//! | 1 | promotion P 500 until 10, prepayment A 1000, prepayment B 300 of priority 50 | | 1800 |
//! | 5 | draw 600 | B 300, P 300 | 1200 |
//! | 10 | the timer posts `P/expired` 200 | P 200 | 1000 |
//! | 11 | reserve 400 | A 400, held | 600 |
//! | 11 | draw 700 | refused | 600 |
//! | 11 | partial draw 700 | A 600 | 0 |
//! | 12 | settle 250 of the 400 | A 250 | 150 |
//! | 13 | post 200 | A 150, debt 50 | −50 |
//! | 14 | prepayment 100 | pays the debt of 50 | 50 |
//!
//! # Invariants
//! - What grants have left and held, less debt that is not held, is the account's part of
//!   `deferred`.
//! - No answer depends on whether a timer has run: a grant covers usage by its times, and a hold
//!   ends at its own time. See [`CreditGrant::covers`] and [`AccountEdit::release_due`].
//! - Nothing is refused: what is more than a grant or usage has becomes debt or a grant.

mod change;
mod grant;
mod part;
mod rows;
mod rules;
#[cfg(test)]
mod tests;

pub use change::{AccountChange, AccountEntry, BalanceEffect};
pub use grant::{CreditGrant, GRANT_PRIORITY, GrantKind, GrantOrder, GrantTerms, InvalidGrant};
pub use part::{GrantPart, PartSource};
pub use rows::{AccountEdit, AccountReader, AccountRows, AccountSums, CreditHold, CreditUse};
pub use rules::{Balance, CreditDecision};
