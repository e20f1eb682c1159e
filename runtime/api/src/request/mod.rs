//! Reads a request: path, query, headers and body. Each has its bounds, and each refusal is a
//! problem.
//!
//! Nothing here depends on a noun. Every parser accepts any bytes without a panic; each has a
//! property test for that.

pub mod body;
pub mod filter;
pub mod headers;
mod json;
mod key;
mod path;
mod query;

pub use json::JsonBody;
pub use key::IdempotencyKey;
pub use path::{BudgetCustomer, FindingNumber, InboxIndex, PathParams, PathWord, StateKey};
pub use query::{QueryParams, RawQuery, bad};
