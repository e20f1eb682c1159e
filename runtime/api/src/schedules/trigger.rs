//! Triggering a schedule by hand.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::{DeploymentName, ScheduleName};

use crate::problem::ApiResult;
use crate::request::{IdempotencyKey, JsonBody, PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, REPLAYED, json_at};

/// Fires a schedule now
///
/// Starts one run with the schedule's input. The schedule's own next time does not change.
#[utoipa::path(
    post, path = "/v1/schedules/{deployment}/{name}/trigger", tag = "schedules",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the schedule"),
        ("Idempotency-Key" = Option<String>, Header,
            description = "the same key makes one run of the deployment, until 24 h after its end; 1 to 255 visible ASCII characters"),
    ),
    responses(
        (status = 202, body = shapes::Run<'_>, description = "the run is durably stored; `Location` is its path"),
        (status = 422, body = shapes::ProblemDetails, description = "the key made a run in another way"),
    )
)]
pub async fn trigger(
    State(state): State<ApiState>,
    PathParams((deployment, name)): PathParams<(DeploymentName, ScheduleName)>,
    query: RawQuery,
    IdempotencyKey(key): IdempotencyKey,
    body: JsonBody,
) -> ApiResult<Response> {
    query.only(&[])?;
    body.nothing()?;
    let (run, replayed) = state.host.trigger(&deployment, &name, key).await?;
    let mut response = json_at(&format!("/v1/runs/{}", run.id), StatusCode::ACCEPTED, &shapes::Run::of(&run));
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}
