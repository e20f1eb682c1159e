//! Giving a subscription again what it was given.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use tidemill_core::{DeploymentName, SubscriptionName, Timestamp};
use utoipa::ToSchema;

use crate::operations::json::{OperationJson, begun};
use crate::problem::{ApiResult, ProblemBody};
use crate::request::{IdempotencyKey, JsonBody, PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::ok;

/// Of which time. [`read`] reads it.
#[derive(Debug, ToSchema)]
pub struct ReplayRequest {
    /// Events published at or after this time (RFC 3339).
    #[schema(example = "2026-01-31T12:00:00Z")]
    #[expect(dead_code, reason = "a description of the body, for the OpenAPI document")]
    since: String,
    /// And before this one; up to now where it is left out.
    #[expect(dead_code, reason = "a description of the body, for the OpenAPI document")]
    until: Option<String>,
}

/// The events that a replay would look at.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplayPlan)]
pub struct ReplayPlanJson {
    /// How many they are. The subscription's filter decides which of them make runs.
    events: u64,
}

/// Gives a subscription events again
///
/// Makes a run for each event of that time that the subscription was given before and that is still kept, in order and with its filter as
/// it is now; `details` of their trigger name the replay. The subscription stays where it stands: what waits for it comes by itself, and
/// once. The answer comes at once; `GET /v1/operations/{id}` says how far it has come. It goes on after a restart, and doubles nothing.
#[utoipa::path(
    post, path = "/v1/subscriptions/{deployment}/{name}/replay", tag = "subscriptions",
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("name" = String, Path, description = "the subscription"),
        ("dry_run" = Option<bool>, Query, description = "says how many events it would look at, and begins nothing"),
        ("Idempotency-Key" = Option<String>, Header,
            description = "the same key is the same operation, for as long as it is kept; 1 to 255 visible ASCII characters"),
    ),
    request_body(content = ReplayRequest),
    responses(
        (status = 202, body = OperationJson<'_>, description = "it has begun; `Location` says where to look"),
        (status = 200, body = ReplayPlanJson, description = "with `dry_run`: what it would look at"),
        (status = 422, body = ProblemBody, description = "the range is none, or the key began a replay of another one"),
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
        return Ok(ok(&ReplayPlanJson { events: state.host.replay_size(&deployment, &name, since, until).await? }));
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
        fn no_body_makes_a_panic(text in "\\{(\"(since|until|x)\":(\"[0-9TZ:-]{0,21}\"|\\{\\}|null),?){0,3}\\}?|\\PC{0,80}") {
            let _ = of(&text);
        }
    }
}
