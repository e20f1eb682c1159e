//! One action on many runs.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_store::records::{Action, RunFilter};

use super::filter;
use crate::deployments::get::check_known;
use crate::operations::json::{ACTIONS, begun};
use crate::problem::ApiResult;
use crate::request::{IdempotencyKey, JsonBody, RawQuery};
use crate::state::ApiState;

/// Acts on many runs
///
/// Applies to all matching runs that exist now. If the filter has no state, only runs in a suitable
/// state match: `parked` for `retry`, all that have not ended for `cancel` and `terminate`. The
/// request returns at once; `GET /v1/operations/{id}` shows the progress. The operation continues
/// after a restart.
#[utoipa::path(
    post, path = "/v1/runs/actions", tag = "runs",
    params(
        ("Idempotency-Key" = Option<String>, Header,
            description = "the same key is the same operation, for as long as it is kept; 1 to 255 visible ASCII characters"),
    ),
    request_body(content = shapes::RunActionRequest),
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
    let (action, filter) = read(body)?;
    check_known(&state, filter.deployment.as_ref()).await?;
    let operation = state.host.act(filter, action, key).await?;
    Ok(begun(&operation))
}

fn read(body: JsonBody) -> ApiResult<(Action, RunFilter)> {
    body.fields(|fields, problems| {
        let action = fields.require("action", "Write \"retry\", \"cancel\" or \"terminate\".", problems);
        let action = action.and_then(|action| action.choice(&ACTIONS, problems));
        let filter = fields.require("filter", "Say which runs: {\"state\": \"parked\"}.", problems);
        let filter = filter.and_then(|filter| filter::of_body(filter, problems));
        Some((action?, filter?))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> ApiResult<(Action, RunFilter)> {
        JsonBody::read(text.as_bytes()).and_then(read)
    }

    #[test]
    fn an_action_names_what_it_does_and_to_which_runs() {
        let (action, filter) = of(r#"{"action": "terminate", "filter": {"state": "suspended"}}"#).unwrap();
        assert_eq!((action, filter.states), (Action::Terminate, vec!["suspended".to_owned()]));
        for (body, pointer) in [
            ("{}", "/action"),
            (r#"{"action": "retry"}"#, "/filter"),
            (r#"{"action": "retry", "filter": {}}"#, "/filter"),
            (r#"{"action": "delete", "filter": {"state": "parked"}}"#, "/action"),
            (r#"{"action": "retry", "filter": {"state": "parked"}, "why": 1}"#, "/why"),
        ] {
            let problem = of(body).unwrap_err();
            assert!(problem.body().errors.iter().any(|field| field.pointer == pointer), "{body}: {problem:?}");
        }
    }

    proptest! {
        #[test]
        fn bodies_of_any_content_never_panic(text in "\\{(\"(action|filter|x)\":(\"[a-z]{0,9}\"|\\{\\}|\\{\"state\":[0-9]\\}|null),?){0,3}\\}?|\\PC{0,80}") {
            let _ = of(&text);
        }
    }
}
