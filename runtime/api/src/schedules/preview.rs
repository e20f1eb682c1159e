//! A preview of a schedule's next firings.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::schedule::{PlannedFiring, SchedulePreview};
use tidemill_core::{DeploymentName, ScheduleName};

use crate::problem::ApiResult;
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord, ok};

/// Default number of firings in a preview.
const LIMIT_DEFAULT: usize = 20;
/// Maximum number of firings in a preview.
pub const LIMIT_MAX: usize = 200;

impl FromRecord<PlannedFiring> for shapes::UpcomingFiring {
    fn of(PlannedFiring { at, local, note, dropped }: PlannedFiring) -> Self {
        Self { at: shapes::Time(at), local, note, dropped }
    }
}

impl FromRecord<SchedulePreview> for shapes::SchedulePreview {
    fn of(SchedulePreview { firings, ends }: SchedulePreview) -> Self {
        Self {
            items: firings.into_iter().map(shapes::UpcomingFiring::of).collect(),
            ends: ends.map(|ends| ends.as_str().into()),
        }
    }
}

/// Previews a schedule's next firings
///
/// Shows at most as many firings as the schedule's `limit` still allows. A firing that makes no run
/// does not count toward that limit, so more firings may follow than are shown.
#[utoipa::path(
    get, path = "/v1/schedules/{deployment}/{name}/preview", tag = "schedules",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the schedule"),
        ("limit" = Option<usize>, Query, description = "maximum number of firings, 1 to 200; 20 if left out"),
        ("from" = Option<String>, Query, description = "start after this time (RFC 3339); now if left out"),
    ),
    responses((status = 200, body = shapes::SchedulePreview, description = "the firings, earliest first, including those that daylight saving drops"))
)]
pub async fn preview(
    State(state): State<ApiState>,
    PathParams((deployment, name)): PathParams<(DeploymentName, ScheduleName)>,
    query: RawQuery,
) -> ApiResult<Response> {
    let params = query.only(&["limit", "from"])?;
    let limit = params.number("limit", LIMIT_DEFAULT, LIMIT_MAX)?;
    let from = params.time("from")?.unwrap_or_else(|| state.host.clock().now());
    let ahead = state.host.preview(&deployment, &name, limit, from).await?;
    Ok(ok(&shapes::SchedulePreview::of(ahead)))
}
