//! Reports about the ledger: statements, net revenue, growth, customers and fuel.

mod conversion;
pub mod customers;
pub mod fuel;
pub mod growth;
pub mod query;
pub mod revenue;
pub mod statement;
mod totals;
