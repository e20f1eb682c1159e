//! What persons do with incidents.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_control::IncidentAction;
use tidemill_core::healing::{ACTOR_BYTES, NOTE_BYTES};

use super::json;
use crate::problem::ApiResult;
use crate::request::{IncidentNumber, JsonBody, PathParams, RawQuery, required_words};
use crate::state::ApiState;
use crate::wire::ok;

const NOTE: &str = "Write a note for the timeline, at most 1024 bytes.";

/// Acknowledges an incident: a person has taken it on
#[utoipa::path(
    post, path = "/v1/incidents/{number}/acknowledge", tag = "incidents",
    params(("number" = u64, Path, description = "the incident's number")),
    request_body(content = shapes::IncidentRequest<'_>),
    responses((status = 200, body = shapes::Incident<'_>))
)]
pub async fn acknowledge(
    state: State<ApiState>,
    number: PathParams<IncidentNumber>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    act(state, number, query, body, IncidentAction::Acknowledge).await
}

/// Adds a note to the timeline of an incident
#[utoipa::path(
    post, path = "/v1/incidents/{number}/comment", tag = "incidents",
    params(("number" = u64, Path, description = "the incident's number")),
    request_body(content = shapes::IncidentRequest<'_>),
    responses((status = 200, body = shapes::Incident<'_>))
)]
pub async fn comment(
    state: State<ApiState>,
    number: PathParams<IncidentNumber>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    act(state, number, query, body, IncidentAction::Comment).await
}

/// Undoes the last step of an incident whose effect lasts
///
/// The deployment returns to the revision before a rollback, its runs return from the standby, or
/// its quarantine ends. The host repairs nothing more in this incident.
#[utoipa::path(
    post, path = "/v1/incidents/{number}/undo", tag = "incidents",
    params(("number" = u64, Path, description = "the incident's number")),
    request_body(content = shapes::IncidentRequest<'_>),
    responses((status = 200, body = shapes::Incident<'_>))
)]
pub async fn undo(
    state: State<ApiState>,
    number: PathParams<IncidentNumber>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    act(state, number, query, body, IncidentAction::Undo).await
}

/// Closes an incident by hand
///
/// A new one is opened only if the deployment has been healthy in the meantime.
#[utoipa::path(
    post, path = "/v1/incidents/{number}/close", tag = "incidents",
    params(("number" = u64, Path, description = "the incident's number")),
    request_body(content = shapes::IncidentRequest<'_>),
    responses((status = 200, body = shapes::Incident<'_>))
)]
pub async fn close(
    state: State<ApiState>,
    number: PathParams<IncidentNumber>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    act(state, number, query, body, IncidentAction::Close).await
}

async fn act(
    State(state): State<ApiState>,
    PathParams(IncidentNumber(number)): PathParams<IncidentNumber>,
    query: RawQuery,
    body: JsonBody,
    action: IncidentAction,
) -> ApiResult<Response> {
    query.only(&[])?;
    let (actor, note) = read(body)?;
    let incident = state.host.act_on_incident(number, action, actor, note).await?;
    Ok(ok(&json::incident(&incident)))
}

/// Reads the person and the note.
fn read(body: JsonBody) -> ApiResult<(String, String)> {
    body.fields(|fields, problems| {
        let note = required_words(fields, "note", NOTE, NOTE_BYTES, problems);
        let actor = fields.take("actor").map_or(Some("operator".to_owned()), |field| field.text(ACTOR_BYTES, problems));
        Some((actor?, note?))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> ApiResult<(String, String)> {
        JsonBody::read(text.as_bytes()).and_then(read)
    }

    #[test]
    fn an_action_has_a_note() {
        let read = of(r#"{"note": "I look at it", "actor": "ann"}"#).unwrap();
        assert_eq!(read, ("ann".to_owned(), "I look at it".to_owned()));
        for body in ["{}", r#"{"note": " "}"#, r#"{"note": 1}"#, r#"{"note": "x", "by": "y"}"#] {
            assert!(of(body).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn bodies_of_any_content_never_panic(text in "\\{(\"(note|actor)\":(\"[a-z ]{0,9}\"|[0-9]{0,3}|null),?){0,3}\\}?|\\PC{0,80}") {
            let _ = of(&text);
        }
    }
}
