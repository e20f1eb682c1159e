//! Creates a silence.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::alerts::{AlertSeverity, NewSilence, SILENCE_MAX_MILLIS, SilenceMatcher};
use tidemill_core::{InputProblem, Timestamp};

use super::{actor, json};
use crate::config::NOTE_BYTES;
use crate::problem::ApiResult;
use crate::request::{JsonBody, RawQuery, required_words};
use crate::state::ApiState;
use crate::wire::json as json_answer;

/// Creates a silence
///
/// Alerts that match it fire and end, but are not announced, repeated or escalated until it ends.
/// Then those that still fire are announced. The notice that an alert is over is always sent to the
/// channels that know of it.
#[utoipa::path(
    post, path = "/v1/silences", tag = "alerts",
    request_body(content = shapes::SilenceRequest),
    responses(
        (status = 201, body = shapes::Silence<'_>),
        (status = 422, body = shapes::ProblemDetails, description = "a field is not valid"),
    )
)]
pub async fn create(State(state): State<ApiState>, query: RawQuery, body: JsonBody) -> ApiResult<Response> {
    query.only(&[])?;
    let new = read(body, state.host.clock().now())?;
    let silence = state.host.add_silence(new).await?;
    Ok(json_answer(StatusCode::CREATED, &json::silence(&silence)))
}

fn read(body: JsonBody, now: Timestamp) -> ApiResult<NewSilence> {
    const ENDS: &str = "Write when the silence ends, within 90 days, such as \"2026-01-31T12:00:00Z\".";
    const NOTE: &str = "Give the reason, such as \"the provider moves\".";
    const MATCHER: &str = "Name a `rule`, a `deployment` or a `severity`.";
    body.fields(|fields, problems| {
        let before = problems.len();
        let rule = fields.take("rule").and_then(|field| field.parse(problems));
        let deployment = fields.take("deployment").and_then(|field| tidemill_core::policy::pattern(field, problems));
        let severities = AlertSeverity::ALL.map(|severity| (severity.as_str(), severity));
        let severity = fields.take("severity").and_then(|field| field.choice(&severities, problems));
        let matcher = SilenceMatcher { rule, deployment, severity };
        if matcher.is_empty() && problems.len() == before {
            problems.push(InputProblem::field("", "the silence would match every alert", MATCHER));
        }
        let ends_at = fields.require("ends", ENDS, problems).and_then(|field| {
            let pointer = field.pointer.clone();
            let ends_at = field.time(problems)?;
            let why = if ends_at <= now {
                "the end of the silence has passed"
            } else if ends_at.millis_since(now) > SILENCE_MAX_MILLIS {
                "the silence would last for more than 90 days"
            } else {
                return Some(ends_at);
            };
            problems.push(InputProblem::field(pointer, why, ENDS));
            None
        });
        let note = required_words(fields, "note", NOTE, NOTE_BYTES, problems);
        let actor = actor(fields, problems);
        Some(NewSilence { matcher, ends_at: ends_at?, note: note?, actor: actor? })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_767_571_200_000);

    fn of(body: &Value) -> ApiResult<NewSilence> {
        JsonBody::read(body.to_string().as_bytes()).and_then(|body| read(body, NOW))
    }

    #[test]
    fn a_silence_names_what_it_silences_its_end_and_its_reason() {
        let body = json!({ "deployment": "team-*", "severity": "ticket", "ends": "2026-01-06T00:00:00Z", "note": "x" });
        let new = of(&body).unwrap();
        assert_eq!(new.matcher.deployment.as_deref(), Some("team-*"));
        assert_eq!((new.ends_at.millis_since(NOW), new.actor.as_str()), (86_400_000, "operator"));
        for (field, value, pointer) in [
            ("ends", json!(null), "/ends"),
            ("ends", json!("2026-01-05T00:00:00Z"), "/ends"),
            ("ends", json!("2026-04-06T00:00:00Z"), "/ends"),
            ("note", json!(" "), "/note"),
            ("severity", json!("urgent"), "/severity"),
            ("deployment", json!("-"), "/deployment"),
            ("rule", json!("Not A Rule"), "/rule"),
            ("actor", json!(""), "/actor"),
        ] {
            let mut body = body.clone();
            body[field] = value;
            let problem = of(&body).unwrap_err();
            assert_eq!(problem.body().errors[0].pointer, pointer, "{body}");
        }
    }

    #[test]
    fn a_silence_without_an_end_or_for_everything_is_refused() {
        let problem = of(&json!({ "rule": "unhealthy", "note": "x" })).unwrap_err();
        assert_eq!(problem.body().errors[0].pointer, "/ends");
        let problem = of(&json!({ "ends": "2026-01-06T00:00:00Z", "note": "x" })).unwrap_err();
        assert!(problem.body().detail.contains("every alert"), "{}", problem.body().detail);
    }

    proptest! {
        #[test]
        fn bodies_of_any_content_never_panic(text in "\\{(\"(rule|ends|note|deployment)\":(\"[a-z0-9:TZ* -]{0,20}\"|[0-9]{0,3}|null),?){0,4}\\}?|\\PC{0,80}") {
            let _ = JsonBody::read(text.as_bytes()).and_then(|body| read(body, NOW));
        }
    }
}
