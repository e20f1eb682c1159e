//! Adds the constraints that the host enforces to the OpenAPI document: patterns of names, bounds
//! of numbers, no unknown fields, and no `null`.
//!
//! Rules apply by the name of a parameter or schema, so that a new route gets them automatically.

use serde_json::{Map, Value, json};
use tidemill_control::SECRET_BYTES;
use tidemill_core::alerts::AlertSeverity;
use tidemill_core::breaker::BreakerMode;
use tidemill_core::healing::{self, IncidentPhase};
use tidemill_core::health::HealthStatus;
use tidemill_core::limits::STATE_KEY_BYTES;
use tidemill_core::money::CUSTOMER_BYTES;
use tidemill_core::run::Export;
use tidemill_core::schedule::Overlap;
use utoipa::openapi::path::ParameterIn;

use super::ledger;
use crate::alerts::list::STATES as ALERT_STATES;
use crate::config::{KEY_BYTES, LABELS, NOTE_BYTES, PAGE_MOST};
use crate::schedules::preview::LIMIT_MAX;
use crate::secrets::json::ENCODINGS;
use crate::silences::ACTOR_BYTES;

/// A name: 1 to 63 lower-case letters, digits and hyphens, first and last a letter or digit.
const NAME: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";
/// A name, or the beginning of names that `*` follows.
const NAME_PATTERN: &str = "^(\\*|[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?|[a-z0-9][a-z0-9-]{0,61}\\*)$";
/// The id of a run or an event.
const ULID: &str = "^[0-7][0-9a-hjkmnp-tv-z]{25}$";
const DIGEST: &str = "^sha256:[0-9a-f]{64}$";
const VERSION: &str = "^(0|[1-9][0-9]{0,8})\\.(0|[1-9][0-9]{0,8})\\.(0|[1-9][0-9]{0,8})(-[a-zA-Z][0-9a-zA-Z-]{0,15})?(\\+[0-9a-zA-Z-]{1,15})?$";
const TOPIC: &str = "^[a-z0-9_-]{1,31}(\\.[a-z0-9_-]{1,31}){0,3}$";
/// A time since 1970.
const YEAR: &str = "^(19[7-9][0-9]|[2-9][0-9]{3})-";
/// Maximum value of a counter. JSON Schema has no bound of its own.
const NUMBER_MAX: u64 = u64::MAX;

/// Suffixes of the paths whose body is optional and is any JSON value or any bytes.
const TAKES_NOTHING: [&str; 5] = ["/runs", "/events", "/signals/{name}", "/signals/{signal}", "/state/{key}"];

/// Adds the rules to `document`.
pub fn apply(document: &mut Value) {
    strip_nulls(document);
    let mut bodies = Vec::new();
    if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
        for (path, item) in paths {
            for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
                for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
                    constrain_parameter(path, parameter);
                }
                if let Some(body) = operation.get_mut("requestBody") {
                    let before = bodies.len();
                    references(body, &mut bodies);
                    // An input or a payload is any value, or left out. A component and a manifest
                    // are not.
                    if bodies.len() == before && TAKES_NOTHING.iter().any(|end| path.ends_with(end)) {
                        body["required"] = false.into();
                    }
                }
            }
        }
    }
    let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) else { return };
    close(schemas, bodies);
    for (schema, field, rule) in field_rules().into_iter().chain(ledger::field_rules()) {
        if let Some(property) = schemas.get_mut(schema).and_then(|schema| schema["properties"].get_mut(field)) {
            merge(property, rule);
        }
    }
    for (schema, rule) in schema_rules() {
        if let Some(schema) = schemas.get_mut(schema) {
            merge(schema, rule);
        }
    }
}

/// Removes `null`: the API leaves out fields that do not apply.
fn strip_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        if let Some(Value::Array(types)) = fields.get_mut("type") {
            types.retain(|kind| kind != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                fields.insert("type".to_owned(), only);
            }
        }
        for choice in ["oneOf", "anyOf"] {
            let Some(Value::Array(choices)) = fields.get_mut(choice) else { continue };
            choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
            if let [only] = choices.as_slice() {
                let only = only.as_object().cloned().unwrap_or_default();
                fields.remove(choice);
                fields.extend(only);
            }
        }
    }
    match value {
        Value::Object(fields) => fields.values_mut().for_each(strip_nulls),
        Value::Array(items) => items.iter_mut().for_each(strip_nulls),
        _ => {}
    }
}

