//! Corrections by hand: the reversal of an entry, and the right entry if there is one. Nothing is
//! edited.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use serde_json::value::{RawValue, to_raw_value};
use tidemill_api_types as shapes;
use tidemill_core::manifest::LedgerPolicy;
use tidemill_core::money::{
    CUSTOMER_BYTES, DESCRIPTION_BYTES, EntryCall, EntryDraft, EntryKind, InvalidEntry, parse_decimal,
};
use tidemill_core::{Code, InputProblem, Timestamp};
use tidemill_store::records::{HandEntry, LedgerEntry, NewEntry};

use super::grant::ACTOR_BYTES;
use super::hand_entry::{hand_entry, posted};
use super::{Amounts, policy_of, show};
use crate::config::NOTE_BYTES;
use crate::problem::{ApiResult, Problem};
use crate::request::{JsonBody, PathParams, RawQuery, required_words};
use crate::state::ApiState;
use crate::wire::ok;

/// Maximum length of a kind, a currency or an amount, in bytes.
const WORD_BYTES: usize = 64;
/// Members of the metadata that relate entries to each other, so that what undoes an entry has them
/// too.
const LINKS: [&str; 2] = ["conversion", "invoice"];

/// What a person wants to be corrected.
struct Correction {
    by_hand: HandEntry,
    right: Option<RightEntry>,
}

/// The entry that replaces the wrong one. A field that is `None` is copied from the wrong one.
#[derive(Default)]
struct RightEntry {
    kind: Option<String>,
    amount: Option<String>,
    currency: Option<String>,
    occurred_at: Option<Timestamp>,
    customer: Option<String>,
    description: Option<String>,
}

/// Corrects an entry by hand
///
/// Posts the reversal of the entry, and the right entry if the body has one, with the person and
/// the reason. Both are dated as the entry was. Repeating the same correction changes nothing.
#[utoipa::path(
    post, path = "/v1/ledger/entries/{id}/correct", tag = "ledger",
    params(("id" = String, Path, description = "the entry's id or sequence number")),
    request_body(content = shapes::CorrectionRequest<'_>),
    responses(
        (status = 200, body = shapes::CorrectionResult<'_>, description = "the new entries, or those of the same correction before"),
        (status = 409, body = shapes::ProblemDetails, description = "the entry was corrected otherwise before"),
        (status = 422, body = shapes::ProblemDetails, description = "the entry posts no amount, or a field is not valid"),
    )
)]
pub async fn correct(
    State(state): State<ApiState>,
    PathParams(id): PathParams<String>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    query.only(&[])?;
    let correction = read(body)?;
    let wrong = show::find(&state, &id).await?;
    let mut entries = vec![reversal(&state, &wrong, &correction)?];
    if let Some(right) = &correction.right {
        entries.push(right_entry(&state, &wrong, right, &correction)?);
    }
    let LedgerPolicy { late_usage_millis, floors, .. } = policy_of(&state, &wrong.stream).await?;
    let of_stream = |entry: NewEntry| {
        let currency = state.host.currencies().get(&entry.currency);
        let customer_floor = currency.and_then(|currency| floors.of_customer(&currency).ok());
        NewEntry { paper: wrong.paper, late_usage_millis, customer_floor, ..entry }
    };
    let entries = entries.into_iter().map(of_stream).collect();
    let appended = state.host.store().append_entries(entries, state.host.clock().now()).await?;
    Ok(ok(&posted(&appended, &Amounts::of(&state).await?)))
}

fn read(body: JsonBody) -> ApiResult<Correction> {
    const REASON: &str = "Write why the entry is wrong.";
    body.fields(|fields, problems| {
        let reason = required_words(fields, "reason", REASON, NOTE_BYTES, problems);
        let actor = fields.take("actor").map_or(Some("operator".to_owned()), |field| field.text(ACTOR_BYTES, problems));
        let right = match fields.take("entry") {
            None => Some(None),
            Some(field) => field.object(problems).map(|mut fields| {
                let mut text =
                    |name: &'static str, bytes: usize| fields.take(name).and_then(|field| field.text(bytes, problems));
                let (kind, amount) = (text("kind", WORD_BYTES), text("amount", WORD_BYTES));
                let (currency, customer) = (text("currency", WORD_BYTES), text("customer", CUSTOMER_BYTES));
                let description = text("description", DESCRIPTION_BYTES);
                let occurred_at = fields.take("occurred_at").and_then(|field| field.time(problems));
                fields.finish(problems);
                Some(RightEntry { kind, amount, currency, occurred_at, customer, description })
            }),
        };
        Some(Correction { by_hand: HandEntry { actor: actor?, reason: reason? }, right: right? })
    })
}

