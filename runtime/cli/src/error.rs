//! Errors of commands: the message, the fix and the exit code of each.
//!
//! Exit codes: 1 the work failed, 2 wrong usage, 3 the host cannot be reached. A message states
//! what happened; a fix states what to do next.

use std::borrow::Cow;

use tidemill_api_types::ProblemDetails;

use crate::fixes::for_command;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line is not valid.
    #[error("{message}")]
    Usage {
        /// What is wrong with it.
        message: String,
        /// The correct usage.
        fix: String,
    },
    /// No host answers.
    #[error("no host answers at {url}: {why}")]
    Unreachable {
        /// The URL that was tried.
        url: String,
        /// The network error.
        why: String,
    },
    /// The host refused the request.
    #[error("{}", refusal(.0))]
    Refused(Box<ProblemDetails>),
    /// The work failed.
    #[error("{message}")]
    Failed {
        /// The stable code, if there is one.
        code: Option<String>,
        /// What happened.
        message: String,
        /// What to do next.
        fix: Option<String>,
    },
}

/// Formats a refusal of the host, with each field that is not valid.
fn refusal(problem: &ProblemDetails) -> String {
    let mut text = if problem.detail.is_empty() { problem.title.clone() } else { problem.detail.clone() };
    for field in &problem.errors {
        text.push_str("\n  ");
        for part in [&field.pointer, &field.code] {
            if !part.is_empty() {
                text.push_str(&format!("{part}: "));
            }
        }
        text.push_str(&field.detail);
        if let Some(fix) = &field.fix {
            text.push_str(&format!("\n    {}", for_command(&field.code, fix)));
        }
    }
    if !problem.users.is_empty() {
        text.push_str(&format!("\n  used by {}", problem.users.join(", ")));
    }
    text
}

impl CliError {
    /// Builds an error of wrong usage.
    pub fn usage(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), fix: fix.into() }
    }

    /// Builds a failure without a code.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed { code: None, message: message.into(), fix: None }
    }

    /// Builds a failure of the machine, such as an I/O error.
    pub fn machine(what: impl std::fmt::Display, cause: &dyn std::error::Error) -> Self {
        Self::failed(format!("{what}: {}", chain(cause)))
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_fix(mut self, text: impl Into<String>) -> Self {
        match &mut self {
            Self::Failed { fix, .. } => *fix = Some(text.into()),
            Self::Usage { fix, .. } => *fix = text.into(),
            Self::Unreachable { .. } | Self::Refused(_) => {}
        }
        self
    }

    /// Returns the stable code.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(problem) => Some(problem.code.as_str()).filter(|code| !code.is_empty()),
            Self::Failed { code, .. } => code.as_deref(),
            Self::Usage { .. } | Self::Unreachable { .. } => None,
        }
    }

    /// Returns what to do next.
    pub fn fix(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Usage { fix, .. } => Some(fix.into()),
            Self::Unreachable { .. } => Some(
                "start one with `tidemill serve` or `tidemill dev`, or set its address: TIDEMILL_URL, --url".into(),
            ),
            Self::Refused(problem) => {
                Some(problem.fix.as_str()).filter(|fix| !fix.is_empty()).map(|fix| for_command(&problem.code, fix))
            }
            Self::Failed { fix, .. } => fix.as_deref().map(Cow::Borrowed),
        }
    }

    /// Returns the exit code of the process.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) | Self::Failed { .. } => 1,
            Self::Usage { .. } => 2,
            Self::Unreachable { .. } => 3,
        }
    }
}

/// Formats an error with its causes, without repetitions.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_shows_every_field() {
        let problem: ProblemDetails = serde_json::from_str(
            r#"{"type": "x", "code": "host/bad-manifest", "title": "t", "status": 400, "detail": "2 problems", "fix": "mend them",
                "errors": [{"pointer": "/limits/fuel", "code": "host/bad-field", "detail": "too much", "fix": "less"}]}"#,
        )
        .unwrap();
        let error = CliError::Refused(Box::new(problem));
        assert_eq!(error.to_string(), "2 problems\n  /limits/fuel: host/bad-field: too much\n    less");
        assert_eq!(
            (error.code(), error.fix().as_deref(), error.exit_code()),
            (Some("host/bad-manifest"), Some("mend them"), 1)
        );
    }

    #[test]
    fn an_exit_code_names_the_kind_of_error() {
        assert_eq!(CliError::usage("a", "b").exit_code(), 2);
        assert_eq!(CliError::Unreachable { url: "u".into(), why: "w".into() }.exit_code(), 3);
        assert_eq!(CliError::failed("a").exit_code(), 1);
    }
}
