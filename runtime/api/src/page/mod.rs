//! What a browser is shown: the status page, and the pages of the error codes.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tidemill_core::Code;
use tidemill_core::codes::SdkCode;

use crate::problem::{Answer, Problem, nearest, quoted};
use crate::request::At;

/// One file: text, style and script. It holds no data; it reads the API as any client does.
const STATUS_PAGE: &str = include_str!("status.html");

/// It runs its own script and style, speaks to this host, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

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
/// What happened, what to do, common causes; in Markdown. The `type` of a problem leads here.
#[utoipa::path(
    get, path = "/errors/{page}", tag = "page", security(()),
    params(("page" = String, Path, description = "`host-` and the rest of the code")),
    responses((status = 200, body = String, content_type = "text/markdown"))
)]
pub async fn error_page(At(page): At<String>) -> Answer<Response> {
    if let Some(code) = page.strip_prefix("sdk-").and_then(SdkCode::parse) {
        return Ok(text("text/markdown; charset=utf-8", code.page));
    }
    let known: Vec<_> = Code::ALL.iter().map(|code| code.page_path().trim_start_matches("/errors/")).collect();
    match Code::ALL.iter().zip(&known).find(|(_, name)| **name == page) {
        Some((code, _)) => Ok(text("text/markdown; charset=utf-8", code.page())),
        None => {
            let problem = Problem::new(Code::PathNotFound, format!("no code has the page `{}`", quoted(&page)));
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
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
