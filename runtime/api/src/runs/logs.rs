//! A run's log: one page of it, or a stream that follows it.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::{Code, RunId};

use super::follow::LogFollower;
use super::get::find;
use crate::wire::FromRecord as _;

use crate::problem::{ApiResult, Problem};
use crate::request::{PathParams, QueryParams, RawQuery, headers};
use crate::state::ApiState;
use crate::stream::{self, StreamFormat};
use crate::wire::ok;

/// Reads a run's log
///
/// Returns one page, which also ends at 1 MiB of text. With `follow=true`, streams all lines from
/// `cursor`, and each new line, until the run ends or is parked. The stream is server-sent events
/// (`log`, then `end` with the run's state) if the request has `Accept: text/event-stream`, and one
/// JSON object per line (`application/x-ndjson`) otherwise.
#[utoipa::path(
    get, path = "/v1/runs/{id}/logs", tag = "runs",
    params(
        ("id" = String, Path, description = "the run"),
        ("follow" = Option<bool>, Query, description = "stream lines until the run has ended or is parked"),
        ("limit" = Option<usize>, Query, description = "maximum number of lines, 1 to 500; not with `follow`"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page: the `seq` of the first line"),
        ("Last-Event-ID" = Option<String>, Header, description = "with `follow`: the `seq` of the last received line"),
    ),
    responses((status = 200, body = shapes::List<shapes::LogLine<'_>>))
)]
pub async fn logs(
    State(state): State<ApiState>,
    PathParams(id): PathParams<RunId>,
    query: RawQuery,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let params = query.only(&["follow", "limit", "cursor"])?;
    let follow = params.flag("follow")?;
    let from = begin(&params)?;
    find(&state, id).await?;
    if follow {
        let from = headers::last_event_id(&headers)?.map_or(from, |seq| seq.saturating_add(1));
        let format =
            if headers::accepts(&headers, "text/event-stream") { StreamFormat::Events } else { StreamFormat::Lines };
        return stream::answer(&state, format, LogFollower::new(&state, id, from, format));
    }
    page(&state, id, from, params.limit()?).await
}

async fn page(state: &ApiState, id: RunId, from: u64, limit: usize) -> ApiResult<Response> {
    let page = state.host.store().logs(id, from, limit).await?;
    let next = page.next.map(|seq| seq.to_string());
    Ok(ok(&shapes::List { items: page.lines.iter().map(shapes::LogLine::of).collect(), next }))
}

fn begin(params: &QueryParams) -> ApiResult<u64> {
    params.text("cursor")?.map_or(Ok(0), |text| {
        text.parse().map_err(|_| Problem::new(Code::BadCursor, "the cursor of a log is the `seq` of a line"))
    })
}
