//! Pausing, resuming and resyncing many schedules.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types::{self as shapes, ScheduleAction};
use tidemill_control::ScheduleFilter;
use tidemill_core::wire::{InputProblem as Wrong, ObjectField};

use crate::deployments::get::check_known;
use crate::operations::json::begun;
use crate::problem::ApiResult;
use crate::request::filter::labels_of;
use crate::request::{IdempotencyKey, JsonBody, RawQuery};
use crate::state::ApiState;

/// Maximum length of a note, in bytes.
const NOTE: usize = tidemill_control::NOTE_BYTES;

/// Pauses, resumes or resyncs many schedules
///
/// Acts on every schedule that matches the filter, except those that are already in the target
/// state. `resync` makes schedules follow the clock that are silent because it was set back. The
/// request returns at once; `GET /v1/operations/{id}` shows the progress. The operation continues
/// after a restart.
#[utoipa::path(
    post, path = "/v1/schedules/actions", tag = "schedules",
    params(
        ("Idempotency-Key" = Option<String>, Header,
            description = "the same key is the same operation, for as long as it is kept; 1 to 255 visible ASCII characters"),
    ),
    request_body(content = shapes::ScheduleActionRequest),
    responses(
        (status = 202, body = shapes::Operation<'_>, description = "the operation has started; `Location` is its path"),
        (status = 422, body = shapes::ProblemDetails, description = "there is no such action, the filter is empty, or the key started another action"),
    )
)]
pub async fn actions(
    State(state): State<ApiState>,
    query: RawQuery,
    IdempotencyKey(key): IdempotencyKey,
    body: JsonBody,
) -> ApiResult<Response> {
    query.only(&[])?;
    let (filter, steer, note) = read(body)?;
    check_known(&state, filter.deployment.as_ref()).await?;
    let operation = match steer {
        ScheduleAction::Pause => state.host.update_schedules(filter, Some(note), key).await?,
        ScheduleAction::Resume => state.host.update_schedules(filter, None, key).await?,
        ScheduleAction::Resync => state.host.resync(filter, key).await?,
    };
    Ok(begun(&operation))
}

fn read(body: JsonBody) -> ApiResult<(ScheduleFilter, ScheduleAction, String)> {
    let choices = ScheduleAction::ALL.map(|action| (action.as_str(), action));
    body.fields(|fields, problems| {
        let action = fields.require("action", "Write \"pause\", \"resume\" or \"resync\".", problems);
        let steer = action.and_then(|action| action.choice(&choices, problems));
        let filter = fields.require("filter", "Say which: {\"deployment\": \"NAME\"} or {\"all\": true}.", problems);
        let filter = filter.and_then(|filter| schedules(filter, problems));
        let note = fields.take("note");
        if let (Some(field), Some(ScheduleAction::Resume | ScheduleAction::Resync)) = (&note, steer) {
            let fix = "Omit it: a note is the reason for a pause.";
            problems.push(Wrong::field(field.pointer.clone(), "only a pause has a note", fix));
        }
        let note = note.and_then(|note| note.text(NOTE, problems));
        Some((filter?, steer?, note.unwrap_or_default()))
    })
}

fn schedules(field: ObjectField, problems: &mut Vec<Wrong>) -> Option<ScheduleFilter> {
    let pointer = field.pointer.clone();
    let mut fields = field.object(problems)?;
    let before = problems.len();
    let all = fields.take("all").and_then(|field| field.boolean(problems)).unwrap_or(false);
    let deployment = fields.take("deployment").and_then(|field| field.parse(problems));
    let labels = fields.take("label").map(|field| labels_of(field, problems)).unwrap_or_default();
    fields.finish(problems);
    if problems.len() > before {
        return None;
    }
    let named = deployment.is_some() || !labels.is_empty();
    if all == named {
        let fix = "Name a deployment or a label, or write \"all\": true.";
        problems.push(Wrong::field(pointer, "a filter needs a deployment, labels or `all`", fix));
        return None;
    }
    Some(ScheduleFilter { deployment, labels })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> ApiResult<(ScheduleFilter, ScheduleAction, String)> {
        JsonBody::read(text.as_bytes()).and_then(read)
    }

    #[test]
    fn an_action_names_what_it_does_and_with_which_schedules() {
        let all = of(r#"{"action": "pause", "filter": {"all": true}, "note": "moving"}"#).unwrap();
        assert_eq!(all, (ScheduleFilter::default(), ScheduleAction::Pause, "moving".to_owned()));
        let resync = of(r#"{"action": "resync", "filter": {"all": true}}"#).unwrap();
        assert_eq!(resync, (ScheduleFilter::default(), ScheduleAction::Resync, String::new()));
        let some = of(r#"{"action": "resume", "filter": {"deployment": "a", "label": "team=x"}}"#).unwrap();
        let labels = vec![("team".to_owned(), "x".to_owned())];
        let filter = ScheduleFilter { deployment: Some("a".parse().unwrap()), labels };
        assert_eq!(some, (filter, ScheduleAction::Resume, String::new()));
        for (body, pointer) in [
            ("{}", "/action"),
            (r#"{"action": "pause"}"#, "/filter"),
            (r#"{"action": "pause", "filter": {}}"#, "/filter"),
            (r#"{"action": "pause", "filter": {"all": true, "deployment": "a"}}"#, "/filter"),
            (r#"{"action": "stop", "filter": {"all": true}}"#, "/action"),
            (r#"{"action": "resume", "filter": {"all": true}, "note": "x"}"#, "/note"),
        ] {
            let problem = of(body).unwrap_err();
            assert!(problem.body().errors.iter().any(|field| field.pointer == pointer), "{body}: {problem:?}");
        }
    }

    proptest! {
        #[test]
        fn bodies_of_any_content_never_panic(text in "\\{(\"(action|filter|note)\":(\"[a-z]{0,9}\"|\\{\\}|\\{\"all\":[a-z]{0,4}\\}|null),?){0,3}\\}?|\\PC{0,80}") {
            let _ = of(&text);
        }
    }
}
