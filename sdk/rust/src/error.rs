//! The error type of guests: a code, a sentence, and whether the failure is retryable. The contract
//! calls it a failure. Operators and other modules see it if a run does not succeed.

use crate::host::types::Failure;
use serde::Serialize;
use serde_json::Value;
use std::any::Any;
use std::fmt;

/// The result of every fallible call of the SDK and of exported functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason why something did not succeed.
///
/// `?` converts every `std::error::Error` into this type, with the code `error`. The type of the
/// error decides whether it is retryable: errors of serde and of parsing numbers or UTF-8 are the
/// same at the next attempt and are not; all others are. Use [`Error::new`] and
/// [`Error::retryable`] to decide it yourself.
///
/// Like `anyhow::Error`, it does not implement `std::error::Error`, because that conversion could
/// then not exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    code: String,
    message: String,
    retryable: bool,
    details: Option<Value>,
}

impl Error {
    /// Creates a failure that is not retryable.
    ///
    /// `code` is stable and machine-readable, such as `card-declined`. Codes that begin with
    /// `host/` belong to the host. `message` is one sentence for a person.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), retryable: false, details: None }
    }

    /// Creates a retryable failure. The deployment's retry policy decides about the next attempt.
    pub fn retryable(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { retryable: true, ..Self::new(code, message) }
    }

    /// Adds further data for a handler. Data that does not serialize is omitted.
    #[must_use]
    pub fn with_details(mut self, details: impl Serialize) -> Self {
        self.details = serde_json::to_value(details).ok();
        self
    }

    /// Returns the same failure with `doing` before its message.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }

    /// Returns the stable, machine-readable code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Returns the message, one sentence for a person.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the same work may succeed if it is tried again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// Whether this is the cancellation of the run. The host reports it once. After that, calls
    /// work for the grace period, so that the run can undo its work.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.code == "host/cancelled"
    }

    /// Returns the same failure, not retryable.
    #[must_use]
    pub fn not_retryable(mut self) -> Self {
        self.retryable = false;
        self
    }

    /// Returns further data for a handler.
    #[must_use]
    pub fn details(&self) -> Option<&Value> {
        self.details.as_ref()
    }

    pub(crate) fn from_failure(failure: Failure) -> Self {
        // The host sends JSON text. Text that is not JSON is kept as text rather than dropped.
        let details = failure.details.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)));
        Self { code: failure.code, message: failure.message, retryable: failure.retryable, details }
    }

    pub(crate) fn into_failure(self) -> Failure {
        Failure {
            code: self.code,
            message: self.message,
            retryable: self.retryable,
            details: self.details.map(|details| details.to_string()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl<E: std::error::Error + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        let any: &dyn Any = &error;
        if let Some(failure) = any.downcast_ref::<Failure>() {
            return Self::from_failure(failure.clone());
        }
        let message = sentence(&error);
        if same_at_the_next_try(any) { Self::new("error", message) } else { Self::retryable("error", message) }
    }
}

/// Joins the error and its causes into one line.
fn sentence(error: &dyn std::error::Error) -> String {
    let mut sentence = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !sentence.ends_with(&cause_text) {
            sentence.push_str(": ");
            sentence.push_str(&cause_text);
        }
        source = cause.source();
    }
    sentence
}

/// Whether the error depends only on its input value.
fn same_at_the_next_try(error: &dyn Any) -> bool {
    error.is::<serde_json::Error>()
        || error.is::<serde_path_to_error::Error<serde_json::Error>>()
        || error.is::<std::num::ParseIntError>()
        || error.is::<std::num::ParseFloatError>()
        || error.is::<std::num::TryFromIntError>()
        || error.is::<std::str::ParseBoolError>()
        || error.is::<std::str::Utf8Error>()
        || error.is::<std::string::FromUtf8Error>()
        || error.is::<std::fmt::Error>()
}

/// Adds the current action to a failure.
pub trait Context<T> {
    /// Puts `doing` before the failure's message: `reading the feed: not found`.
    ///
    /// # Errors
    /// The original failure with the longer message.
    fn context(self, doing: impl fmt::Display) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, doing: impl fmt::Display) -> Result<T> {
        self.map_err(|error| error.into().context(doing))
    }
}

/// Returns early with a failure that is not retryable:
/// `bail!("card-declined", "the bank said {answer}")`.
#[macro_export]
macro_rules! bail {
    ($code:expr, $($message:tt)+) => {
        return ::std::result::Result::Err(::std::convert::Into::into($crate::Error::new($code, ::std::format!($($message)+))))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<u8> {
        Ok(text.parse::<u8>()?)
    }

    #[test]
    fn question_mark_takes_any_std_error() {
        let error = parse("x").unwrap_err();
        assert_eq!(error.code(), "error");
        assert_eq!(error.message(), "invalid digit found in string");
        assert!(!error.is_retryable(), "the same text fails again");
        let other: Error = std::io::Error::other("the disk is away").into();
        assert!(other.is_retryable());
    }

    #[test]
    fn a_host_failure_keeps_its_code_and_details_through_question_mark() {
        let failure = Failure {
            code: "host/not-granted".into(),
            message: "no".into(),
            retryable: true,
            details: Some(r#"{"grant":"http"}"#.into()),
        };
        let error = (|| -> Result<()> { Err(failure.clone())? })().unwrap_err();
        assert_eq!(
            error,
            Error::retryable("host/not-granted", "no").with_details(serde_json::json!({"grant": "http"}))
        );
        let back = error.into_failure();
        assert_eq!((back.code, back.details), (failure.code, failure.details));
    }

    #[test]
    fn a_chain_of_causes_is_one_sentence() {
        #[derive(Debug)]
        struct Outer(std::num::ParseIntError);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bad port")
            }
        }
        impl std::error::Error for Outer {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&self.0)
            }
        }
        let error = Error::from(Outer("x".parse::<u8>().unwrap_err())).context("reading the config");
        assert_eq!(error.message(), "reading the config: bad port: invalid digit found in string");
    }

    #[test]
    fn bail_leaves_with_its_code() {
        fn pay(amount: i64) -> Result<i64> {
            if amount < 0 {
                bail!("negative", "cannot pay {amount}");
            }
            Ok(amount)
        }
        assert_eq!(pay(-1).unwrap_err(), Error::new("negative", "cannot pay -1"));
        assert_eq!(pay(1), Ok(1));
    }
}
