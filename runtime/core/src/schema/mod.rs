//! A component's JSON schemas for its workflow, and the check of inputs and signals against them.
//! The schemas come from strangers, so their size is bounded, and only keywords of JSON Schema
//! with bounded cost are supported. References, patterns and formats are excluded. A library for
//! all of JSON Schema, with its thirty crates, would be a larger risk than this small subset.
//! `validator` implements the keywords.

mod validator;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::Code;
use crate::wire::InputProblem;
use validator::Validator;

/// The custom section of a component that holds its schemas.
pub const SECTION: &str = "tidemill:schema";
/// Maximum size of that section, in bytes.
pub const SECTION_BYTES: usize = 64 * 1024;
/// Maximum number of reported problems of one input.
const PROBLEMS: usize = 100;
/// Maximum length of the message of a problem, in bytes.
const MESSAGE_BYTES: usize = 300;
/// Maximum product of the schema's parts and the input's bytes. Above it nothing is checked here,
/// and the guest refuses an input that it cannot read.
const WORK: usize = 100_000_000;

/// A component's schemas cannot be used, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the component's section `{SECTION}` cannot be used, so no input is checked: {0}")]
pub struct InvalidSchema(String);

/// The content of a section.
#[derive(Deserialize)]
struct SchemaSection {
    #[serde(default)]
    workflow: WorkflowSchemas,
}

#[derive(Deserialize, Default)]
struct WorkflowSchemas {
    #[serde(default)]
    input: Option<Value>,
    #[serde(default)]
    output: Option<Value>,
    /// Schemas of the payloads of the signals that it waits for, by name.
    #[serde(default)]
    signals: BTreeMap<String, Value>,
}

/// Checks a component's section, and returns it as text that contains only the supported parts.
///
/// # Errors
/// The problem of the section: its length, its JSON, an unsupported keyword, or schemas that are
/// nested too deep.
pub fn read_section(bytes: &[u8]) -> Result<String, InvalidSchema> {
    let section = parse(bytes)?;
    let mut workflow = serde_json::Map::new();
    for (name, schema) in [("input", section.workflow.input), ("output", section.workflow.output)] {
        if let Some(schema) = schema {
            InputCheck::new(&schema)?;
            workflow.insert(name.to_owned(), schema);
        }
    }
    let mut signals = serde_json::Map::new();
    for (name, schema) in section.workflow.signals {
        InputCheck::new(&schema)?;
        signals.insert(name, schema);
    }
    if !signals.is_empty() {
        workflow.insert("signals".to_owned(), signals.into());
    }
    Ok(serde_json::json!({ "workflow": workflow }).to_string())
}

fn parse(bytes: &[u8]) -> Result<SchemaSection, InvalidSchema> {
    if bytes.len() > SECTION_BYTES {
        return Err(InvalidSchema(format!("it has {} bytes, of at most {SECTION_BYTES}", bytes.len())));
    }
    serde_json::from_slice(bytes).map_err(|error| InvalidSchema(error.to_string()))
}

/// The parsed schema of an input.
#[derive(Debug)]
pub struct InputCheck {
    rule: Validator,
    parts: usize,
}

impl InputCheck {
    /// Returns the check for inputs of a component's workflow; `None` if the component has no
    /// schema for them.
    ///
    /// # Errors
    /// See [`read_section`], which has accepted the stored text.
    pub fn of_section(section: &str) -> Result<Option<Self>, InvalidSchema> {
        parse(section.as_bytes())?.workflow.input.as_ref().map(Self::new).transpose()
    }

    fn new(schema: &Value) -> Result<Self, InvalidSchema> {
        let mut parts = 0;
        let rule = Validator::read(schema, 0, &mut parts).map_err(|why| InvalidSchema(cut(why)))?;
        Ok(Self { rule, parts })
    }

    /// Returns at most 100 problems of an input; none if it is valid. Input that is not JSON has
    /// none either, because another check refuses it.
    #[must_use]
    pub fn problems(&self, input: &[u8]) -> Vec<InputProblem> {
        if self.parts.saturating_mul(input.len()) > WORK {
            return Vec::new();
        }
        let Ok(input) = serde_json::from_slice::<Value>(input) else { return Vec::new() };
        let mut found = Vec::new();
        self.rule.hold(&input, &mut String::new(), PROBLEMS, &mut found);
        let problems = found.into_iter().map(|(pointer, why)| {
            let fix = "Send JSON that matches the component's schema: `GET /v1/components/{digest}` shows it.";
            InputProblem::field(pointer, cut(why), fix).with_code(Code::InputInvalid)
        });
        problems.collect()
    }
}

/// The parsed schemas of the payloads of a component's signals.
#[derive(Debug, Default)]
pub struct SignalChecks(BTreeMap<String, InputCheck>);

impl SignalChecks {
    /// Returns the checks for signals to a component's workflow; empty if it declares none.
    ///
    /// # Errors
    /// See [`read_section`], which has accepted the stored text.
    pub fn of_section(section: &str) -> Result<Self, InvalidSchema> {
        let signals = parse(section.as_bytes())?.workflow.signals;
        let checks = signals.into_iter().map(|(name, schema)| Ok((name, InputCheck::new(&schema)?)));
        checks.collect::<Result<_, InvalidSchema>>().map(Self)
    }

