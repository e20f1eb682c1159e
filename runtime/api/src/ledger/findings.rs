//! What is odd about the ledger: lists findings, and closes one by hand.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::Code;
use tidemill_core::money::LedgerStream;
use tidemill_core::money::report::FindingKind;
use tidemill_store::StoreError;
use tidemill_store::records::{FindingClosure, FindingFilter};

use super::grant::ACTOR_BYTES;
use super::{Amounts, json};
use crate::config::NOTE_BYTES;
use crate::list::{list_of, page_request};
use crate::problem::{ApiResult, Problem};
use crate::request::{FindingNumber, JsonBody, PathParams, RawQuery, bad, required_words};
use crate::state::ApiState;
use crate::wire::ok;

/// Lists findings, the latest first
///
/// A finding names what does not add up. It is open until later entries explain it, or until a
/// person closes it with a reason. A page may be shorter than `limit` although others follow.
#[utoipa::path(
    get, path = "/v1/ledger/findings", tag = "ledger",
    params(
        ("state" = Option<String>, Query, description = "`open` (if left out), or `closed` by a person"),
        ("kind" = Option<String>, Query, description = "of this kind, such as `over-refunded`"),
        ("stream" = Option<String>, Query, description = "of this stream"),
        ("paper" = Option<bool>, Query, description = "about streams on paper instead"),
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::List<shapes::Finding<'_>>))
)]
pub async fn list(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&["state", "kind", "stream", "paper", "limit", "cursor"])?;
    let closed = match params.text("state")? {
        None | Some("open") => false,
        Some("closed") => true,
        Some(other) => return Err(bad("state", other, "it is `open` or `closed`")),
    };
    let kind = params
        .text("kind")?
        .map(|text| FindingKind::parse(text).ok_or_else(|| bad("kind", text, "there is no such kind of finding")));
    let (kind, stream) = (kind.transpose()?, params.parsed::<LedgerStream>("stream")?);
    let filter = FindingFilter { closed, kind, stream, paper: params.flag("paper")? };
    let scope = format!("findings {filter:?}");
    let page = state.host.store().findings(filter, page_request(&params, &scope)?).await?;
    let amounts = Amounts::of(&state).await?;
    Ok(ok(&list_of(&page, &scope, |finding| json::finding(finding, &amounts))))
}

/// Closes a finding by hand
///
/// It is opened again if its amount changes. Closing a closed finding changes nothing.
#[utoipa::path(
    post, path = "/v1/ledger/findings/{number}/close", tag = "ledger",
    params(("number" = u64, Path, description = "the finding's number")),
    request_body(content = shapes::FindingClosure<'_>),
    responses((status = 200, body = shapes::Finding<'_>))
)]
pub async fn close(
    State(state): State<ApiState>,
    PathParams(FindingNumber(number)): PathParams<FindingNumber>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    query.only(&[])?;
    let (actor, reason) = read(body)?;
    let closure = FindingClosure { at: state.host.clock().now(), actor, reason };
    match state.host.store().close_finding(number, closure).await {
        Ok(finding) => {
            let amounts = Amounts::of(&state).await?;
            Ok(ok(&json::finding(&finding, &amounts)))
        }
        Err(StoreError::NotFound { .. }) => {
            let detail = format!("there is no finding {number}; entries may have explained it");
            Err(Problem::new(Code::FindingNotFound, detail))
        }
        Err(other) => Err(other.into()),
    }
}

/// Reads the person and the reason.
fn read(body: JsonBody) -> ApiResult<(String, String)> {
    const REASON: &str = "Write why the finding is no problem.";
    body.fields(|fields, problems| {
        let reason = required_words(fields, "reason", REASON, NOTE_BYTES, problems);
        let actor = fields.take("actor").map_or(Some("operator".to_owned()), |field| field.text(ACTOR_BYTES, problems));
        Some((actor?, reason?))
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
    fn a_finding_is_closed_with_a_reason() {
        let closed = of(r#"{"reason": "goodwill", "actor": "ann"}"#).unwrap();
        assert_eq!(closed, ("ann".to_owned(), "goodwill".to_owned()));
        for body in ["{}", r#"{"reason": " "}"#, r#"{"reason": 1}"#, r#"{"reason": "x", "by": "y"}"#] {
            assert!(of(body).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn bodies_of_any_content_never_panic(text in "\\{(\"(reason|actor)\":(\"[a-z ]{0,9}\"|[0-9]{0,3}|null),?){0,3}\\}?|\\PC{0,80}") {
            let _ = of(&text);
        }
    }
}
