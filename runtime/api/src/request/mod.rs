//! Reading a request: path, query, headers and body, each with its bounds, each refusal a problem.
//!
//! Nothing here knows a noun. Every parser takes any bytes without a panic; the property tests beside each say so.

pub mod body;
pub mod headers;
mod json;
mod key;
mod path;
mod query;

pub use json::JsonBody;
pub use key::IdempotencyKey;
pub use path::{InboxIndex, PathParams, PathWord, StateKey};
pub use query::{QueryParams, RawQuery, bad, label};
