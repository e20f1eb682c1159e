//! Budgets: what deployments, or their customers, may use in a period, and what they used.

pub mod customer;
pub mod get;
mod json;
pub mod list;
