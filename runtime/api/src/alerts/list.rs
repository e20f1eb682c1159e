//! Lists alerts.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::alerts::AlertSeverity;
use tidemill_core::{AlertRuleName, DeploymentName};
use tidemill_store::records::AlertFilter;

use super::json;
use crate::list::{list_of, page_request};
use crate::problem::ApiResult;
use crate::request::{RawQuery, bad};
use crate::state::ApiState;
use crate::wire::ok;

/// The words for `state`.
pub const STATES: [&str; 5] = ["open", "pending", "firing", "acknowledged", "resolved"];

/// Lists alerts, the newest first
///
/// Without `state`, lists those that are not over. Pending alerts are sorted by rule and
/// deployment, and resolved ones by when they were over; a page of resolved ones may be shorter
/// than `limit` although others follow.
#[utoipa::path(
    get, path = "/v1/alerts", tag = "alerts",
    params(
        ("state" = Option<String>, Query, description = "`open` (firing or acknowledged, if left out), `pending`, `firing`, `acknowledged` or `resolved`"),
        ("rule" = Option<String>, Query, description = "of this rule"),
        ("deployment" = Option<String>, Query, description = "about this deployment"),
        ("severity" = Option<String>, Query, description = "`page` or `ticket`"),
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::List<shapes::Alert<'_>>))
)]
pub async fn list(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&["state", "rule", "deployment", "severity", "limit", "cursor"])?;
    let filter = AlertFilter {
        rule: params.parsed::<AlertRuleName>("rule")?,
        deployment: params.parsed::<DeploymentName>("deployment")?,
        severity: params.parsed::<AlertSeverity>("severity")?,
    };
    let wanted = params.text("state")?.unwrap_or("open");
    let scope = format!("alerts {wanted} {filter:?}");
    let page = page_request(&params, &scope)?;
    let open = |acknowledged| {
        let found = state.host.open_alerts(&filter, acknowledged, &page);
        Ok(ok(&list_of(&found, &scope, json::alert)))
    };
    match wanted {
        "open" => open(None),
        "firing" => open(Some(false)),
        "acknowledged" => open(Some(true)),
        "pending" => Ok(ok(&list_of(&state.host.pending_alerts(&filter, &page), &scope, json::pending))),
        "resolved" => {
            let found = state.host.resolved_alerts(filter, page).await?;
            Ok(ok(&list_of(&found, &scope, json::alert)))
        }
        other => Err(bad("state", other, format_args!("it is one of {}", STATES.join(", ")))),
    }
}
