//! Deleting a deployment.

use axum::extract::State;
use axum::http::StatusCode;
use tidemill_api_types as shapes;
use tidemill_core::DeploymentName;

use crate::problem::ApiResult;
use crate::request::{PathParams, RawQuery, bad};
use crate::state::ApiState;

/// Deletes a deployment
///
/// Deletes its schedules, revisions and state too. Its runs and ledger entries remain.
#[utoipa::path(
    delete, path = "/v1/deployments/{name}", tag = "deployments",
    params(
        ("name" = String, Path, description = "the deployment"),
        ("runs" = Option<String>, Query, description = "`cancel`: cancel the runs that have not ended"),
    ),
    responses(
        (status = 204, description = "removed"),
        (status = 409, body = shapes::ProblemDetails, description = "it has runs that have not ended"),
    )
)]
pub async fn delete(
    State(state): State<ApiState>,
    PathParams(name): PathParams<DeploymentName>,
    query: RawQuery,
) -> ApiResult<StatusCode> {
    let params = query.only(&["runs"])?;
    let cancel = match params.text("runs")? {
        None => false,
        Some("cancel") => true,
        Some(other) => return Err(bad("runs", other, "it is `cancel` or left out")),
    };
    state.host.delete(&name, cancel).await?;
    Ok(StatusCode::NO_CONTENT)
}