fn constrain_parameter(path: &str, parameter: &mut Value) {
    let (name, location) = (text(parameter, "name"), text(parameter, "in"));
    let rule = if location == place(ParameterIn::Header) {
        header(&name)
    } else if location == place(ParameterIn::Path) {
        path_parameter(path, &name)
    } else {
        ledger::query_parameter(path, &name).or_else(|| query_parameter(path, &name))
    };
    if let (Some(rule), Some(schema)) = (rule, parameter.get_mut("schema")) {
        *schema = rule;
    }
}

const fn place(location: ParameterIn) -> &'static str {
    match location {
        ParameterIn::Header => "header",
        ParameterIn::Path => "path",
        _ => "query",
    }
}

fn text(value: &Value, field: &str) -> String {
    value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub fn pattern(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

pub fn time() -> Value {
    json!({ "type": "string", "format": "date-time", "pattern": YEAR, "example": "2026-01-31T12:00:00Z" })
}

/// A component, by its digest or as a version of a module.
fn component() -> Value {
    pattern(&format!("^({}|{}@{})$", bare(DIGEST), bare(NAME), bare(VERSION)))
}

/// A deployment, or one instance of it.
pub fn stream() -> Value {
    pattern(&format!("^{}(/{})?$", bare(NAME), bare(NAME)))
}

/// A pattern without its anchors.
fn bare(pattern: &str) -> &str {
    pattern.trim_start_matches('^').trim_end_matches('$')
}

/// The code of a failure, which a guest may define: no control characters, and no comma, which
/// separates codes in a query.
fn code() -> Value {
    pattern("^[^\\x00-\\x1f\\x7f-\\x9f,]{1,128}$")
}

/// Who acts.
fn actor() -> Value {
    json!({ "minLength": 1, "maxLength": ACTOR_BYTES, "pattern": "\\S" })
}

/// Several values of a filter in a body; a single value needs no array.
fn one_or_many(name: &str) -> Value {
    let many = query_parameter("", name).unwrap_or_default();
    json!({ "anyOf": [many["items"], many], "type": ["string", "array"] })
}

fn label() -> Value {
    pattern("^[!-<>-~]{1,63}=[ -~]{0,255}$")
}

fn header(name: &str) -> Option<Value> {
    Some(match name {
        "Idempotency-Key" => pattern(&format!("^[!-~]([ -~]{{0,{}}}[!-~])?$", KEY_BYTES - 2)),
        "If-Match" => json!({ "type": "string", "pattern": "^(\\*|\"[0-9]{1,18}\")$", "minLength": 1, "example": "*" }),
        "If-None-Match" => json!({ "type": "string", "enum": ["*"] }),
        "Last-Event-ID" => pattern("^[0-9]{1,18}$"),
        _ => return None,
    })
}

fn path_parameter(path: &str, name: &str) -> Option<Value> {
    let word = || json!({ "type": "string", "minLength": 1, "maxLength": KEY_BYTES });
    Some(match name {
        "name" if path.ends_with("/signals/{name}") => word(),
        "key" if path.ends_with("/state/{key}") => {
            json!({ "type": "string", "minLength": 1, "maxLength": STATE_KEY_BYTES })
        }
        "customer" => json!({ "type": "string", "minLength": 1, "maxLength": CUSTOMER_BYTES }),
        "name" | "deployment" | "hook" => pattern(NAME),
        "id" if ["/v1/runs/", "/v1/deliveries/", "/v1/alerts/", "/v1/silences/"]
            .iter()
            .any(|of| path.starts_with(of)) =>
        {
            pattern(ULID)
        }
        "id" | "key" | "signal" => word(),
        "digest" => pattern(DIGEST),
        "version" => pattern(VERSION),
        "topic" => pattern(TOPIC),
        "page" => pattern("^[a-z0-9-]{1,64}$"),
        "period" => pattern(ledger::PERIOD),
        "revision" => json!({ "type": "integer", "minimum": 1, "maximum": NUMBER_MAX }),
        "place" | "number" => json!({ "type": "integer", "minimum": 0, "maximum": NUMBER_MAX }),
        _ => return None,
    })
}

fn query_parameter(path: &str, name: &str) -> Option<Value> {
    let states = ["queued", "running", "suspended", "succeeded", "failed", "cancelled", "parked"];
    Some(match name {
        "limit" if path.ends_with("/preview") => json!({ "type": "integer", "minimum": 1, "maximum": LIMIT_MAX }),
        "limit" => json!({ "type": "integer", "minimum": 1, "maximum": PAGE_MOST }),
        "after" => json!({ "type": "integer", "minimum": 0, "maximum": NUMBER_MAX }),
        "name" if path == "/v1/budgets" => pattern(NAME),
        "deployment" | "hook" | "rule" => pattern(NAME),
        "severity" => json!({ "type": "string", "enum": AlertSeverity::ALL.map(AlertSeverity::as_str) }),
        "stream" => stream(),
        "parent" => pattern(ULID),
        "since" | "until" | "from" | "start" | "end" | "at" => time(),
        "terminate" | "dry_run" | "follow" => json!({ "type": "boolean" }),
        "priority" => json!({ "type": "integer", "minimum": 1, "maximum": 9 }),
        "overlap" => pattern("^(0|[0-9]{1,6}s|[0-9]{1,4}m|[0-9]{1,3}h)$"),
        "delay" => pattern("^([1-9][0-9]{0,3}(s|m)|[1-9][0-9]{0,2}h)$"),
        "status" => json!({ "type": "string", "enum": HealthStatus::ALL.map(HealthStatus::as_str) }),
        "export" => json!({ "type": "string", "enum": Export::ALL.map(Export::as_str) }),
        "label" => json!({ "type": "array", "items": label(), "maxItems": LABELS }),
        "state" if path == "/v1/operations" => {
            json!({ "type": "string", "enum": ["running", "done", "cancelled", "all"] })
        }
        "state" if path == "/v1/incidents" => json!({ "type": "string", "enum": ["open", "ended", "all"] }),
        "phase" => json!({ "type": "string", "enum": IncidentPhase::ALL.map(IncidentPhase::as_str) }),
        "state" if path == "/v1/alerts" => json!({ "type": "string", "enum": ALERT_STATES }),
        "state" => json!({ "type": "array", "items": { "type": "string", "enum": states } }),
        "runs" => json!({ "type": "string", "enum": ["cancel"] }),
        "code" => json!({ "type": "array", "items": code() }),
        _ => return None,
    })
}

/// Returns the names of the schemas that `value` refers to.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(name) = fields.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next()) {
                found.push(name.to_owned());
            }
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

/// Forbids other fields in every object of a request's body.
fn close(schemas: &mut Map<String, Value>, mut names: Vec<String>) {
    let mut done = Vec::new();
    while let Some(name) = names.pop() {
        if done.contains(&name) {
            continue;
        }
        if let Some(schema) = schemas.get_mut(&name) {
            references(schema, &mut names);
            if schema["properties"].is_object() {
                schema["additionalProperties"] = false.into();
            }
        }
        done.push(name);
    }
}

/// Adds the constraints of single fields.
fn field_rules() -> Vec<(&'static str, &'static str, Value)> {
    let overlaps = Overlap::ALL.map(Overlap::as_str);
    vec![
        ("PauseRequest", "note", json!({ "maxLength": NOTE_BYTES })),
        ("IncidentRequest", "note", json!({ "minLength": 1, "maxLength": healing::NOTE_BYTES, "pattern": "\\S" })),
        ("IncidentRequest", "actor", json!({ "maxLength": healing::ACTOR_BYTES })),
        ("BreakerRequest", "note", json!({ "minLength": 1, "maxLength": NOTE_BYTES, "pattern": "\\S" })),
        ("BreakerRequest", "mode", json!({ "enum": BreakerMode::ALL.map(BreakerMode::as_str) })),
        ("AcknowledgeRequest", "note", json!({ "maxLength": NOTE_BYTES })),
        ("AcknowledgeRequest", "actor", actor()),
        ("SilenceRequest", "rule", pattern(NAME)),
        ("SilenceRequest", "deployment", pattern(NAME_PATTERN)),
        ("SilenceRequest", "severity", json!({ "enum": AlertSeverity::ALL.map(AlertSeverity::as_str) })),
        ("SilenceRequest", "ends", time()),
        ("SilenceRequest", "note", json!({ "minLength": 1, "maxLength": NOTE_BYTES, "pattern": "\\S" })),
        ("SilenceRequest", "actor", actor()),
        ("SteerRequest", "note", json!({ "maxLength": NOTE_BYTES })),
        ("SteerRequest", "action", json!({ "enum": ["pause", "resume"] })),
        ("ActionRequest", "action", json!({ "enum": ["retry", "cancel", "terminate"] })),
        ("RetryRequest", "from", json!({ "enum": ["last-step", "start"] })),
        ("RetryRequest", "component", component()),
        ("BackfillRequest", "overlap", json!({ "enum": overlaps })),
        ("ReplayRequest", "since", time()),
        ("ReplayRequest", "until", time()),
        ("SecretRequest", "value", json!({ "minLength": 1, "maxLength": SECRET_BYTES })),
        ("SecretRequest", "encoding", json!({ "enum": ENCODINGS.map(|(name, _)| name) })),
        ("RunFilter", "deployment", pattern(NAME)),
        ("DeliveryFilter", "deployment", pattern(NAME)),
        ("DeliveryFilter", "hook", pattern(NAME)),
        ("RunFilter", "state", one_or_many("state")),
        ("RunFilter", "label", one_or_many("label")),
        ("RunFilter", "code", one_or_many("code")),
        ("ScheduleFilter", "deployment", pattern(NAME)),
        ("ScheduleFilter", "label", json!({ "type": "array", "items": label(), "maxItems": LABELS, "minItems": 1 })),
        ("ScheduleFilter", "all", json!({ "enum": [true] })),
    ]
}

/// Adds the constraints of whole schemas.
fn schema_rules() -> Vec<(&'static str, Value)> {
    let one_of = |name: &str| json!({ "required": [name] });
    let named = json!({ "anyOf": [one_of("deployment"), one_of("label")] });
    vec![
        ("Time", json!({ "pattern": YEAR })),
        ("RunFilter", json!({ "minProperties": 1 })),
        ("SilenceRequest", json!({ "anyOf": [one_of("rule"), one_of("deployment"), one_of("severity")] })),
        ("ScheduleFilter", json!({ "oneOf": [one_of("all"), named] })),
    ]
}

/// Copies the fields of `rule` into `schema`.
fn merge(schema: &mut Value, rule: Value) {
    if let (Some(schema), Value::Object(rule)) = (schema.as_object_mut(), rule) {
        schema.extend(rule);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        serde_json::from_slice(&super::super::text()).unwrap()
    }

    #[test]
    fn nothing_in_the_document_is_null() {
        fn look(value: &Value, at: &str) {
            match value {
                Value::Object(fields) => {
                    let is_null = |kind: &Value| {
                        kind == "null" || kind.as_array().is_some_and(|all| all.contains(&"null".into()))
                    };
                    assert!(!fields.get("type").is_some_and(is_null), "{at}");
                    fields.iter().for_each(|(name, value)| look(value, &format!("{at}/{name}")));
                }
                Value::Array(items) => items.iter().for_each(|value| look(value, at)),
                _ => {}
            }
        }
        look(&document(), "");
    }

    #[test]
    fn every_object_in_a_request_refuses_other_fields() {
        let document = document();
        let mut bodies = Vec::new();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                references(&operation["requestBody"], &mut bodies);
            }
        }
        assert!(bodies.len() > 4, "{bodies:?}");
        for name in bodies {
            assert_eq!(document["components"]["schemas"][&name]["additionalProperties"], false, "{name}");
        }
    }

    #[test]
    fn every_path_parameter_has_a_pattern_or_a_bound() {
        for (path, item) in document()["paths"].as_object().unwrap() {
            for operation in item.as_object().unwrap().values() {
                for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    let schema = &parameter["schema"];
                    let bounded = ["pattern", "minLength", "minimum"].iter().any(|bound| schema.get(bound).is_some());
                    assert!(parameter["in"] != "path" || bounded, "{path}: {parameter}");
                }
            }
        }
    }
}
