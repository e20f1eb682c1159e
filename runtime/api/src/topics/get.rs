//! Shows one topic.

use axum::extract::State;
use axum::response::Response;
use tidemill_core::{Code, Topic};

use super::json::TopicJson;
use crate::problem::{ApiResult, Problem, ProblemBody};
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::ok;

/// Shows one topic
#[utoipa::path(
    get, path = "/v1/topics/{topic}", tag = "topics",
    params(("topic" = String, Path, description = "the topic")),
    responses(
        (status = 200, body = TopicJson<'_>),
        (status = 404, body = ProblemBody, description = "there is no such topic"),
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
    Ok(ok(&TopicJson::of(&summary)))
}
