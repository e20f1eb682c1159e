//! What a component says of its workflow's JSON, and the check of an input or a signal by it. The text comes from strangers: it has bounds, and of JSON Schema
//! only the words whose cost those bounds hold. References, patterns and formats are not among them, which leaves so little that a library for all of
//! JSON Schema, with its thirty crates, would be the larger risk. What the words mean is in `rule`.

mod validator;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::Code;
use crate::wire::InputProblem;
use validator::Validator;

/// The custom section of a component that holds its schemas.
pub const SECTION: &str = "tidemill:schema";
/// Longest text of that section, in bytes.
pub const SECTION_BYTES: usize = 64 * 1024;
/// Most problems of one input that are told.
const PROBLEMS: usize = 100;
/// Longest message about one of them, in bytes.
const MESSAGE_BYTES: usize = 300;
/// The schema's parts times the input's bytes: where it is more, nothing is checked here, and the guest refuses what it cannot read.
const WORK: usize = 100_000_000;

/// A component's schemas cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the component's section `{SECTION}` cannot be used, so no input is checked: {0}")]
pub struct InvalidSchema(String);

/// What a section holds.
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
    /// The payloads of the signals that it waits for, by name.
    #[serde(default)]
    signals: BTreeMap<String, Value>,
}

/// Checks a component's section, and gives it as text with nothing but what was understood.
///
/// # Errors
/// What is wrong with it: its length, its JSON, a word that is not looked at here, too many schemas inside one another.
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

/// What an input has to be like, read once.
#[derive(Debug)]
pub struct InputCheck {
    rule: Validator,
    parts: usize,
}

impl InputCheck {
    /// The check for inputs of a component's workflow; none where it does not say what they are like.
    ///
    /// # Errors
    /// As [`read_section`], which this text has passed before it was stored.
    pub fn of_section(section: &str) -> Result<Option<Self>, InvalidSchema> {
        parse(section.as_bytes())?.workflow.input.as_ref().map(Self::new).transpose()
    }

    fn new(schema: &Value) -> Result<Self, InvalidSchema> {
        let mut parts = 0;
        let rule = Validator::read(schema, 0, &mut parts).map_err(|why| InvalidSchema(cut(why)))?;
        Ok(Self { rule, parts })
    }

    /// Everything that is wrong with an input, at most 100 of it; nothing where it is good, or is not JSON, which others refuse.
    #[must_use]
    pub fn problems(&self, input: &[u8]) -> Vec<InputProblem> {
        if self.parts.saturating_mul(input.len()) > WORK {
            return Vec::new();
        }
        let Ok(input) = serde_json::from_slice::<Value>(input) else { return Vec::new() };
        let mut found = Vec::new();
        self.rule.hold(&input, &mut String::new(), PROBLEMS, &mut found);
        let told = found.into_iter().map(|(pointer, why)| {
            let fix = "Send what the component's schema asks for: `GET /v1/components/{digest}` shows it.";
            InputProblem::field(pointer, cut(why), fix).with_code(Code::InputInvalid)
        });
        told.collect()
    }
}

/// What the payloads of a component's signals have to be like, read once.
#[derive(Debug, Default)]
pub struct SignalChecks(BTreeMap<String, InputCheck>);

impl SignalChecks {
    /// The checks for signals to a component's workflow; empty if it declares none.
    ///
    /// # Errors
    /// As [`read_section`], which this text has passed before it was stored.
    pub fn of_section(section: &str) -> Result<Self, InvalidSchema> {
        let signals = parse(section.as_bytes())?.workflow.signals;
        let checks = signals.into_iter().map(|(name, schema)| Ok((name, InputCheck::new(&schema)?)));
        checks.collect::<Result<_, InvalidSchema>>().map(Self)
    }

    /// Everything that is wrong with the payload of a signal of that name, as [`InputCheck::problems`]. Nothing if the component does
    /// not declare the signal.
    #[must_use]
    pub fn problems(&self, name: &str, payload: &[u8]) -> Vec<InputProblem> {
        self.0.get(name).map(|check| check.problems(payload)).unwrap_or_default()
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MESSAGE_BYTES {
        let end = (0..=MESSAGE_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
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
    fn every_problem_is_told_with_its_place() {
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
    fn a_good_input_has_no_problems_and_what_is_no_json_is_for_others() {
        let check = check(&json!({ "anyOf": [{ "type": "integer" }, { "type": "null" }] }));
        assert!(check.problems(b"5").is_empty() && check.problems(b"null").is_empty());
        assert_eq!(check.problems(b"\"x\"").len(), 1);
        assert!(check.problems(b"{").is_empty());
    }

    #[test]
    fn a_section_is_given_as_it_was_understood() {
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
        // An older section declares none.
        assert!(SignalChecks::of_section(r#"{"workflow":{"input":true}}"#).unwrap().problems("x", b"1").is_empty());
    }

    #[test]
    fn what_could_cost_without_bound_is_refused() {
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
        // A property may be called as it likes.
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
        fn what_a_section_says_it_says_again(least in any::<i64>(), names in proptest::collection::vec("[a-z]{1,8}", 0..5)) {
            let properties: serde_json::Map<_, _> = names.iter().map(|name| (name.clone(), json!({ "minimum": least }))).collect();
            let section = json!({ "workflow": { "input": { "properties": properties, "required": names } } }).to_string();
            let read = read_section(section.as_bytes());
            // Names that are said twice are no list of names.
            if let Ok(read) = read {
                prop_assert_eq!(read_section(read.as_bytes()).unwrap(), read);
            }
        }
    }
}
