//! Accounts of customers: grants, what was used or is held, and debt.
//!
//! The rules are in core ([`tidemill_core::money::balance`]); this folder keeps their rows. An
//! entry that moves an account changes its rows in the commit that appends the entry, and the parts
//! that the rules chose are written on the entry. So the entries explain every row: see `deltas`.
//!
//! Invariants:
//! - A hold whose time is over is returned by an entry of its own, before another entry moves the
//!   account. So no row changes without an entry.
//! - An entry that names no customer, or whose kind moves no account, reads and writes nothing
//!   here.

pub(crate) mod account;
pub(crate) mod changes;
pub(crate) mod deltas;
pub(crate) mod entry;
pub(crate) mod floors;
pub(crate) mod keys;
pub(crate) mod lapse;
pub(crate) mod past;
pub(crate) mod question;
pub(crate) mod recount;
mod store;
#[cfg(test)]
mod tests;
pub(crate) mod view;
