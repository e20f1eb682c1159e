//! One action on many deliveries.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_store::records::DeliveryFilter;

use super::filter;
use crate::deployments::get::check_known;
use crate::operations::json::begun;
use crate::problem::ApiResult;
use crate::request::{IdempotencyKey, JsonBody, RawQuery};
use crate::state::ApiState;
use crate::wire::ok;

/// Maximum number of deliveries that a dry run counts.
const COUNT_MAX: u64 = 10_000;

/// Replays many deliveries
///
/// Starts a new run of each matching delivery that exists now. If the filter has no outcome, those
/// that are `done`, `failed`, `ignored` or `test` match. A delivery whose run has not
/// ended or is parked is left out. The request returns at once; `GET /v1/operations/{id}` shows the
/// progress. The operation continues after a restart and replays nothing twice.
#[utoipa::path(
    post, path = "/v1/deliveries/actions", tag = "deliveries",
    params(
        ("dry_run" = Option<bool>, Query, description = "only count the deliveries; start nothing"),
        ("Idempotency-Key" = Option<String>, Header,
            description = "the same key is the same operation, for as long as it is kept; 1 to 255 visible ASCII characters"),
    ),
    request_body(content = shapes::DeliveryActionRequest),
    responses(
        (status = 202, body = shapes::Operation<'_>, description = "the operation has started; `Location` is its path"),
        (status = 200, body = shapes::DeliveryReplayPlan, description = "with `dry_run`: the number of deliveries"),
        (status = 422, body = shapes::ProblemDetails, description = "there is no such action, the filter is empty, or the key started another action"),
    )
)]
pub async fn actions(
    State(state): State<ApiState>,
    query: RawQuery,
    IdempotencyKey(key): IdempotencyKey,
    body: JsonBody,
) -> ApiResult<Response> {
    let dry_run = query.only(&["dry_run"])?.flag("dry_run")?;
    let filter = read(body)?;
    check_known(&state, filter.deployment.as_ref()).await?;
    if dry_run {
        return Ok(ok(&shapes::DeliveryReplayPlan { deliveries: state.host.count_replays(filter, COUNT_MAX).await? }));
    }
    let operation = state.host.replay_deliveries(filter, key).await?;
    Ok(begun(&operation))
}

fn read(body: JsonBody) -> ApiResult<DeliveryFilter> {
    body.fields(|fields, problems| {
        let action = fields.require("action", "Write \"replay\".", problems);
        let action = action.and_then(|action| action.choice(&[("replay", ())], problems));
        let filter = fields.require("filter", "Say which deliveries: {\"outcome\": \"failed\"}.", problems);
        let filter = filter.and_then(|filter| filter::of_body(filter, problems));
        action.and(filter)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidemill_core::delivery::DeliveryOutcome;

    use super::*;

    fn of(text: &str) -> ApiResult<DeliveryFilter> {
        JsonBody::read(text.as_bytes()).and_then(read)
    }

    #[test]
    fn a_replay_names_its_deliveries() {
        let filter = of(r#"{"action": "replay", "filter": {"outcome": ["failed", "done"], "key": "evt_1"}}"#).unwrap();
        assert_eq!(filter.outcomes, [DeliveryOutcome::Failed, DeliveryOutcome::Done]);
        assert_eq!(filter.key.as_deref(), Some("evt_1"));
        for (body, pointer) in [
            ("{}", "/action"),
            (r#"{"action": "replay"}"#, "/filter"),
            (r#"{"action": "replay", "filter": {}}"#, "/filter"),
            (r#"{"action": "delete", "filter": {"hook": "a"}}"#, "/action"),
            (r#"{"action": "replay", "filter": {"outcome": "lost"}}"#, "/filter/outcome"),
            (r#"{"action": "replay", "filter": {"key": ""}}"#, "/filter/key"),
        ] {
            let problem = of(body).unwrap_err();
            assert!(problem.body().errors.iter().any(|field| field.pointer == pointer), "{body}: {problem:?}");
        }
    }

    proptest! {
        #[test]
        fn bodies_of_any_content_never_panic(text in "\\{(\"(action|filter|x)\":(\"[a-z]{0,9}\"|\\{\\}|\\{\"(key|outcome|since)\":\"\\PC{0,9}\"\\}|null),?){0,3}\\}?|\\PC{0,80}") {
            let _ = of(&text);
        }
    }
}