    /// Returns the problems of the payload of a signal with that name, as [`InputCheck::problems`]
    /// does; none if the component does not declare the signal.
    #[must_use]
    pub fn problems(&self, name: &str, payload: &[u8]) -> Vec<InputProblem> {
        self.0.get(name).map(|check| check.problems(payload)).unwrap_or_default()
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MESSAGE_BYTES {
        text.truncate(text.floor_char_boundary(MESSAGE_BYTES));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn check(schema: &Value) -> InputCheck {
        InputCheck::of_section(&json!({ "workflow": { "input": schema } }).to_string()).unwrap().unwrap()
    }

    fn found(schema: &Value, input: &Value) -> Vec<(String, String)> {
        let problems = check(schema).problems(input.to_string().as_bytes());
        problems.into_iter().map(|problem| (problem.pointer, problem.message)).collect()
    }

    #[test]
    fn every_problem_is_reported_with_its_pointer() {
        let schema = json!({
            "type": "object",
            "properties": { "id": { "type": "string" }, "items": { "type": "array", "items": { "type": "integer", "minimum": 0 } } },
            "required": ["id", "kind"],
            "additionalProperties": false,
        });
        let found = found(&schema, &json!({ "id": 1, "items": [1, -1, "x"], "more": true }));
        let places: Vec<&str> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(found.len(), 5, "{found:?}");
        for place in ["/id", "/items/1", "/items/2", ""] {
            assert!(places.contains(&place), "{found:?}");
        }
        assert!(found.iter().any(|(_, message)| message.contains("kind")), "{found:?}");
        assert!(check(&schema).problems(br#"{"id":"a","kind":1}"#).len() == 1, "kind is no property");
    }

    #[test]
    fn valid_input_and_input_that_is_not_json_have_no_problems() {
        let check = check(&json!({ "anyOf": [{ "type": "integer" }, { "type": "null" }] }));
        assert!(check.problems(b"5").is_empty() && check.problems(b"null").is_empty());
        assert_eq!(check.problems(b"\"x\"").len(), 1);
        assert!(check.problems(b"{").is_empty());
    }

    #[test]
    fn a_section_is_returned_without_its_unsupported_parts() {
        let text = r#"{ "workflow": { "input": true, "later": 1 }, "webhook": {} }"#;
        assert_eq!(read_section(text.as_bytes()).unwrap(), r#"{"workflow":{"input":true}}"#);
        assert!(InputCheck::of_section(r#"{"workflow":{"output":{"type":"null"}}}"#).unwrap().is_none());
    }

    #[test]
    fn a_signal_is_checked_if_the_component_declares_it() {
        let text = r#"{"workflow":{"signals":{"decision":{"type":"boolean"}}}}"#;
        let section = read_section(text.as_bytes()).unwrap();
        assert_eq!(section, text);
        let checks = SignalChecks::of_section(&section).unwrap();
        assert_eq!(checks.problems("decision", b"true"), []);
        let wrong = checks.problems("decision", br#""yes""#);
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert_eq!(checks.problems("another", br#""yes""#), []);
        assert!(read_section(br#"{"workflow":{"signals":{"x":{"$ref":""}}}}"#).is_err());
        // An older section declares no signals.
        assert!(SignalChecks::of_section(r#"{"workflow":{"input":true}}"#).unwrap().problems("x", b"1").is_empty());
    }

    #[test]
    fn unsupported_and_invalid_keywords_are_refused() {
        let deep = (0..40).fold(json!(true), |inside, _| json!({ "items": inside }));
        for schema in [
            json!({ "$ref": "#" }),
            json!({ "properties": { "a": { "pattern": "(a+)+$" } } }),
            json!({ "anyOf": [{ "patternProperties": { "x": true } }] }),
            json!(5),
            json!({ "type": "no-such-type" }),
            json!({ "required": [1] }),
            json!({ "minLength": -1 }),
            json!({ "anyOf": [] }),
            deep,
        ] {
            let section = json!({ "workflow": { "output": schema } }).to_string();
            assert!(read_section(section.as_bytes()).is_err(), "{section}");
        }
        // A property may have any name.
        assert!(read_section(br#"{"workflow":{"input":{"properties":{"$ref":true,"pattern":{}}}}}"#).is_ok());
        assert!(read_section(&vec![b' '; SECTION_BYTES + 1]).unwrap_err().to_string().contains("bytes"));
    }

    #[test]
    fn a_check_that_would_take_long_is_left_to_the_guest() {
        let wide: Vec<Value> = (0..2_000).map(|n| json!({ "const": n })).collect();
        let check = check(&json!({ "items": { "anyOf": wide } }));
        assert!(!check.problems(b"[-1]").is_empty());
        assert!(check.problems(format!("[{}]", vec!["-1"; 20_000].join(",")).as_bytes()).is_empty());
    }

    proptest! {
        #[test]
        fn no_section_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[\\{\\}\\[\\]\":,a-z0-9$ ]{0,200}") {
            let _ = read_section(&bytes);
            let _ = read_section(text.as_bytes());
        }

        #[test]
        fn a_section_that_was_read_reads_back(least in any::<i64>(), names in proptest::collection::vec("[a-z]{1,8}", 0..5)) {
            let properties: serde_json::Map<_, _> = names.iter().map(|name| (name.clone(), json!({ "minimum": least }))).collect();
            let section = json!({ "workflow": { "input": { "properties": properties, "required": names } } }).to_string();
            let read = read_section(section.as_bytes());
            // `required` must not contain duplicate names.
            if let Ok(read) = read {
                prop_assert_eq!(read_section(read.as_bytes()).unwrap(), read);
            }
        }
    }
}
