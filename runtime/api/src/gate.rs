//! What every request passes before its handler: bounds of url and headers, who asks, the time it may take.
//!
//! One layer, so that the way to a run stays short. It knows paths only where they differ in one of these.

use axum::extract::{Request, State};
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tidemill_core::Code;
use tidemill_core::clock::Stopwatch;

use crate::auth;
use crate::config::{HEADER_BYTES, HEADERS, URL_BYTES};
use crate::problem::{Answer, Problem};
use crate::request::headers;
use crate::state::ApiState;

/// Checks a request, passes it on, and writes the access log, at level debug.
pub async fn gate(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return pass(&state, request, next).await;
    }
    let (method, path, watch) = (request.method().clone(), request.uri().path().to_owned(), Stopwatch::start());
    let response = pass(&state, request, next).await;
    let (status, micros) = (response.status().as_u16(), watch.elapsed().as_micros());
    tracing::debug!(%method, path = path.escape_debug().to_string(), status, micros, "answered");
    response
}

async fn pass(state: &ApiState, request: Request, next: Next) -> Response {
    if let Err(problem) = admit(state, &request) {
        return problem.into_response();
    }
    if takes_its_own_time(&request) {
        return next.run(request).await;
    }
    let most = state.config.request_timeout;
    match tokio::time::timeout(most, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(Code::Overloaded, format!("the host did not get to it within {} s", most.as_secs()))
            .into_response(),
    }
}

fn admit(state: &ApiState, request: &Request) -> Answer<()> {
    check_url(request.uri())?;
    let headers = request.headers();
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > HEADER_BYTES || headers.len() > HEADERS {
        return Err(Problem::new(
            Code::HeaderTooLarge,
            format!("a request may have {HEADERS} headers of {HEADER_BYTES} bytes in all"),
        ));
    }
    if is_open(request.uri().path()) { Ok(()) } else { auth::check(state.config.token.as_deref(), headers) }
}

fn check_url(uri: &Uri) -> Answer<()> {
    let length = uri.path().len() + uri.query().map_or(0, str::len);
    if length > URL_BYTES {
        return Err(Problem::new(Code::UrlTooLong, format!("path and query have {length} bytes of {URL_BYTES}")));
    }
    Ok(())
}

/// What may be seen without a token: signs of life, the pages of the codes, and the status page, which holds no data and
/// asks for the token itself.
fn is_open(path: &str) -> bool {
    matches!(path, "/" | "/healthz" | "/readyz") || path.starts_with("/errors/")
}

/// Uploads and waits have bounds of their own, and a feed's answer begins at once.
fn takes_its_own_time(request: &Request) -> bool {
    (request.method() == Method::PUT && request.uri().path().starts_with("/v1/modules/"))
        || (request.method() == Method::POST && matches!(headers::wait(request.headers()), Ok(Some(_))))
}
