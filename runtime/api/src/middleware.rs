//! The checks before every handler: bounds of the URL and the headers, authorization, and the
//! timeout.
//!
//! All in one layer, so that the path to a run stays short. It distinguishes paths only if one of
//! these checks differs.

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, CONNECTION, HeaderMap, HeaderName, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hyper::body::Body as _;
use tidemill_core::clock::Stopwatch;
use tidemill_core::{Code, RunId};
use tracing::Instrument as _;

use crate::auth;
use crate::config::{HEADER_BYTES, HEADERS, URL_BYTES};
use crate::problem::{ApiResult, Problem};
use crate::request::headers;
use crate::server::peer::Peer;
use crate::state::ApiState;

/// Checks a request, passes it on, and writes the access log at level debug, in the span `request`.
pub async fn gate(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return pass(&state, request, next).await;
    }
    let (method, path, watch) = (request.method().clone(), request.uri().path().to_owned(), Stopwatch::start());
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let span = tracing::debug_span!("request", %method, route, run = run_in(&path).map(tracing::field::display));
    async move {
        let response = pass(&state, request, next).await;
        let (status, micros) = (response.status().as_u16(), watch.elapsed().as_micros());
        tracing::debug!(%method, path = path.escape_debug().to_string(), status, micros, "answered");
        response
    }
    .instrument(span)
    .await
}

/// Returns the run that a path names.
fn run_in(path: &str) -> Option<RunId> {
    path.strip_prefix("/v1/runs/")?.split('/').next()?.parse().ok()
}

async fn pass(state: &ApiState, request: Request, next: Next) -> Response {
    let admitted = admit(state, &request);
    let unread = admitted.is_err() && !request.body().is_end_stream();
    let mut response = match admitted {
        Ok(()) => handle(state, request, next).await,
        Err(problem) => problem.into_response(),
    };
    // The connection ends, so the rest of the body is not read.
    if unread || matches!(response.status(), StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    harden(response.headers_mut());
    response
}

/// Adds headers that keep browsers from guessing types, from caching, and from giving an answer to
/// another site's page.
pub fn harden(headers: &mut HeaderMap) {
    const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

async fn handle(state: &ApiState, request: Request, next: Next) -> Response {
    if has_own_timeout(&request) {
        return next.run(request).await;
    }
    let most = state.config.request_timeout;
    match tokio::time::timeout(most, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(Code::Overloaded, format!("the host did not answer within {} s", most.as_secs()))
            .into_response(),
    }
}

fn admit(state: &ApiState, request: &Request) -> ApiResult<()> {
    let (uri, headers) = (request.uri(), request.headers());
    check_url(uri)?;
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > HEADER_BYTES || headers.len() > HEADERS {
        return Err(Problem::new(
            Code::HeaderTooLarge,
            format!("a request may have {HEADERS} headers of {HEADER_BYTES} bytes in all"),
        ));
    }
    auth::check_host(request.version(), uri, headers)?;
    if is_open(uri.path()) {
        return Ok(());
    }
    let peer = request.extensions().get::<Peer>();
    match auth::check(state.config.token.as_deref(), headers) {
        Ok(()) => {
            if let Some(peer) = peer {
                peer.authorize();
            }
            Ok(())
        }
        Err(problem) => Err(match peer {
            Some(peer) if problem.status() == StatusCode::UNAUTHORIZED => {
                state.attempts.failed(peer, state.host.clock().now(), problem)
            }
            _ => problem,
        }),
    }
}

fn check_url(uri: &Uri) -> ApiResult<()> {
    let length = uri.path().len() + uri.query().map_or(0, str::len);
    if length > URL_BYTES {
        return Err(Problem::new(Code::UrlTooLong, format!("path and query have {length} bytes of {URL_BYTES}")));
    }
    Ok(())
}

/// Returns whether a path needs no token: the probes, the pages of the codes, the status page,
/// which holds no data and requests the token from its user, and hooks, which verify requests by
/// their own schemes.
fn is_open(path: &str) -> bool {
    matches!(path, "/" | "/healthz" | "/readyz") || path.starts_with("/errors/") || path.starts_with("/hooks/")
}

/// Returns whether a path has timeouts of its own: uploads and waits do, and a feed's answer begins
/// at once.
fn has_own_timeout(request: &Request) -> bool {
    (request.method() == Method::PUT && request.uri().path().starts_with("/v1/modules/"))
        || (request.method() == Method::POST && matches!(headers::wait(request.headers()), Ok(Some(_))))
}
