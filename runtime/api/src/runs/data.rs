//! A run's input or output alone, as its stored bytes.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use tidemill_api_types as shapes;
use tidemill_control::ControlError;
use tidemill_core::{Code, RunId};

use super::get::find;
use crate::problem::{ApiResult, Problem};
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;

/// Shows a run's input
#[utoipa::path(
    get, path = "/v1/runs/{id}/input", tag = "runs",
    params(("id" = String, Path, description = "the run")),
    responses((status = 200, body = serde_json::Value, description = "the JSON text, as it was sent; for a delivery to a hook, the delivery"))
)]
pub async fn input(
    State(state): State<ApiState>,
    PathParams(id): PathParams<RunId>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    let run = find(&state, id).await?;
    let input = state.host.run_input(&run).await?.ok_or_else(|| ControlError::no_run(id))?;
    Ok(text(input))
}

/// Shows a run's output
#[utoipa::path(
    get, path = "/v1/runs/{id}/output", tag = "runs",
    params(("id" = String, Path, description = "the run")),
    responses(
        (status = 200, body = serde_json::Value, description = "the JSON text, as the guest returned it"),
        (status = 409, body = shapes::ProblemDetails, description = "the run has not succeeded"),
    )
)]
pub async fn output(
    State(state): State<ApiState>,
    PathParams(id): PathParams<RunId>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    let run = find(&state, id).await?;
    match state.host.store().output(id).await? {
        Some(output) => Ok(text(output)),
        None => Err(Problem::new(Code::RunState, format!("the run is {}, so it has no output", run.state.name()))
            .run(id)
            .fix("Wait until it succeeds, or read its `failure`.")),
    }
}

fn text(json: Bytes) -> Response {
    let mut response = (StatusCode::OK, json).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
