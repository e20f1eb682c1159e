//! Reading a request: path, query, headers and body, each with its bounds, each refusal a problem.
//!
//! Nothing here knows a noun. Every parser takes any bytes without a panic; the property tests beside each say so.

pub mod body;
pub mod headers;
mod json;
mod key;
mod path;
mod query;

pub use json::Object;
pub use key::IdempotencyKey;
pub use path::{At, Place, StateKey, Word};
pub use query::{Params, RawParams, bad, label};
