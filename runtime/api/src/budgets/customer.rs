//! One customer's part of a budget: shows it, and sets the customer's own limit.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::budget::{BudgetScope, BudgetUnit};
use tidemill_core::money::{Currencies, DECIMAL_BYTES, parse_decimal};
use tidemill_core::{BudgetName, Code, DeploymentName, InputProblem, Timestamp};
use tidemill_store::records::{Budget, BudgetFilter, PageRequest};

use super::json;
use crate::problem::{ApiResult, Problem};
use crate::request::{BudgetCustomer, JsonBody, PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::ok;

/// Shows a customer's part of a budget
#[utoipa::path(
    get, path = "/v1/budgets/{deployment}/{name}/{customer}", tag = "budgets",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the budget, which is one of each customer"),
        ("customer" = String, Path, description = "the customer, 1 to 256 bytes"),
        ("at" = Option<String>, Query, description = "in the period that contains this time (RFC 3339); now if left out"),
    ),
    responses((status = 200, body = shapes::Budget<'_>))
)]
pub async fn get(
    State(state): State<ApiState>,
    PathParams((deployment, name, customer)): PathParams<(DeploymentName, BudgetName, BudgetCustomer)>,
    query: RawQuery,
) -> ApiResult<Response> {
    let at = query.only(&["at"])?.time("at")?;
    of_each_customer(&state, &deployment, &name).await?;
    show(&state, deployment, name, Some(customer.0), at).await
}

/// Sets the limit of one customer, or removes it
///
/// It applies at once, to what the customer used before, too. Without a limit of its own, a
/// customer has that of the manifest.
#[utoipa::path(
    put, path = "/v1/budgets/{deployment}/{name}/{customer}", tag = "budgets",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the budget, which is one of each customer"),
        ("customer" = String, Path, description = "the customer, 1 to 256 bytes"),
    ),
    request_body(content = shapes::BudgetLimitRequest<'_>),
    responses(
        (status = 200, body = shapes::Budget<'_>, description = "the customer's part in the present period"),
        (status = 422, body = shapes::ProblemDetails, description = "a field is not valid"),
    )
)]
pub async fn put(
    State(state): State<ApiState>,
    PathParams((deployment, name, customer)): PathParams<(DeploymentName, BudgetName, BudgetCustomer)>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    query.only(&[])?;
    let budget = of_each_customer(&state, &deployment, &name).await?;
    let limit = read(body, &budget.unit, state.host.currencies())?;
    state.host.set_budget_limit(&deployment, &name, &customer.0, limit).await?;
    show(&state, deployment, name, Some(customer.0), None).await
}

/// Returns a budget of each customer.
async fn of_each_customer(state: &ApiState, deployment: &DeploymentName, name: &BudgetName) -> ApiResult<Budget> {
    let budget = state.host.store().budget(deployment, name).await?;
    let budget = budget.ok_or_else(|| no_budget(deployment, name))?;
    if budget.scope == BudgetScope::Customer {
        return Ok(budget);
    }
    let detail = format!("budget `{name}` of {deployment} is one of the deployment, and no customer has a part of it");
    Err(Problem::new(Code::BudgetNotFound, detail).fix("Write `per = \"customer\"` in the budget."))
}

fn no_budget(deployment: &DeploymentName, name: &BudgetName) -> Problem {
    Problem::new(Code::BudgetNotFound, format!("{deployment} has no budget `{name}`"))
}

/// Answers with the first line of a budget, or with that of a customer.
pub(super) async fn show(
    state: &ApiState,
    deployment: DeploymentName,
    name: BudgetName,
    customer: Option<String>,
    at: Option<Timestamp>,
) -> ApiResult<Response> {
    let missing = no_budget(&deployment, &name);
    let filter = BudgetFilter { deployment: Some(deployment), name: Some(name), customer };
    let at = at.unwrap_or_else(|| state.host.clock().now());
    let page = state.host.store().budget_lines(&filter, PageRequest::first(1), at).await?;
    let line = page.items.first().ok_or(missing)?;
    Ok(ok(&json::line(line, state.host.currencies())))
}

fn read(body: JsonBody, unit: &BudgetUnit, currencies: &Currencies) -> ApiResult<Option<i64>> {
    const LIMIT: &str = "Write an amount of zero or more such as \"5.00\", or null to remove the limit.";
    body.fields(|fields, problems| {
        let limit = fields.require("limit", LIMIT, problems)?;
        if limit.value.is_null() {
            return Some(None);
        }
        let pointer = limit.pointer.clone();
        let text = limit.text(DECIMAL_BYTES, problems)?;
        let why = match parse_decimal(&text, unit.exponent(currencies)) {
            Ok(limit) if limit >= 0 => return Some(Some(limit)),
            Ok(_) => "a limit is not below zero".to_owned(),
            Err(why) => why.to_string(),
        };
        problems.push(InputProblem::field(pointer, why, LIMIT));
        None
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn of(body: &Value) -> ApiResult<Option<i64>> {
        let unit = BudgetUnit::Currency("EUR".to_owned());
        JsonBody::read(body.to_string().as_bytes()).and_then(|body| read(body, &unit, &Currencies::default()))
    }

    #[test]
    fn a_limit_is_an_amount_of_zero_or_more_or_null() {
        assert_eq!(of(&json!({ "limit": "5.00" })).unwrap(), Some(500));
        assert_eq!(of(&json!({ "limit": "0" })).unwrap(), Some(0));
        assert_eq!(of(&json!({ "limit": null })).unwrap(), None);
        for body in [json!({}), json!({ "limit": 5 }), json!({ "limit": "-1" }), json!({ "limit": "0.001" })] {
            let problem = of(&body).unwrap_err();
            assert_eq!(problem.body().errors[0].pointer, "/limit", "{body}");
        }
    }

    proptest! {
        #[test]
        fn bodies_of_any_content_never_panic(text in "\\{\"limit\":(\"[0-9.-]{0,9}\"|[0-9]{1,3}|null),?\\}?|\\PC{0,40}") {
            let unit = BudgetUnit::Currency("EUR".to_owned());
            let _ = JsonBody::read(text.as_bytes()).and_then(|body| read(body, &unit, &Currencies::default()));
        }
    }
}
