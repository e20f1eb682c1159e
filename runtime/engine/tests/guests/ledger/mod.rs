//! The ledger: entries, reservations, and balances of customers.

mod balances;
mod reservations;
