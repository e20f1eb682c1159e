//! A preview of a schedule's next firings.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use tidemill_core::schedule::{PlannedFiring, ScheduleEnd, SchedulePreview};
use tidemill_core::{DeploymentName, ScheduleName};
use utoipa::ToSchema;

use crate::problem::ApiResult;
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::{TimeJson, ok};

/// Default number of firings in a preview.
const LIMIT_DEFAULT: usize = 20;
/// Maximum number of firings in a preview.
pub const LIMIT_MAX: usize = 200;

/// A future firing, or one that daylight saving drops.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Planned)]
pub struct PlannedJson {
    /// The nominal time. For a dropped firing, the time at which it would have fired.
    at: TimeJson,
    /// The same time in the schedule's time zone, with the offset at that time.
    #[schema(example = "2026-03-29T03:00:00+02:00")]
    local: String,
    /// The effect of daylight saving; left out if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// Present and true if a policy drops this firing. It does not count toward `limit`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dropped: bool,
}

impl From<PlannedFiring> for PlannedJson {
    fn from(PlannedFiring { at, local, note, dropped }: PlannedFiring) -> Self {
        Self { at: TimeJson(at), local, note, dropped }
    }
}

/// A schedule's next firings.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Preview)]
pub struct PreviewJson {
    /// The firings, earliest first, including those that daylight saving drops.
    items: Vec<PlannedJson>,
    /// Why no firing follows: `limit` if the limit is reached, `times` if there are no more times, or
    /// `blocked` (the schedule's record gives the reason). Left out if a firing follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "limit")]
    ends: Option<&'static str>,
}

impl From<SchedulePreview> for PreviewJson {
    fn from(SchedulePreview { firings, ends }: SchedulePreview) -> Self {
        Self { items: firings.into_iter().map(PlannedJson::from).collect(), ends: ends.map(ScheduleEnd::as_str) }
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
    responses((status = 200, body = PreviewJson, description = "the firings, earliest first, including those that daylight saving drops"))
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
    Ok(ok(&PreviewJson::from(ahead)))
}
