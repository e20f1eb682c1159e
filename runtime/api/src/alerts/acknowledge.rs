//! Acknowledges an alert.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::AlertId;

use super::json;
use crate::config::NOTE_BYTES;
use crate::problem::ApiResult;
use crate::request::{JsonBody, PathParams, RawQuery};
use crate::silences::actor;
use crate::state::ApiState;
use crate::wire::ok;

/// Records that a person has seen an alert
///
/// It is neither repeated nor escalated any more; the notice that it is over is sent nevertheless.
/// An alert that was acknowledged before stays as it is. If it becomes more urgent later, it must
/// be acknowledged again.
#[utoipa::path(
    post, path = "/v1/alerts/{id}/acknowledge", tag = "alerts",
    params(("id" = String, Path, description = "the alert")),
    request_body(content = shapes::AcknowledgeRequest),
    responses((status = 200, body = shapes::Alert<'_>))
)]
pub async fn acknowledge(
    State(state): State<ApiState>,
    PathParams(id): PathParams<AlertId>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    query.only(&[])?;
    let (actor, note) = read(body)?;
    let view = state.host.acknowledge_alert(id, actor, note).await?;
    Ok(ok(&json::alert(&view)))
}

fn read(body: JsonBody) -> ApiResult<(String, String)> {
    body.fields(|fields, problems| {
        let note = fields.take("note").map_or(Some(String::new()), |field| field.text(NOTE_BYTES, problems));
        Some((actor(fields, problems)?, note?))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_acknowledgement_has_an_actor_and_may_have_a_note() {
        let of = |text: &str| JsonBody::read(text.as_bytes()).and_then(read);
        assert_eq!(of("{}").unwrap(), ("operator".to_owned(), String::new()));
        assert_eq!(of(r#"{"actor": "ann", "note": "on it"}"#).unwrap(), ("ann".to_owned(), "on it".to_owned()));
        for body in [r#"{"actor": " "}"#, r#"{"actor": 1}"#, r#"{"note": []}"#, r#"{"by": "ann"}"#] {
            assert!(of(body).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn bodies_of_any_content_never_panic(text in "\\{(\"(note|actor)\":(\"[a-z ]{0,9}\"|[0-9]{0,3}|null),?){0,3}\\}?|\\PC{0,80}") {
            let _ = JsonBody::read(text.as_bytes()).and_then(read);
        }
    }
}
