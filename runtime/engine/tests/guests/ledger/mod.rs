//! The ledger: entries, reservations, balances of customers, and budgets.

mod balances;
mod budgets;
mod reservations;
