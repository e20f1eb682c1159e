//! How what comes from outside is read: bounded, without panics, and with every problem reported at once.
//!
//! These are the tools; what the fields of a manifest or a request mean is said where they are read.

pub mod cursor;
pub mod json;
mod object;
mod problem;
pub mod span;
pub mod text;

pub use cursor::{InvalidCursor, PageCursor};
pub use json::InvalidJson;
pub use object::duration_text;
pub(crate) use object::size_text;
pub use object::{ObjectField, ObjectReader};
pub use problem::InputProblem;
pub use span::parse_span;
