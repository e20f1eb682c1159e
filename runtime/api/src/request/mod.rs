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

use tidemill_core::wire::{InputProblem, ObjectReader, is_blank};

pub use json::JsonBody;
pub use key::IdempotencyKey;
pub use path::{BudgetCustomer, FindingNumber, InboxIndex, IncidentNumber, PathParams, PathWord, StateKey};
pub use query::{QueryParams, RawQuery, bad};

/// Reads a required text of at most `bytes` bytes that is not blank.
pub fn required_words(
    fields: &mut ObjectReader,
    name: &'static str,
    fix: &str,
    bytes: usize,
    problems: &mut Vec<InputProblem>,
) -> Option<String> {
    let text = fields.require(name, fix, problems)?.text(bytes, problems)?;
    if is_blank(&text) {
        problems.push(InputProblem::field(fields.pointer_to(name), format!("the {name} is empty"), fix));
    }
    Some(text)
}
