//! Shows one run.

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use tidemill_api_types as shapes;
use tidemill_control::ControlError;
use tidemill_core::run::{Run, RunState};
use tidemill_core::{Code, DeploymentName, Failure, RunId};

use crate::problem::{ApiResult, Problem, quoted};
use crate::request::{PathParams, PathWord, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Shows a run
///
/// Includes the input, the failures that are kept and, after success, the output.
#[utoipa::path(
    get, path = "/v1/runs/{id}", tag = "runs",
    params(("id" = String, Path, description = "the run")),
    responses((status = 200, body = shapes::Run<'_>))
)]
pub async fn get(
    State(state): State<ApiState>,
    PathParams(id): PathParams<RunId>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    let run = find(&state, id).await?;
    whole(&state, &run).await
}

/// Shows the run of an idempotency key
///
/// Returns the run that was requested with that `Idempotency-Key`, as long as the key is kept.
#[utoipa::path(
    get, path = "/v1/deployments/{name}/keys/{key}", tag = "runs",
    params(
        ("name" = String, Path, description = "the deployment"),
        ("key" = String, Path, description = "the idempotency key with which the run was requested"),
    ),
    responses(
        (status = 200, body = shapes::Run<'_>),
        (status = 404, body = shapes::ProblemDetails, description = "no run was requested with this key, or the key is no longer kept"),
    )
)]
pub async fn by_key(
    State(state): State<ApiState>,
    PathParams((name, key)): PathParams<(DeploymentName, PathWord)>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    let Some(run) = state.host.store().run_by_key(&name, &key.0).await? else {
        let detail = format!("no run of `{name}` was requested with the key `{}`", quoted(&key.0));
        return Err(Problem::new(Code::RunNotFound, detail));
    };
    whole(&state, &run).await
}

/// Returns the run of that id.
///
/// # Errors
/// `host/run-not-found`.
pub async fn find(state: &ApiState, id: RunId) -> ApiResult<Run> {
    Ok(state.host.store().run(id).await?.ok_or_else(|| ControlError::no_run(id))?)
}

/// Returns the failure that the store keeps for a cancelled run.
///
/// # Errors
/// An error of the store.
pub async fn cancellation_failure(state: &ApiState, run: &Run) -> ApiResult<Option<Failure>> {
    if run.state != RunState::Cancelled {
        return Ok(None);
    }
    Ok(state.host.store().failure_of(run).await?)
}

/// Returns the input of a run; `None` if retention has removed the delivery that is its input.
///
/// # Errors
/// An error of the store.
async fn input_of(state: &ApiState, run: &Run) -> ApiResult<Option<Bytes>> {
    match state.host.run_input(run).await {
        Err(error) if error.code() == Code::DeliveryNotFound => Ok(None),
        input => Ok(input?),
    }
}

/// Builds the answer with a run's whole record.
///
/// # Errors
/// An error of the store.
pub async fn whole(state: &ApiState, run: &Run) -> ApiResult<Response> {
    let store = state.host.store();
    let input = input_of(state, run).await?;
    let output = if run.state == RunState::Succeeded { store.output(run.id).await? } else { None };
    let (failure, failures) = (cancellation_failure(state, run).await?, store.failures(run.id).await?);
    Ok(ok(&shapes::Run {
        input: input.as_deref().map(shapes::StoredJson::of),
        output: output.as_deref().map(shapes::StoredJson::of),
        failures: failures.iter().map(shapes::FailureEntry::of).collect(),
        ..shapes::Run::of((run, failure.as_ref()))
    }))
}
