//! The only error type of the API: RFC 9457, `application/problem+json`.
//!
//! Every refusal becomes a [`Problem`]. What the caller sees (`detail`, `fix`, `errors`) and what
//! only the log shows ([`Problem::log`]) are two fields, so that the answer reveals nothing about
//! the machine. `error_codes.rs` maps errors of the host to codes.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tidemill_api_types as shapes;
use tidemill_core::{Code, wire};

/// Maximum length of an answered detail, in characters. It may quote what a caller sent.
const DETAIL_CHARS: usize = 2_000;
/// Maximum number of fields that one problem names.
const MOST_FIELDS: usize = 100;

/// The result of a handler: an answer, or a refusal.
pub type ApiResult<T> = Result<T, Problem>;

/// A refused request. One pointer wide.
#[derive(Debug, Clone)]
pub struct Problem(Box<ProblemData>);

#[derive(Debug, Clone)]
struct ProblemData {
    body: shapes::ProblemDetails,
    log: Option<String>,
    retry_after: Option<u64>,
}

impl Problem {
    /// Builds a refusal with the code's own status, title and fix.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Box::new(ProblemData {
            body: shapes::ProblemDetails {
                kind: code.page_path().to_owned(),
                code: code.as_str().to_owned(),
                title: code.title().to_owned(),
                status: code.status(),
                detail: bounded(detail.into()),
                fix: code.fix().to_owned(),
                errors: Vec::new(),
                users: Vec::new(),
                run: None,
                revision: None,
            },
            log: None,
            retry_after: None,
        }))
        .retrying_later(code)
    }

    fn retrying_later(mut self, code: Code) -> Self {
        self.0.retry_after = match code {
            // An operator must act, or disk space must be freed: frequent retries do not help.
            Code::StoreDamaged => Some(60),
            Code::StoreReadOnly | Code::StoreLocked => Some(30),
            Code::DiskFull => Some(10),
            // The time that this host, or another one, needs to start.
            Code::ShuttingDown => Some(5),
            // The remaining time of an open breaker.
            Code::HttpCircuitOpen => Some(60),
            // Queue slots, capacity and disk space return quickly.
            _ if matches!(code.status(), 429 | 503 | 507) => Some(1),
            _ => None,
        };
        self
    }

    /// Builds a refusal for the fields of a body, or for the whole body if there is only one
    /// problem without a pointer.
    #[must_use]
    pub fn of_fields(code: Code, problems: Vec<wire::InputProblem>) -> Self {
        let detail = match problems.first() {
            Some(only) if problems.len() == 1 && only.pointer.is_empty() => {
                return Self::new(only.code, only.message.clone()).fix(only.fix.clone());
            }
            Some(only) if problems.len() == 1 => format!("`{}`: {}", only.pointer, only.message),
            _ => format!("{} fields are not valid", problems.len()),
        };
        problems.into_iter().fold(Self::new(code, detail), |all, one| {
            all.field(field_problem(&one.pointer, one.code, &one.message, Some(&one.fix)))
        })
    }

    /// Replaces the code's own fix.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.0.body.fix = bounded(fix.into());
        self
    }

    /// Adds a field that is not valid. Fields beyond a hundred are left out.
    #[must_use]
    pub fn field(mut self, field: shapes::FieldProblem) -> Self {
        if self.0.body.errors.len() < MOST_FIELDS {
            self.0.body.errors.push(field);
        }
        self
    }

    /// Adds details that only the log shows.
    #[must_use]
    pub fn log(mut self, cause: impl std::fmt::Display) -> Self {
        self.0.log = Some(cause.to_string());
        self
    }

    /// Sets the time after which the caller may retry, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// Adds the deployments that use a resource.
    #[must_use]
    pub fn users(mut self, users: Vec<String>) -> Self {
        self.0.body.users = users;
        self
    }

    /// Adds the run that caused the refusal.
    #[must_use]
    pub fn run(mut self, run: impl std::fmt::Display) -> Self {
        self.0.body.run = Some(run.to_string());
        self
    }

    /// Adds the current revision of the deployment.
    #[must_use]
    pub fn revision(mut self, revision: Option<u64>) -> Self {
        self.0.body.revision = revision;
        self
    }

    /// Returns the stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0.body.code
    }

    /// Returns the status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.body.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Returns the wire form.
    #[must_use]
    pub fn body(&self) -> &shapes::ProblemDetails {
        &self.0.body
    }
}

/// Builds the refusal of the field at `pointer` with `code`, and what to do next.
pub fn field_problem(pointer: &str, code: Code, detail: &str, fix: Option<&str>) -> shapes::FieldProblem {
    shapes::FieldProblem {
        pointer: bounded(pointer.to_owned()),
        code: code.as_str().to_owned(),
        detail: bounded(detail.to_owned()),
        fix: fix.map(|fix| bounded(fix.to_owned())),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        if status.is_server_error() {
            tracing::warn!(
                code = self.0.body.code,
                detail = self.0.body.detail,
                cause = self.0.log.as_deref().unwrap_or_default(),
                "refused a request"
            );
        } else {
            tracing::debug!(
                code = self.0.body.code,
                detail = self.0.body.detail,
                cause = self.0.log.as_deref().unwrap_or_default(),
                "refused a request"
            );
        }
        // A struct of strings and numbers cannot fail to serialize.
        let text = serde_json::to_vec(&self.0.body).unwrap_or_default();
        let mut response = (status, text).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.0.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tidemill\""));
        }
        response
    }
}

/// Cuts `text` at [`DETAIL_CHARS`].
fn bounded(mut text: String) -> String {
    if let Some((cut, _)) = text.char_indices().nth(DETAIL_CHARS) {
        text.truncate(cut);
        text.push('…');
    }
    text
}

/// Shortens `text` for quoting in a detail: at most 60 characters, control characters escaped.
pub(crate) fn quoted(text: &str) -> String {
    let mut out: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        out.push('…');
    }
    out
}

/// Returns the name among `known` that `text` is probably a misspelling of.
pub(crate) fn nearest<'a>(text: &str, known: &[&'a str]) -> Option<&'a str> {
    if text.len() > 64 {
        return None;
    }
    known
        .iter()
        .map(|name| (strsim::jaro_winkler(text, name), *name))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn log_details_are_not_sent() {
        let problem = Problem::new(Code::StoreUnavailable, "try again").log("/secret/path: permission denied");
        assert!(!serde_json::to_string(problem.body()).unwrap().contains("secret"));
    }

    #[test]
    fn a_temporary_refusal_has_retry_after() {
        for code in Code::ALL {
            let response = Problem::new(*code, "x").into_response();
            assert_eq!(
                response.headers().contains_key(RETRY_AFTER),
                matches!(code.status(), 429 | 503 | 507),
                "{code}"
            );
            assert_eq!(response.headers().contains_key(WWW_AUTHENTICATE), code.status() == 401, "{code}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_quoted_and_bounded(text in "\\PC{0,3000}", known in "[a-z_]{1,20}") {
            prop_assert!(quoted(&text).chars().count() <= 60 * 10 + 1);
            let _ = nearest(&text, &[&known]);
            let problem = Problem::new(Code::BadField, text.clone())
                .field(field_problem(&text, Code::BadField, &text, None));
            prop_assert!(problem.body().detail.chars().count() <= DETAIL_CHARS + 1);
            let _ = problem.into_response();
        }
    }
}
