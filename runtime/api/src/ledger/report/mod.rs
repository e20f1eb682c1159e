//! Reports about the ledger: statements, net revenue, growth and customers.

mod conversion;
pub mod customers;
pub mod growth;
pub mod query;
pub mod revenue;
pub mod statement;
mod totals;
