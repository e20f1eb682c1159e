//! Why a run, a step or a call failed: the same record for guests, the store and the API.

use serde::{Deserialize, Serialize};

use crate::codes::Code;
use crate::wire::json;

/// Maximum length of a failure's code, in bytes.
pub const CODE_BYTES: usize = 128;
/// Maximum length of a failure's message, in bytes; a longer message is cut.
pub const MESSAGE_BYTES: usize = 8 * 1024;
/// Maximum size of a failure's details, in bytes.
pub const DETAILS_BYTES: usize = 64 * 1024;
/// The code of a failure without a code.
const UNNAMED: &str = "unnamed";

/// The reason for a failure, as `types.failure` of the WIT defines it. The store keeps it in this
/// form, so serialization must not skip any field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable and machine-readable. The host's own codes begin with `host/`.
    pub code: String,
    /// One sentence for a person.
    pub message: String,
    /// Whether a retry of the same work may succeed.
    pub retryable: bool,
    /// Further details for handlers: the UTF-8 text of one JSON value.
    pub details: Option<String>,
}

impl Failure {
    /// Returns a failure that a retry does not fix.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), retryable: false, details: None }
    }

    /// Returns a failure that may pass on a retry.
    pub fn retryable(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { retryable: true, ..Self::new(code, message) }
    }

    /// Returns the failure with `details`, the text of one JSON value.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<String>) -> Self {
        self.details = Some(details.into());
        self
    }

    /// Returns `host/retries-exhausted`, with this failure, the last one, in its details.
    #[must_use]
    pub fn exhausted(&self, attempts: u32) -> Self {
        let message = format!("all {attempts} attempts failed, the last with {}: {}", self.code, self.message);
        let failure = Code::RetriesExhausted.failure(message);
        match serde_json::to_string(self) {
            Ok(details) => failure.with_details(details),
            Err(_) => failure,
        }
    }

    /// Converts a failure that a guest returned.
    ///
    /// The code is the guest's own, or a code of the host that `was_answered` accepts: the host
    /// returned it to this guest, and the guest passes it on. Any other code that begins with
    /// `host/` becomes [`Code::ForgedCode`], so that no guest's failure is shown with the host's
    /// fix. A message that is too long is cut. Details that are not JSON within the bounds are
    /// replaced by the reason.
    #[must_use]
    pub fn from_guest(mut self, was_answered: impl FnOnce(Code) -> bool) -> Self {
        if is_host_code(&self.code) && !Code::parse(&self.code).is_some_and(was_answered) {
            let claimed = json::shown(&self.code);
            self.message = format!("the guest failed with `{claimed}`, which no call answered: {}", self.message);
            Code::ForgedCode.as_str().clone_into(&mut self.code);
        } else {
            self.code = guest_code(&self.code);
        }
        cut(&mut self.message, MESSAGE_BYTES);
        if let Some(details) = &self.details
            && let Err(why) = json::check(details.as_bytes(), DETAILS_BYTES)
        {
            self.details =
                Some(serde_json::json!({ "dropped": format!("the details are not valid: {why}") }).to_string());
        }
        self
    }
}

/// Whether a code claims to be one of the host's own.
#[must_use]
pub fn is_host_code(code: &str) -> bool {
    code.as_bytes().get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"host/"))
}

/// Makes a guest's code valid: 1 to [`CODE_BYTES`] ASCII letters, digits and `- _ . : /`. Any
/// other character becomes `-`.
#[must_use]
pub fn guest_code(code: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/');
    let code: String = code.chars().take(CODE_BYTES).map(|c| if allowed(c) { c } else { '-' }).collect();
    if code.is_empty() { UNNAMED.to_owned() } else { code }
}

fn cut(text: &mut String, most: usize) {
    text.truncate(text.floor_char_boundary(most));
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_code_of_the_host_is_passed_on_only_if_a_call_answered_it() {
        let failure = Failure::new("host/limit-fuel", "pay up");
        assert_eq!(failure.clone().from_guest(|code| code == Code::LimitFuel), failure);
        let forged = failure.from_guest(|_| false);
        assert_eq!(forged.code, "host/forged-code");
        assert!(forged.message.contains("`host/limit-fuel`") && forged.message.ends_with("pay up"));
        let unknown = format!("host/{}", "no-such-code");
        for claimed in ["HOST/limit-fuel", "host/", &unknown, "host/limit-fuel\u{7}"] {
            assert_eq!(Failure::new(claimed, "").from_guest(|_| true).code, "host/forged-code", "{claimed:?}");
        }
    }

    #[test]
    fn a_code_of_a_guest_keeps_to_its_grammar() {
        for (given, code) in [("card-declined", "card-declined"), ("", "unnamed"), ("a\u{1b}[2J\u{202e}b", "a--2J-b")] {
            assert_eq!(Failure::new(given, "").from_guest(|_| false).code, code);
        }
    }

    #[test]
    fn details_that_clients_cannot_read_are_replaced_by_the_reason() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        for good in [nested(64), "null".to_owned(), r#""\ud83d\ude00""#.to_owned()] {
            let failure = Failure::new("a", "").with_details(good.clone());
            assert_eq!(failure.from_guest(|_| false).details, Some(good));
        }
        for bad in [nested(1_000), r#""\ud83d""#.to_owned(), "1e400".to_owned(), "{".to_owned()] {
            let failure = Failure::new("a", "").with_details(bad.clone()).from_guest(|_| false);
            assert!(failure.details.unwrap().starts_with("{\"dropped\":\"the details are not valid"), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_failure_of_a_guest_is_within_its_bounds(
            code in "\\PC{0,200}|host/[a-z-]{0,20}",
            message in "[a-zß]{0,10000}",
            details in prop::option::of("[\\[\\]{}\",:0-9eE.+\\- tfn\\\\u]{0,40}"),
        ) {
            let failure = Failure { code, message, retryable: false, details }.from_guest(|_| false);
            prop_assert!((1..=CODE_BYTES).contains(&failure.code.len()));
            prop_assert!(!is_host_code(&failure.code) || failure.code == Code::ForgedCode.as_str());
            prop_assert!(failure.message.len() <= MESSAGE_BYTES);
            prop_assert!(failure.details.is_none_or(|text| json::parse(text.as_bytes(), DETAILS_BYTES).is_ok()
                || json::check(text.as_bytes(), DETAILS_BYTES).is_ok()));
        }
    }
}