/// Returns the entry that undoes another one.
fn reversal(state: &ApiState, wrong: &LedgerEntry, correction: &Correction) -> ApiResult<NewEntry> {
    let conflict = |why: String| Problem::new(Code::BadEntry, format!("entry {} {why}", wrong.sequence));
    if wrong.legs.is_empty() {
        return Err(conflict("posts no amount".to_owned()).fix("Void the reservation instead."));
    }
    let kind = EntryKind::parse(&wrong.kind).ok_or_else(|| conflict("has a kind of a later release".to_owned()))?;
    let (kind, minor_units) = match kind.opposite() {
        Some(opposite) => (opposite, wrong.minor_units),
        None => (kind, wrong.minor_units.checked_neg().ok_or_else(|| conflict("has no opposite amount".to_owned()))?),
    };
    let draft = EntryDraft {
        call: EntryCall::Correct,
        external_id: &format!("entry-{}/corrected", wrong.sequence),
        kind: kind.as_str(),
        minor_units,
        currency: &wrong.currency,
        occurred_at: wrong.occurred_at,
        customer: wrong.customer.as_deref(),
        description: &format!("correction of entry {}", wrong.sequence),
        metadata: &metadata(wrong, Some(&wrong.external_id), |name| LINKS.contains(&name)),
    };
    let posting = draft.check(state.host.currencies()).map_err(|why| conflict(format!("cannot be undone: {why}")))?;
    Ok(hand_entry(&wrong.stream, &draft, posting, correction.by_hand.clone()))
}

/// Returns the entry in place of a wrong one.
fn right_entry(
    state: &ApiState,
    wrong: &LedgerEntry,
    right: &RightEntry,
    correction: &Correction,
) -> ApiResult<NewEntry> {
    let bad = |field: &str, why: String| {
        let fix = "Write the field as an entry of the ledger has it.";
        let problem = InputProblem::field(format!("/entry/{field}"), why, fix);
        Problem::of_fields(Code::BadField, vec![problem])
    };
    let currency = right.currency.as_deref().unwrap_or(&wrong.currency);
    let unit = state.host.currencies().get(currency);
    let unit = unit.ok_or_else(|| bad("currency", "the ledger has no such currency".to_owned()))?;
    let minor_units = match &right.amount {
        Some(amount) => parse_decimal(amount, unit.exponent()).map_err(|why| bad("amount", why.to_string()))?,
        None if currency == wrong.currency => wrong.minor_units,
        None => return Err(bad("amount", "another currency needs an amount".to_owned())),
    };
    let draft = EntryDraft {
        call: EntryCall::Correct,
        external_id: &format!("entry-{}/right", wrong.sequence),
        kind: right.kind.as_deref().unwrap_or(&wrong.kind),
        minor_units,
        currency,
        occurred_at: right.occurred_at.unwrap_or(wrong.occurred_at),
        customer: right.customer.as_deref().or(wrong.customer.as_deref()),
        description: right.description.as_deref().unwrap_or(&wrong.description),
        metadata: &metadata(wrong, wrong.of.as_deref(), |_| true),
    };
    let posting = draft.check(state.host.currencies()).map_err(|why| {
        let field = match &why {
            InvalidEntry::Kind { .. } => "kind",
            InvalidEntry::Currency(_) => "currency",
            InvalidEntry::Sign { .. } | InvalidEntry::ReservedSign(_) | InvalidEntry::Overflow(_) => "amount",
            InvalidEntry::Grant(_) => "metadata",
            InvalidEntry::Field { field: "occurred-at", .. } => "occurred_at",
            InvalidEntry::Field { field, .. } => field,
        };
        bad(field, why.to_string())
    })?;
    Ok(hand_entry(&wrong.stream, &draft, posting, correction.by_hand.clone()))
}

/// Returns the metadata of an entry by hand: some members of the wrong entry's, what it answers,
/// and the number of the wrong entry.
fn metadata(wrong: &LedgerEntry, of: Option<&str>, keeps: impl Fn(&str) -> bool) -> String {
    // The text of other members stays as it is, because a number may exceed what JSON readers keep.
    let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&wrong.metadata).unwrap_or_default();
    members.retain(|name, _| name != "of" && keeps(name));
    let own = [("of", of.and_then(|of| to_raw_value(of).ok())), ("corrects", to_raw_value(&wrong.sequence).ok())];
    members.extend(own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    serde_json::to_string(&members).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> ApiResult<Correction> {
        JsonBody::read(text.as_bytes()).and_then(read)
    }

    #[test]
    fn a_correction_has_a_reason() {
        let correction = of(r#"{"reason": "typo", "entry": {"amount": "5.00"}}"#).unwrap();
        assert_eq!(
            (correction.by_hand.actor.as_str(), correction.right.unwrap().amount.as_deref()),
            ("operator", Some("5.00"))
        );
        for (body, pointer) in [
            ("{}", "/reason"),
            (r#"{"reason": " "}"#, "/reason"),
            (r#"{"reason": "x", "entry": {"amount": 5}}"#, "/entry/amount"),
            (r#"{"reason": "x", "entry": {"run": "y"}}"#, "/entry/run"),
            (r#"{"reason": "x", "entry": 1}"#, "/entry"),
        ] {
            let problem = of(body).map(|_| ()).unwrap_err();
            assert!(problem.body().errors.iter().any(|field| field.pointer == pointer), "{body}: {problem:?}");
        }
    }

    proptest! {
        #[test]
        fn bodies_of_any_content_never_panic(text in "\\{(\"(reason|actor|entry)\":(\"[a-z ]{0,9}\"|\\{\"(amount|kind)\":\"[0-9.]{0,9}\"\\}|null),?){0,3}\\}?|\\PC{0,80}") {
            let _ = of(&text);
        }
    }
}
