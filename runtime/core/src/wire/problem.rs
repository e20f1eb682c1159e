//! One thing that is wrong with what somebody sent.

use serde::Serialize;

use crate::codes::Code;

/// One thing that is wrong, with where it is and how to mend it. Any number of them make up one answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InputProblem {
    /// What kind of problem it is.
    pub code: Code,
    /// The JSON pointer (RFC 6901) of the field; empty for the whole.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub fix: String,
}

impl InputProblem {
    /// A field that is not valid.
    pub fn field(pointer: impl Into<String>, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { code: Code::BadField, pointer: pointer.into(), message: message.into(), fix: fix.into() }
    }

    /// The same as a part of a larger whole, where it lies at `pointer`.
    #[must_use]
    pub fn under(self, pointer: &str) -> Self {
        Self { pointer: format!("{pointer}{}", self.pointer), ..self }
    }

    /// The same under another code.
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
