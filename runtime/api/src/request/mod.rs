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

/// Returns whether a text has no character that the pattern `\S` of the OpenAPI document matches.
/// Its white space is that of ECMAScript, which differs from Unicode's in two characters.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c == '\u{feff}' || (c.is_whitespace() && c != '\u{85}'))
}
