//! When a schedule will fire.

use axum::extract::State;
use axum::response::Response;
use tidemill_core::{DeploymentName, ScheduleName};

use crate::list::List;
use crate::problem::Answer;
use crate::request::{At, RawParams};
use crate::state::ApiState;
use crate::wire::{Time, ok};

/// The firings that are shown where `limit` is left out, and the most that are.
const FIRINGS: (usize, usize) = (20, 200);

/// Shows when a schedule will fire
#[utoipa::path(
    get, path = "/v1/schedules/{deployment}/{name}/preview", tag = "schedules",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the schedule"),
        ("limit" = Option<usize>, Query, description = "how many firings, 1 to 200; 20 where it is left out"),
        ("from" = Option<String>, Query, description = "after this time (RFC 3339); now where it is left out"),
    ),
    responses((status = 200, body = List<Time>, description = "nominal times, earliest first"))
)]
pub async fn preview(
    State(state): State<ApiState>,
    At((deployment, name)): At<(DeploymentName, ScheduleName)>,
    query: RawParams,
) -> Answer<Response> {
    let params = query.only(&["limit", "from"])?;
    let limit = params.number("limit", FIRINGS.0, FIRINGS.1)?;
    let from = params.time("from")?.unwrap_or_else(|| state.host.clock().now());
    let times = state.host.preview(&deployment, &name, limit, from)?;
    Ok(ok(&List { items: times.into_iter().map(Time).collect(), next: None }))
}
