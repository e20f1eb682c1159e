//! Grants by hand: an entry that gives a customer credit, with the person and the reason.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value};
use tidemill_api_types as shapes;
use tidemill_core::manifest::LedgerPolicy;
use tidemill_core::money::{
    CUSTOMER_BYTES, Currencies, DECIMAL_BYTES, EXTERNAL_ID_BYTES, EntryCall, EntryDraft, EntryKind, LedgerStream,
    parse_decimal,
};
use tidemill_core::wire::{ObjectField, is_blank};
use tidemill_core::{Code, InputProblem, Timestamp};
use tidemill_store::records::{HandEntry, NewEntry};

use super::hand_entry::{hand_entry, posted};
use super::{Amounts, check_known};
use crate::config::NOTE_BYTES;
use crate::problem::{ApiResult, Problem};
use crate::request::{JsonBody, RawQuery};
use crate::state::ApiState;
use crate::wire::ok;

/// Maximum length of the name of a person, in bytes.
pub const ACTOR_BYTES: usize = 255;
/// Maximum length of the code of a currency, in bytes.
const CODE_BYTES: usize = 16;

struct HandGrant {
    external_id: String,
    stream: LedgerStream,
    customer: String,
    amount: String,
    currency: String,
    kind: EntryKind,
    by_hand: HandEntry,
    occurred_at: Option<Timestamp>,
    priority: Option<u64>,
    starts_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
}

/// Grants a customer credit by hand
///
/// Posts a promotion or a prepayment of the customer, with the person and the reason. The same
/// grant again changes nothing.
#[utoipa::path(
    post, path = "/v1/ledger/grants", tag = "ledger",
    request_body(content = shapes::GrantRequest<'_>),
    responses(
        (status = 200, body = shapes::CorrectionResult<'_>, description = "the entry, or that of the same grant before"),
        (status = 409, body = shapes::ProblemDetails, description = "the external id has other content"),
        (status = 422, body = shapes::ProblemDetails, description = "a field is not valid"),
    )
)]
pub async fn grant(State(state): State<ApiState>, query: RawQuery, body: JsonBody) -> ApiResult<Response> {
    query.only(&[])?;
    let grant = read(body)?;
    check_known(&state, Some(&grant.stream)).await?;
    let known = state.host.store().ledger_entry_of(&grant.stream, &grant.external_id).await?;
    let now = state.host.clock().now();
    // A repeated request without a time means the grant as it was.
    let occurred_at = grant.occurred_at.or(known.map(|entry| entry.occurred_at)).unwrap_or(now);
    let LedgerPolicy { late_usage_millis, paper, .. } = super::policy_of(&state, &grant.stream).await?;
    let entry = NewEntry { late_usage_millis, paper, ..entry_of(&grant, occurred_at, state.host.currencies())? };
    let appended = state.host.store().append_entries(vec![entry], now).await?;
    Ok(ok(&posted(&appended, &Amounts::of(&state).await?)))
}

fn read(body: JsonBody) -> ApiResult<HandGrant> {
    const REASON: &str = "Write why the customer is granted credit.";
    const KINDS: [(&str, EntryKind); 2] = [("promotion", EntryKind::Promotion), ("prepayment", EntryKind::Prepayment)];
    body.fields(|fields, problems| {
        let mut text = |name: &'static str, fix: &str, bytes: usize, problems: &mut Vec<InputProblem>| {
            fields.require(name, fix, problems).and_then(|field| field.text(bytes, problems))
        };
        let external_id = text("external_id", "Choose an id for the grant.", EXTERNAL_ID_BYTES, problems);
        let customer = text("customer", "Name the customer.", CUSTOMER_BYTES, problems);
        let amount = text("amount", "Write an amount such as \"5.00\".", DECIMAL_BYTES, problems);
        let currency = text("currency", "Write a currency such as \"EUR\".", CODE_BYTES, problems);
        let reason = text("reason", REASON, NOTE_BYTES, problems);
        for (name, value, fix) in [("customer", &customer, "Name the customer."), ("reason", &reason, REASON)] {
            if value.as_deref().is_some_and(is_blank) {
                problems.push(InputProblem::field(fields.pointer_to(name), format!("the {name} is empty"), fix));
            }
        }
        let stream = fields
            .require("stream", "Name the stream.", problems)
            .and_then(|field| field.parse::<LedgerStream>(problems));
        let actor = fields.take("actor").map_or(Some("operator".to_owned()), |field| field.text(ACTOR_BYTES, problems));
        let kind = fields.take("kind").map_or(Some(EntryKind::Promotion), |field| field.choice(&KINDS, problems));
        let priority = fields.take("priority").and_then(|field| field.number(0..=255, problems));
        let mut time = |name| fields.take(name).and_then(|field: ObjectField| field.time(problems));
        let (occurred_at, starts_at, expires_at) = (time("occurred_at"), time("starts_at"), time("expires_at"));
        Some(HandGrant {
            external_id: external_id?,
            stream: stream?,
            customer: customer?,
            amount: amount?,
            currency: currency?,
            kind: kind?,
            by_hand: HandEntry { actor: actor?, reason: reason? },
            occurred_at,
            priority,
            starts_at,
            expires_at,
        })
    })
}

