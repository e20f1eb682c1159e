//! Backfilling a schedule: creating runs for nominal times in the past.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_control::BackfillRequest;
use tidemill_core::schedule::Overlap;
use tidemill_core::{DeploymentName, ScheduleName, Timestamp};

use crate::operations::json::begun;
use crate::problem::ApiResult;
use crate::request::{IdempotencyKey, JsonBody, PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// The parsed body of a backfill request.
struct BackfillBody {
    start: Timestamp,
    end: Timestamp,
    overlap: Option<Overlap>,
}

/// Backfills firings in the past
///
/// Creates a run for each nominal time in the range, at most 100,000, by the schedule as it is now.
/// `trigger.at` is the nominal time, and `trigger.details` contains `backfill`. The request returns
/// at once; `GET /v1/operations/{id}` shows the progress. The operation continues after a restart
/// and fires each nominal time once. Repeating the request with the same `Idempotency-Key` returns
/// the same operation.
#[utoipa::path(
    post, path = "/v1/schedules/{deployment}/{name}/backfill", tag = "schedules",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the schedule"),
        ("dry_run" = Option<bool>, Query, description = "only count the firings; start nothing"),
        ("Idempotency-Key" = Option<String>, Header,
            description = "the same key is the same operation, for as long as it is kept; 1 to 255 visible ASCII characters"),
    ),
    request_body(content = shapes::BackfillRequest),
    responses(
        (status = 202, body = shapes::Operation<'_>, description = "the operation has started; `Location` is its path"),
        (status = 200, body = shapes::BackfillPlan, description = "with `dry_run`: the firings that it would make"),
        (status = 422, body = shapes::ProblemDetails, description = "the range is empty, too long or not over"),
    )
)]
pub async fn backfill(
    State(state): State<ApiState>,
    PathParams((deployment, schedule)): PathParams<(DeploymentName, ScheduleName)>,
    query: RawQuery,
    IdempotencyKey(key): IdempotencyKey,
    body: JsonBody,
) -> ApiResult<Response> {
    let dry_run = query.only(&["dry_run"])?.flag("dry_run")?;
    let BackfillBody { start, end, overlap } = read(body)?;
    let ask = BackfillRequest { deployment, schedule, start, end, overlap, key };
    if dry_run {
        return Ok(ok(&shapes::BackfillPlan::of(state.host.backfill_span(&ask).await?)));
    }
    let operation = state.host.backfill(ask).await?;
    Ok(begun(&operation))
}

fn read(body: JsonBody) -> ApiResult<BackfillBody> {
    const FIX: &str = "Write an instant such as \"2026-01-31T12:00:00Z\".";
    body.fields(|fields, problems| {
        let start = fields.require("start", FIX, problems).and_then(|field| field.time(problems));
        let end = fields.require("end", FIX, problems).and_then(|field| field.time(problems));
        let policies = Overlap::ALL.map(|policy| (policy.as_str(), policy));
        let overlap = fields.take("overlap").map(|field| field.choice(&policies, problems));
        Some(BackfillBody { start: start?, end: end?, overlap: overlap.flatten() })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> ApiResult<BackfillBody> {
        JsonBody::read(text.as_bytes()).and_then(read)
    }

    #[test]
    fn a_range_has_both_ends_and_may_have_a_policy() {
        let asked =
            of(r#"{"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z", "overlap": "allow"}"#).unwrap();
        assert_eq!((asked.end.millis_since(asked.start), asked.overlap), (24 * 3_600_000, Some(Overlap::Allow)));
        for (body, pointer) in [
            (r#"{"end": "2026-01-02T00:00:00Z"}"#, "/start"),
            (r#"{"start": "2026-01-02T00:00:00Z"}"#, "/end"),
            (r#"{"start": "yesterday", "end": "2026-01-02T00:00:00Z"}"#, "/start"),
            (r#"{"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z", "overlap": "some"}"#, "/overlap"),
            (r#"{"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z", "why": 1}"#, "/why"),
        ] {
            let problem = of(body).map(|_| ()).unwrap_err();
            assert!(problem.body().errors.iter().any(|field| field.pointer == pointer), "{body}: {problem:?}");
        }
    }

    proptest! {
        #[test]
        fn bodies_of_any_content_never_panic(text in "\\{(\"(start|end|overlap)\":(\"[0-9TZ:-]{0,24}\"|[0-9]{0,9}|null),?){0,3}\\}?|\\PC{0,80}") {
            let _ = of(&text);
        }
    }
}
