//! Listing runs.

use std::collections::HashMap;
use tidemill_api_types as shapes;

use axum::extract::State;
use axum::response::Response;
use tidemill_core::run::Run;
use tidemill_core::{Code, RunId};
use tidemill_store::records::Page;

use super::filter;
use super::get::cancellation_failure;
use crate::deployments::get::check_known;
use crate::list::{list_of, page_request};
use crate::problem::{ApiResult, Problem};
use crate::request::{QueryParams, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Lists runs, newest first
///
/// Input and output are left out. With `parent`, lists the child runs of that run, oldest first.
#[utoipa::path(
    get, path = "/v1/runs", tag = "runs",
    params(
        ("deployment" = Option<String>, Query, description = "of this deployment"),
        ("state" = Option<Vec<String>>, Query, description = "in this state; may be repeated, or several with commas"),
        ("label" = Option<Vec<String>>, Query, description = "with this label, NAME=VALUE; may be repeated: with all of them"),
        ("since" = Option<String>, Query, description = "created at or after this time (RFC 3339)"),
        ("until" = Option<String>, Query, description = "created before this time (RFC 3339)"),
        ("code" = Option<Vec<String>>, Query, description = "failed, parked or cancelled with a failure of this code; may be repeated, or several with commas"),
        ("parent" = Option<String>, Query, description = "started by this run; not with another filter"),
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::List<shapes::Run<'_>>))
)]
pub async fn list(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&[&filter::NAMES[..], &["parent", "limit", "cursor"]].concat())?;
    if let Some(parent) = params.parsed::<RunId>("parent")? {
        return children(&state, parent, &params).await;
    }
    let filter = filter::of_query(&params)?;
    let scope = format!("runs {filter:?}");
    let deployment = filter.deployment.clone();
    let page = state.host.store().runs(filter, page_request(&params, &scope)?).await?;
    if page.items.is_empty() {
        check_known(&state, deployment.as_ref()).await?;
    }
    listed(&state, &page, &scope).await
}

async fn listed(state: &ApiState, page: &Page<Run>, scope: &str) -> ApiResult<Response> {
    let mut failures = HashMap::new();
    for run in &page.items {
        if let Some(failure) = cancellation_failure(state, run).await? {
            failures.insert(run.id, failure);
        }
    }
    Ok(ok(&list_of(page, scope, |run| shapes::Run::of((run, failures.get(&run.id))))))
}

async fn children(state: &ApiState, parent: RunId, params: &QueryParams) -> ApiResult<Response> {
    if let Some(other) = filter::NAMES.into_iter().find(|name| params.all(name).next().is_some()) {
        let detail = format!("`parent` lists all children of a run and cannot be combined with `{other}`");
        return Err(Problem::new(Code::BadQuery, detail).fix(format!("Leave `parent` or `{other}` out.")));
    }
    let scope = format!("children {parent}");
    let page = state.host.children(parent, page_request(params, &scope)?).await?;
    listed(state, &page, &scope).await
}
