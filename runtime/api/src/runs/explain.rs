//! Why a run is where it is.

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

/// Why a run is where it is. What does not apply is left out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Explanation)]
pub struct ExplanationJson<'a> {
    /// The run.
    #[schema(value_type = String)]
    run: RunId,
    /// What it belongs to.
    deployment: &'a str,
    /// Its state.
    state: &'static str,
    /// Why it is where it is, in a sentence.
    summary: &'a str,
    /// What would bring it on.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
    /// The stages that it goes through before it runs, in order; of runs that run, wait for something or have ended there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    stages: Vec<StageJson<'a>>,
}

/// A stage that a run goes through before it runs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stage)]
pub struct StageJson<'a> {
    /// `idempotency-key`, `debounce`, `queue`, `paused`, `schedule`, `time`, `key`, `priority`, `rate`, `concurrency` or `node`, in this
    /// order.
    stage: &'static str,
    /// `passes`, `waits`, or `none` where the deployment or the run has no such stage.
    verdict: &'static str,
    /// Why.
    detail: &'a str,
    /// How many places are taken,
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<u64>,
    /// of how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    /// When it can go on at the earliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<TimeJson>,
    /// The first of the runs that have the places.
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
/// Why it is where it is: what it waits for, with figures, and what to do next.
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
