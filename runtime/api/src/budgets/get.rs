//! Shows one budget.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::{BudgetName, DeploymentName};

use super::customer::show;
use crate::problem::ApiResult;
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;

/// Shows a budget with what was used and is held
#[utoipa::path(
    get, path = "/v1/budgets/{deployment}/{name}", tag = "budgets",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the budget"),
        ("at" = Option<String>, Query, description = "in the period that contains this time (RFC 3339); now if left out"),
    ),
    responses((status = 200, body = shapes::Budget<'_>))
)]
pub async fn get(
    State(state): State<ApiState>,
    PathParams((deployment, name)): PathParams<(DeploymentName, BudgetName)>,
    query: RawQuery,
) -> ApiResult<Response> {
    let at = query.only(&["at"])?.time("at")?;
    show(&state, deployment, name, None, at).await
}
