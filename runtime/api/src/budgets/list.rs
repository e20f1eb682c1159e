//! Lists budgets.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::money::CUSTOMER_BYTES;
use tidemill_core::{BudgetName, Code, DeploymentName};
use tidemill_store::records::BudgetFilter;

use super::json;
use crate::deployments::get::check_known;
use crate::list::{list_of, page_request};
use crate::problem::{ApiResult, Problem};
use crate::request::RawQuery;
use crate::state::ApiState;
use crate::wire::ok;

/// Lists budgets with what was used and is held, by deployment and name
///
/// A budget of each customer is followed by the customers that used it in the period, or have a
/// limit of their own.
#[utoipa::path(
    get, path = "/v1/budgets", tag = "budgets",
    params(
        ("deployment" = Option<String>, Query, description = "of this deployment"),
        ("name" = Option<String>, Query, description = "with this name"),
        ("customer" = Option<String>, Query, description = "of this customer"),
        ("at" = Option<String>, Query, description = "in the period that contains this time (RFC 3339); now if left out"),
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::List<shapes::Budget<'_>>))
)]
pub async fn list(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&["deployment", "name", "customer", "at", "limit", "cursor"])?;
    let deployment = params.parsed::<DeploymentName>("deployment")?;
    let name = params.parsed::<BudgetName>("name")?;
    let customer = params.text("customer")?.map(str::to_owned);
    if customer.as_ref().is_some_and(|customer| customer.len() > CUSTOMER_BYTES) {
        return Err(Problem::new(Code::BadQuery, format!("`customer` has at most {CUSTOMER_BYTES} bytes")));
    }
    let filter = BudgetFilter { deployment, name, customer };
    let scope = format!("budgets {filter:?} {:?}", params.text("at")?);
    let at = params.time("at")?.unwrap_or_else(|| state.host.clock().now());
    let page = state.host.store().budget_lines(&filter, page_request(&params, &scope)?, at).await?;
    if page.items.is_empty() {
        check_known(&state, filter.deployment.as_ref()).await?;
    }
    let currencies = state.host.currencies();
    Ok(ok(&list_of(&page, &scope, |line| json::line(line, currencies))))
}
