//! The stack of a failed run.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_control::RunStack;
use tidemill_core::RunId;

use crate::problem::ApiResult;
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord, ok};

impl<'a> FromRecord<&'a RunStack> for shapes::RunStack<'a> {
    fn of(stack: &'a RunStack) -> Self {
        let frames = stack.frames.iter().map(|frame| shapes::StackFrame {
            function: (&frame.function).into(),
            file: frame.file.as_deref().map(Into::into),
            line: frame.line,
        });
        Self { component: stack.component, frames: frames.collect(), note: stack.note.as_deref().map(Into::into) }
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
        (status = 200, body = shapes::RunStack<'_>),
        (status = 409, body = shapes::ProblemDetails, description = "the run has no failure with a stack"),
    )
)]
pub async fn stack(
    State(state): State<ApiState>,
    PathParams(id): PathParams<RunId>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    let stack = state.host.stack(id).await?;
    Ok(ok(&shapes::RunStack::of(&stack)))
}
