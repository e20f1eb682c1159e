//! Shows one topic.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::{Code, Topic};

use crate::problem::{ApiResult, Problem};
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Shows one topic
#[utoipa::path(
    get, path = "/v1/topics/{topic}", tag = "topics",
    params(("topic" = String, Path, description = "the topic")),
    responses(
        (status = 200, body = shapes::Topic<'_>),
        (status = 404, body = shapes::ProblemDetails, description = "there is no such topic"),
    )
)]
pub async fn get(
    State(state): State<ApiState>,
    PathParams(topic): PathParams<Topic>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    let Some(summary) = state.host.store().topic(&topic).await? else {
        return Err(Problem::new(Code::TopicNotFound, format!("there is no topic `{topic}`")));
    };
    Ok(ok(&shapes::Topic::of(&summary)))
}
