//! When a schedule will fire.

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

/// The firings that are shown where `limit` is left out.
const LIMIT_DEFAULT: usize = 20;
/// Maximum number of firings that are shown.
pub const LIMIT_MAX: usize = 200;

/// A firing to come, or one that daylight saving drops.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Planned)]
pub struct PlannedJson {
    /// Its nominal time; where it is dropped, when it would have been.
    at: TimeJson,
    /// The same in the schedule's time zone, with the offset of that moment.
    #[schema(example = "2026-03-29T03:00:00+02:00")]
    local: String,
    /// What daylight saving does to it; left out where it does nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// There, and true, where a policy drops it: it does not count toward `limit`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dropped: bool,
}

impl From<PlannedFiring> for PlannedJson {
    fn from(PlannedFiring { at, local, note, dropped }: PlannedFiring) -> Self {
        Self { at: TimeJson(at), local, note, dropped }
    }
}

/// The firings to come.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Preview)]
pub struct PreviewJson {
    /// Earliest first, and what daylight saving drops among them.
    items: Vec<PlannedJson>,
    /// Why nothing comes after them: `limit`, which is reached; `times`, of which there are no more; or `blocked`, as the schedule's own
    /// record says. Left out where something does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "limit")]
    ends: Option<&'static str>,
}

impl From<SchedulePreview> for PreviewJson {
    fn from(SchedulePreview { firings, ends }: SchedulePreview) -> Self {
        Self { items: firings.into_iter().map(PlannedJson::from).collect(), ends: ends.map(ScheduleEnd::as_str) }
    }
}

/// Shows when a schedule will fire
///
/// As far as its `limit` lets it, less what has fired. A firing that makes no run takes nothing from a limit: then more come than are shown.
#[utoipa::path(
    get, path = "/v1/schedules/{deployment}/{name}/preview", tag = "schedules",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the schedule"),
        ("limit" = Option<usize>, Query, description = "how many firings, 1 to 200; 20 where it is left out"),
        ("from" = Option<String>, Query, description = "after this time (RFC 3339); now where it is left out"),
    ),
    responses((status = 200, body = PreviewJson, description = "the firings, earliest first, and what daylight saving drops among them"))
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
