//! The stack of a failed run.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use tidemill_control::RunStack;
use tidemill_core::{ComponentDigest, RunId};
use utoipa::ToSchema;

use crate::problem::{ApiResult, ProblemBody};
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::ok;

/// A failed run's stack.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RunStack)]
pub struct StackJson<'a> {
    /// The component that failed.
    #[schema(value_type = String)]
    component: ComponentDigest,
    /// The frames, innermost first.
    frames: Vec<FrameJson<'a>>,
    /// Why there are no source lines, if the lookup failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

/// A function on a stack.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StackFrame)]
pub struct FrameJson<'a> {
    /// The name of the function, or its number in its module.
    function: &'a str,
    /// The source file, if the component has debug information.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    /// The line in the source file.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

impl<'a> StackJson<'a> {
    fn of(stack: &'a RunStack) -> Self {
        let frames = stack.frames.iter().map(|frame| FrameJson {
            function: &frame.function,
            file: frame.file.as_deref(),
            line: frame.line,
        });
        Self { component: stack.component, frames: frames.collect(), note: stack.note.as_deref() }
    }
}

/// Shows the stack of a failed run
///
/// The guest's stack at its trap, with source lines if its component has debug information. Each
/// request looks them up in a separate process with bounds.
#[utoipa::path(
    get, path = "/v1/runs/{id}/stack", tag = "runs",
    params(("id" = String, Path, description = "the run")),
    responses(
        (status = 200, body = StackJson<'_>),
        (status = 409, body = ProblemBody, description = "the run has no failure with a stack"),
    )
)]
pub async fn stack(
    State(state): State<ApiState>,
    PathParams(id): PathParams<RunId>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    let stack = state.host.stack(id).await?;
    Ok(ok(&StackJson::of(&stack)))
}
