//! Replaying events to a subscription.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::{DeploymentName, SubscriptionName, Timestamp};

use crate::operations::json::begun;
use crate::problem::ApiResult;
use crate::request::{IdempotencyKey, JsonBody, PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::ok;

/// Replays events to a subscription
///
/// Creates a run for each event of that time range that was delivered to the subscription before
/// and is still kept, in order and with the current filter; `details` of the trigger name the
/// replay. The subscription's position does not change: events that wait for it are delivered
/// separately, once. The request returns at once; `GET /v1/operations/{id}` shows the progress. The
/// operation continues after a restart and duplicates nothing.
#[utoipa::path(
    post, path = "/v1/subscriptions/{deployment}/{name}/replay", tag = "subscriptions",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the subscription"),
        ("dry_run" = Option<bool>, Query, description = "only count the events; start nothing"),
        ("Idempotency-Key" = Option<String>, Header,
            description = "the same key is the same operation, for as long as it is kept; 1 to 255 visible ASCII characters"),
    ),
    request_body(content = shapes::ReplayRequest),
    responses(
        (status = 202, body = shapes::Operation<'_>, description = "the operation has started; `Location` is its path"),
        (status = 200, body = shapes::ReplayPlan, description = "with `dry_run`: the events that it would examine"),
        (status = 422, body = shapes::ProblemDetails, description = "the range is not valid, or the key started a replay of another range"),
    )
)]
pub async fn replay(
    State(state): State<ApiState>,
    PathParams((deployment, name)): PathParams<(DeploymentName, SubscriptionName)>,
    query: RawQuery,
    IdempotencyKey(key): IdempotencyKey,
    body: JsonBody,
) -> ApiResult<Response> {
    let dry_run = query.only(&["dry_run"])?.flag("dry_run")?;
    let (since, until) = read(body)?;
    if dry_run {
        return Ok(ok(&shapes::ReplayPlan { events: state.host.replay_size(&deployment, &name, since, until).await? }));
    }
    let operation = state.host.replay(&deployment, &name, since, until, key).await?;
    Ok(begun(&operation))
}

fn read(body: JsonBody) -> ApiResult<(Timestamp, Option<Timestamp>)> {
    body.fields(|fields, problems| {
        let since = fields.require("since", "Say from which time on, such as \"2026-01-31T12:00:00Z\".", problems);
        let since = since.and_then(|since| since.time(problems));
        let until = fields.take("until").and_then(|until| until.time(problems));
        Some((since?, until))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> ApiResult<(Timestamp, Option<Timestamp>)> {
        JsonBody::read(text.as_bytes()).and_then(read)
    }

    #[test]
    fn a_replay_names_its_range() {
        let (since, until) = of(r#"{"since": "1970-01-01T00:00:01Z"}"#).unwrap();
        assert_eq!((since, until), (Timestamp::from_millis(1_000), None));
        for (body, pointer) in [
            ("{}", "/since"),
            (r#"{"since": 5}"#, "/since"),
            (r#"{"since": "1970-01-01T00:00:01Z", "until": "then"}"#, "/until"),
            (r#"{"since": "1970-01-01T00:00:01Z", "from": "x"}"#, "/from"),
        ] {
            let problem = of(body).unwrap_err();
            assert!(problem.body().errors.iter().any(|field| field.pointer == pointer), "{body}: {problem:?}");
        }
    }

    proptest! {
        #[test]
        fn bodies_of_any_content_never_panic(text in "\\{(\"(since|until|x)\":(\"[0-9TZ:-]{0,21}\"|\\{\\}|null),?){0,3}\\}?|\\PC{0,80}") {
            let _ = of(&text);
        }
    }
}
