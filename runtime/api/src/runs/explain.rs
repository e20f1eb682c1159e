//! The explanation of a run's state.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use tidemill_control::{Explanation, Stage};
use tidemill_core::RunId;
use utoipa::ToSchema;

use crate::problem::ApiResult;
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::{TimeJson, ok};

/// The explanation of a run's state. Fields that do not apply are left out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Explanation)]
pub struct ExplanationJson<'a> {
    /// The run.
    #[schema(value_type = String)]
    run: RunId,
    /// The deployment of the run.
    deployment: &'a str,
    /// The state of the run.
    state: &'static str,
    /// Why the run is in this state, in one sentence.
    summary: &'a str,
    /// What would make the run progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
    /// The stages between the request and the start of the run, in order. Empty if the run has
    /// started or ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    stages: Vec<StageJson<'a>>,
}

/// A stage between the request and the start of a run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stage)]
pub struct StageJson<'a> {
    /// `idempotency-key`, `debounce`, `queue`, `paused`, `schedule`, `time`, `key`, `priority`,
    /// `rate`, `concurrency` or `node`, in this order.
    stage: &'static str,
    /// `passes`, `waits`, or `none` if the deployment or the run has no such stage.
    verdict: &'static str,
    /// The reason for the verdict.
    detail: &'a str,
    /// Number of places that are taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<u64>,
    /// Maximum number of places.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    /// The earliest time at which the run can pass this stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<TimeJson>,
    /// The first of the runs that hold the places.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, required = false)]
    runs: Vec<RunId>,
}

impl<'a> ExplanationJson<'a> {
    fn of(explanation: &'a Explanation) -> Self {
        let Explanation { run, summary, next, stages } = explanation;
        Self {
            run: run.id,
            deployment: run.deployment.as_str(),
            state: run.state.name(),
            summary,
            next: next.as_deref(),
            stages: stages.iter().map(StageJson::of).collect(),
        }
    }
}

impl<'a> StageJson<'a> {
    fn of(stage: &'a Stage) -> Self {
        Self {
            stage: stage.name.as_str(),
            verdict: stage.verdict.as_str(),
            detail: &stage.detail,
            used: stage.used,
            limit: stage.limit,
            until: stage.until.map(TimeJson),
            runs: stage.runs.clone(),
        }
    }
}

/// Explains a run
///
/// Shows why the run is in its state: what it waits for, with figures, and what to do next.
#[utoipa::path(
    get, path = "/v1/runs/{id}/explain", tag = "runs",
    params(("id" = String, Path, description = "the run")),
    responses((status = 200, body = ExplanationJson<'_>))
)]
pub async fn explain(
    State(state): State<ApiState>,
    PathParams(id): PathParams<RunId>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    let explanation = state.host.explain(id).await?;
    Ok(ok(&ExplanationJson::of(&explanation)))
}
