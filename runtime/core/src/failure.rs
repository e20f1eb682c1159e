//! Why a run, a step or a call did not succeed: the same record for guests, the store and the API.

use serde::{Deserialize, Serialize};

/// Why something did not succeed, as the WIT's `types.failure` has it. It is stored as it stands, so no field of it
/// may be left out when it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable and machine-readable. The host's own codes begin with `host/`.
    pub code: String,
    /// One sentence for a person.
    pub message: String,
    /// Whether the same work may succeed if it is tried again.
    pub retryable: bool,
    /// The UTF-8 text of one JSON value: anything more that a handler may want.
    pub details: Option<String>,
}

impl Failure {
    /// A failure that trying again will not mend.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), retryable: false, details: None }
    }

    /// A failure that may pass if the same work is tried again.
    pub fn retryable(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { retryable: true, ..Self::new(code, message) }
    }

    /// The same with `details`, the text of one JSON value.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<String>) -> Self {
        self.details = Some(details.into());
        self
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Failure {}
