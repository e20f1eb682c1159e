//! The explanation of a run's state.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_control::{Explanation, Stage};
use tidemill_core::RunId;

use crate::problem::ApiResult;
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord, ok};

impl<'a> FromRecord<&'a Explanation> for shapes::Explanation<'a> {
    fn of(explanation: &'a Explanation) -> Self {
        let Explanation { run, summary, next, stages } = explanation;
        Self {
            run: run.id,
            deployment: run.deployment.as_str().into(),
            state: run.state.name().into(),
            summary: summary.into(),
            next: next.as_deref().map(Into::into),
            stages: stages.iter().map(shapes::Stage::of).collect(),
        }
    }
}

impl<'a> FromRecord<&'a Stage> for shapes::Stage<'a> {
    fn of(stage: &'a Stage) -> Self {
        Self {
            stage: stage.name.as_str().into(),
            verdict: stage.verdict.as_str().into(),
            detail: (&stage.detail).into(),
            used: stage.used,
            limit: stage.limit,
            until: stage.until.map(shapes::Time),
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
    responses((status = 200, body = shapes::Explanation<'_>))
)]
pub async fn explain(
    State(state): State<ApiState>,
    PathParams(id): PathParams<RunId>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    let explanation = state.host.explain(id).await?;
    Ok(ok(&shapes::Explanation::of(&explanation)))
}
