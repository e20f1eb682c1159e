//! Receives a delivery to a hook. Providers call this path without a token.

use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tidemill_api_types as shapes;
use tidemill_control::{HandshakeReply, HookAnswer, HookCall, HookEndpoint, HookReply};
use tidemill_core::{Code, DeliveryId};

use crate::problem::{ApiResult, Problem, quoted};
use crate::request::body;
use crate::state::ApiState;
use crate::wire::json;

/// Keeps a reply, which a guest wrote, from acting as a page of this host.
const REPLY_POLICY: HeaderValue = HeaderValue::from_static("sandbox; default-src 'none'");

/// Receives a delivery
///
/// The body is whatever the provider sends, and no token is needed: the hook's scheme verifies the
/// request. Any method that the hook declares is received. The answer comes once the delivery is
/// stored, together with the request for its run. With `reply = "wait"` it is the reply of the run
/// if the run is done within 10 s.
#[utoipa::path(
    post, path = "/hooks/{deployment}/{hook}", tag = "deliveries",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("hook" = String, Path, description = "the hook"),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 202, body = shapes::DeliveryReceipt<'_>, description = "the delivery is stored, and its run follows"),
        (status = 200, body = shapes::DeliveryReceipt<'_>, description = "the delivery is a duplicate, or makes no run"),
        (status = 400, body = shapes::ProblemDetails, description = "the request is verified, but has no readable id"),
        (status = 401, body = shapes::ProblemDetails, description = "the request is not verified; the reason is not given"),
        (status = 415, body = shapes::ProblemDetails, description = "the body has a `Content-Encoding` that the hook does not accept"),
        (status = 503, body = shapes::ProblemDetails, description = "the host cannot receive it now; send it again"),
    )
)]
pub async fn receive(state: State<ApiState>, request: Request) -> Response {
    any(state, request).await
}

/// Receives a request with any method.
pub async fn any(State(state): State<ApiState>, request: Request) -> Response {
    match handle(&state, request).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn handle(state: &ApiState, request: Request) -> ApiResult<Response> {
    let (parts, content) = request.into_parts();
    let endpoint = endpoint(state, parts.uri.path())?;
    if !endpoint.allows(parts.method.as_str()) {
        return Ok(not_allowed(&endpoint, &parts.method));
    }
    let refused = |problem: Problem| {
        state.host.refuse_hook_request(&endpoint, &parts.headers, &problem.body().detail);
        problem
    };
    let most = endpoint.max_body();
    body::check_declared_length(&parts.headers, most as u64).map_err(refused)?;
    if !endpoint.accepts_encoding(&parts.headers) {
        let problem = Problem::new(Code::UnsupportedMediaType, "the body has a `Content-Encoding`")
            .fix("Send it without one, or set `content_encoding = true` in the hook for gzip and deflate.");
        return Err(refused(problem));
    }
    let body = body::read(content, &parts.headers, most, state.config.body_timeout).await.map_err(refused)?;
    let path_and_query = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let call = HookCall { method: parts.method, path_and_query, headers: parts.headers.clone(), body };
    Ok(answer(state.host.receive(&endpoint, call).await?))
}

/// Returns the hook that a path names. Instances are not built, so that no deeper path is a hook.
fn endpoint(state: &ApiState, path: &str) -> ApiResult<HookEndpoint> {
    let names = path.strip_prefix("/hooks/").and_then(|names| names.split_once('/'));
    let names = names.and_then(|(deployment, hook)| Some((deployment.parse().ok()?, hook.parse().ok()?)));
    let Some((deployment, hook)) = names else {
        return Err(Problem::new(Code::HookNotFound, format!("`{}` is not a hook", quoted(path))));
    };
    Ok(state.host.hook(&deployment, &hook)?)
}

fn not_allowed(endpoint: &HookEndpoint, method: &Method) -> Response {
    let methods = endpoint.methods();
    let detail = format!("the hook does not take {}", quoted(method.as_str()));
    let problem = Problem::new(Code::MethodNotAllowed, detail).fix(format!("Use {}.", methods.join(" or ")));
    let mut response = problem.into_response();
    if let Ok(allow) = methods.join(", ").parse() {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

fn answer(answer: HookAnswer) -> Response {
    let receipt =
        |delivery: DeliveryId, outcome: &'static str| shapes::DeliveryReceipt { delivery, outcome: outcome.into() };
    match answer {
        HookAnswer::Stored(id) => json(StatusCode::ACCEPTED, &receipt(id, "stored")),
        HookAnswer::NotRun(id, outcome) => json(StatusCode::OK, &receipt(id, outcome.as_str())),
        HookAnswer::Duplicate(first) => json(StatusCode::OK, &receipt(first, "duplicate")),
        HookAnswer::Reply(_, reply) => reply_of_guest(reply),
        HookAnswer::Handshake(reply) => handshake(reply),
    }
}

/// Builds the answer that a guest wrote.
fn reply_of_guest(reply: HookReply) -> Response {
    let HookReply { status, headers, body } = reply;
    let mut response = (StatusCode::from_u16(status).unwrap_or(StatusCode::OK), body).into_response();
    let own = response.headers_mut();
    own.remove(CONTENT_TYPE);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            own.append(name, value);
        }
    }
    own.insert(CONTENT_SECURITY_POLICY, REPLY_POLICY);
    response
}

fn handshake(reply: HandshakeReply) -> Response {
    let mut response = (StatusCode::OK, reply.body).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    response
}
