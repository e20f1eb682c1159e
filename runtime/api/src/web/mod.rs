//! Serves pages to browsers: the status page, and the pages of the error codes.

use std::sync::LazyLock;

use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use tidemill_core::Code;
use tidemill_core::codes::SdkCode;

use crate::problem::{ApiResult, Problem, nearest, quoted};
use crate::request::PathParams;

/// The status page: one file with text, style and script. It holds no data and reads the API as any
/// client does.
const STATUS_PAGE: &str = include_str!("status.html");

/// The policy of the status page: its own script and style run, and it connects only to this host.
/// The hashes cover the inline script and style, so that nothing injected into the page runs (CSP
/// level 3, section 6.7).
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hashes(STATUS_PAGE, "script"),
        hashes(STATUS_PAGE, "style"),
    );
    // Base64 and ASCII cannot fail. Without a valid policy, nothing runs.
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// Returns the sources that allow every inline element named `tag` in `page`.
fn hashes(page: &str, tag: &str) -> String {
    let (begin, end) = (format!("<{tag}>"), format!("</{tag}>"));
    let inline = page.split(&begin).skip(1).filter_map(|rest| rest.split(&end).next());
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text.as_bytes())));
    inline.map(hash).collect::<Vec<_>>().join(" ")
}

/// The status page
#[utoipa::path(
    get, path = "/", tag = "page", security(()),
    responses((status = 200, body = String, content_type = "text/html"))
)]
pub async fn status_page() -> Response {
    text("text/html; charset=utf-8", STATUS_PAGE)
}

/// The page of an error code
///
/// Markdown: what happened, what to do, and common causes. The `type` of a problem links here.
#[utoipa::path(
    get, path = "/errors/{page}", tag = "page", security(()),
    params(("page" = String, Path, description = "`host-` and the rest of the code")),
    responses((status = 200, body = String, content_type = "text/markdown"))
)]
pub async fn error_page(PathParams(page): PathParams<String>) -> ApiResult<Response> {
    if let Some(code) = page.strip_prefix("sdk-").and_then(SdkCode::parse) {
        return Ok(text("text/markdown; charset=utf-8", code.page));
    }
    let known: Vec<_> = Code::ALL.iter().map(|code| code.page_path().trim_start_matches("/errors/")).collect();
    match Code::ALL.iter().zip(&known).find(|(_, name)| **name == page) {
        Some((code, _)) => Ok(text("text/markdown; charset=utf-8", code.page())),
        None => {
            let problem =
                Problem::new(Code::PathNotFound, format!("there is no page for the code `{}`", quoted(&page)));
            Err(match nearest(&page, &known) {
                Some(near) => problem.fix(format!("Did you mean `/errors/{near}`?")),
                None => problem,
            })
        }
    }
}

fn text(kind: &'static str, text: &'static str) -> Response {
    let mut response = (StatusCode::OK, text).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_allows_the_pages_own_script_and_style_and_no_other() {
        let policy = POLICY.to_str().unwrap();
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(policy.matches("'sha256-").count(), 2, "{policy}");
        // Parts that a hash does not cover.
        for inline in [" style=", " onclick=", "javascript:", "<script ", "<style "] {
            assert!(!STATUS_PAGE.contains(inline), "{inline}");
        }
    }
}
