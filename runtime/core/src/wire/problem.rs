//! One problem of a caller's input.

use serde::Serialize;

use crate::codes::Code;

/// One problem, with its position and a fix. A response lists any number of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InputProblem {
    /// The kind of problem.
    pub code: Code,
    /// The JSON pointer (RFC 6901) of the field; empty for the whole.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// How to fix it.
    pub fix: String,
}

impl InputProblem {
    /// A problem of an invalid field.
    pub fn field(pointer: impl Into<String>, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { code: Code::BadField, pointer: pointer.into(), message: message.into(), fix: fix.into() }
    }

    /// Returns the problem for a larger value, in which its own value is at `pointer`.
    #[must_use]
    pub fn under(self, pointer: &str) -> Self {
        Self { pointer: format!("{pointer}{}", self.pointer), ..self }
    }

    /// Returns the problem with another code.
    #[must_use]
    pub fn with_code(self, code: Code) -> Self {
        Self { code, ..self }
    }
}

impl std::fmt::Display for InputProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { pointer, message, fix, .. } = self;
        if pointer.is_empty() { write!(f, "{message} ({fix})") } else { write!(f, "{pointer}: {message} ({fix})") }
    }
}