/// Returns the entry of a grant.
fn entry_of(grant: &HandGrant, occurred_at: Timestamp, currencies: &Currencies) -> ApiResult<NewEntry> {
    let bad = |field: &str, why: String| {
        let fix = "Write the field as an entry of the ledger has it.";
        Problem::of_fields(Code::BadField, vec![InputProblem::field(format!("/{field}"), why, fix)])
    };
    let unknown = || bad("currency", "the host has no such currency".to_owned());
    let exponent = currencies.get(&grant.currency).ok_or_else(unknown)?.exponent();
    let minor_units = parse_decimal(&grant.amount, exponent).map_err(|why| bad("amount", why.to_string()))?;
    let mut terms = Map::new();
    if let Some(priority) = grant.priority {
        terms.insert("priority".to_owned(), priority.into());
    }
    for (name, time) in [("starts_at", grant.starts_at), ("expires_at", grant.expires_at)] {
        if let Some(time) = time {
            terms.insert(name.to_owned(), time.as_millis().into());
        }
    }
    let metadata = if terms.is_empty() { Value::Object(Map::new()) } else { serde_json::json!({ "grant": terms }) };
    let metadata = metadata.to_string();
    let draft = EntryDraft {
        call: EntryCall::Post,
        external_id: &grant.external_id,
        kind: grant.kind.as_str(),
        minor_units,
        currency: &grant.currency,
        occurred_at,
        customer: Some(&grant.customer),
        description: &grant.by_hand.reason,
        metadata: &metadata,
    };
    let posting = draft.check(currencies).map_err(|why| Problem::new(why.code(), why.to_string()))?;
    Ok(hand_entry(&grant.stream, &draft, posting, grant.by_hand.clone()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of(body: &Value) -> ApiResult<NewEntry> {
        let grant = JsonBody::read(body.to_string().as_bytes()).and_then(read)?;
        entry_of(&grant, Timestamp::from_millis(5), &Currencies::default())
    }

    fn whole() -> Value {
        json!({ "external_id": "gift-1", "stream": "shop", "customer": "c-1", "amount": "5.00", "currency": "EUR",
            "reason": "an outage" })
    }

    fn with(name: &str, value: Value) -> Value {
        let mut body = whole();
        body[name] = value;
        body
    }

    #[test]
    fn a_grant_is_an_entry_with_its_terms() {
        let entry = of(&whole()).unwrap();
        assert_eq!((entry.kind.as_str(), entry.minor_units, entry.net_revenue), ("promotion", 500, -500));
        assert_eq!((entry.metadata.as_str(), entry.legs.len()), ("{}", 2));
        let mut body = with("kind", json!("prepayment"));
        (body["priority"], body["expires_at"]) = (json!(7), json!("1970-01-01T00:00:01Z"));
        let entry = of(&body).unwrap();
        assert_eq!((entry.kind.as_str(), entry.net_revenue), ("prepayment", 0));
        assert_eq!(entry.metadata, r#"{"grant":{"expires_at":1000,"priority":7}}"#);
    }

    #[test]
    fn a_field_that_is_not_valid_is_named() {
        for (name, value, pointer) in [
            ("reason", json!(" "), "/reason"),
            ("customer", json!(""), "/customer"),
            ("amount", json!(5), "/amount"),
            ("amount", json!("0.001"), "/amount"),
            ("currency", json!("XXY"), "/currency"),
            ("kind", json!("sale"), "/kind"),
            ("priority", json!(256), "/priority"),
            ("stream", json!("Not a name"), "/stream"),
            ("external_id", json!(null), "/external_id"),
        ] {
            let problem = of(&with(name, value)).unwrap_err();
            assert!(problem.body().errors.iter().any(|field| field.pointer == pointer), "{name}: {problem:?}");
        }
        assert_eq!(of(&with("amount", json!("-5"))).unwrap_err().code(), Code::WrongSign.as_str());
        assert_eq!(of(&with("expires_at", json!("1970-01-01T00:00:00Z"))).unwrap_err().code(), Code::BadEntry.as_str());
        assert_eq!(of(&with("external_id", json!("x/expired"))).unwrap_err().code(), Code::BadEntry.as_str());
    }

    proptest! {
        #[test]
        fn bodies_of_any_content_never_panic(text in "\\{(\"(external_id|stream|amount|expires_at)\":(\"[a-z0-9 .]{0,9}\"|[0-9]{1,3}|null),?){0,4}\\}?|\\PC{0,80}") {
            let _ = JsonBody::read(text.as_bytes()).and_then(read);
        }
    }
}
