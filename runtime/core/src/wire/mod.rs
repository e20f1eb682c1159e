//! Reads input from outside: bounded, without panics, and with all problems reported at once.
//!
//! These are the tools. The code that reads a manifest or a request documents its fields.

pub mod cursor;
pub mod json;
mod object;
mod problem;
pub mod span;
pub mod text;

pub use cursor::{InvalidCursor, PageCursor};
pub use json::InvalidJson;
#[cfg(feature = "host")]
pub(crate) use object::size_text;
pub use object::{ObjectField, ObjectReader};
pub use object::{duration_text, grouped};
pub use problem::InputProblem;
pub use span::parse_span;
pub use text::is_blank;
