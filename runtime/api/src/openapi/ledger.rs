//! The bounds of the ledger's parameters and fields, and of deliveries, as the host enforces them.

use serde_json::{Value, json};
use tidemill_core::delivery::{DeliveryOutcome, KEY_BYTES, OBJECT_BYTES};
use tidemill_core::money::report::{FindingKind, RATE_DIGITS};
use tidemill_core::money::{CUSTOMER_BYTES, DECIMAL_BYTES, DESCRIPTION_BYTES, EXTERNAL_ID_BYTES, EntryKind};

use super::constraints::{pattern, stream, time};
use crate::config::NOTE_BYTES;
use crate::ledger::grant::ACTOR_BYTES;
use crate::ledger::rates::{RATES, SOURCE_BYTES};
use crate::ledger::report::customers::TOP_MOST;

/// The name of a day, week, month or year.
pub const PERIOD: &str =
    "^(19[7-9][0-9]|[2-9][0-9]{3})(-W(0[1-9]|[1-4][0-9]|5[0-3])|-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?$";
const DAY: &str = "^(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$";
/// The name of a time zone.
const ZONE: &str = "^[A-Za-z0-9_+-]{1,64}(/[A-Za-z0-9_+-]{1,64}){0,3}$";
/// The code of a currency of ISO 4217, or of a unit that the operator declared.
const CURRENCY: &str = "^[A-Z0-9]{1,16}$";
/// Text that is not blank.
const NOT_BLANK: &str = "\\S";

/// An amount as decimal text.
fn decimal(sign: &str) -> Value {
    json!({ "type": "string", "maxLength": DECIMAL_BYTES, "pattern": format!("^{sign}[0-9]{{1,64}}(\\.[0-9]{{1,64}})?$") })
}

fn words<'w>(words: impl IntoIterator<Item = &'w str>) -> Value {
    json!({ "type": "string", "enum": words.into_iter().collect::<Vec<_>>() })
}

fn reason() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": NOTE_BYTES, "pattern": NOT_BLANK })
}

fn bounded(bytes: usize) -> Value {
    json!({ "type": "string", "maxLength": bytes })
}

fn named(bytes: usize) -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": bytes })
}

fn customer() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": CUSTOMER_BYTES, "pattern": NOT_BLANK })
}

/// The bounds of a query parameter; `None` if the path has no rule of its own.
pub fn query_parameter(path: &str, name: &str) -> Option<Value> {
    if path == "/v1/deliveries" {
        return Some(match name {
            "key" => named(KEY_BYTES),
            "object" => named(OBJECT_BYTES),
            "outcome" => {
                json!({ "type": "array", "items": words(DeliveryOutcome::ALL.map(DeliveryOutcome::as_str)), "maxItems": 64 })
            }
            _ => return None,
        });
    }
    if !path.starts_with("/v1/ledger/") {
        return None;
    }
    Some(match name {
        "state" if path == "/v1/ledger/findings" => words(["open", "closed"]),
        "kind" if path == "/v1/ledger/findings" => words(FindingKind::ALL.iter().map(|kind| kind.as_str())),
        "until" if path == "/v1/ledger/export" => json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX }),
        "period" => pattern(PERIOD),
        "as_of" => json!({ "anyOf": [{ "type": "integer", "minimum": 0, "maximum": u64::MAX }, time()] }),
        "time_zone" => pattern(ZONE),
        "currency" => pattern(CURRENCY),
        "customer" => named(CUSTOMER_BYTES),
        "by" => words(["occurred", "posted"]),
        "per" => words(["hour", "day", "week", "month", "year"]),
        "group" => json!({ "type": "array", "items": words(["stream", "kind"]), "maxItems": 64 }),
        "format" => words(["jsonl", "csv", "beancount"]),
        "paper" | "raw" => json!({ "type": "boolean" }),
        "top" => json!({ "type": "integer", "minimum": 1, "maximum": TOP_MOST }),
        _ => return None,
    })
}

/// The bounds of single fields.
pub fn field_rules() -> Vec<(&'static str, &'static str, Value)> {
    let kinds = || words(EntryKind::ALL.iter().map(|kind| kind.as_str()));
    let id = json!({ "type": "string", "minLength": 1, "maxLength": EXTERNAL_ID_BYTES, "pattern": "^[^\\x00-\\x1f\\x7f]+$" });
    let rate = format!("^[0-9]{{1,{RATE_DIGITS}}}(\\.[0-9]{{1,{RATE_DIGITS}}})?$");
    vec![
        ("FindingClosure", "reason", reason()),
        ("FindingClosure", "actor", bounded(ACTOR_BYTES)),
        ("CorrectionRequest", "reason", reason()),
        ("CorrectionRequest", "actor", bounded(ACTOR_BYTES)),
        ("RightEntry", "kind", kinds()),
        ("RightEntry", "amount", decimal("-?")),
        ("RightEntry", "currency", pattern(CURRENCY)),
        ("RightEntry", "customer", bounded(CUSTOMER_BYTES)),
        ("RightEntry", "description", bounded(DESCRIPTION_BYTES)),
        ("RightEntry", "occurred_at", time()),
        ("GrantRequest", "external_id", id),
        ("GrantRequest", "stream", stream()),
        ("GrantRequest", "customer", customer()),
        ("GrantRequest", "amount", decimal("")),
        ("GrantRequest", "currency", pattern(CURRENCY)),
        ("GrantRequest", "reason", reason()),
        ("GrantRequest", "actor", bounded(ACTOR_BYTES)),
        ("GrantRequest", "priority", json!({ "minimum": 0, "maximum": u8::MAX })),
        ("FloorRequest", "stream", stream()),
        ("FloorRequest", "customer", named(CUSTOMER_BYTES)),
        ("FloorRequest", "currency", pattern(CURRENCY)),
        ("FloorRequest", "floor", decimal("-?")),
        ("RateRequest", "rates", json!({ "maxItems": RATES })),
        ("ExchangeRate", "day", json!({ "format": "date", "pattern": DAY })),
        ("ExchangeRate", "from", pattern(CURRENCY)),
        ("ExchangeRate", "to", pattern(CURRENCY)),
        ("ExchangeRate", "rate", pattern(&rate)),
        ("ExchangeRate", "source", bounded(SOURCE_BYTES)),
        ("DeliveryFilter", "key", named(KEY_BYTES)),
        ("DeliveryFilter", "object", named(OBJECT_BYTES)),
    ]
}
