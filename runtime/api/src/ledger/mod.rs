//! The ledger: what was earned, entry by entry, and the check that recomputes it.

pub mod accounts;
pub mod check;
pub mod entries;
pub mod json;
pub mod revenue;
