//! The descriptions of types and their text.

use super::*;
use crate::Schema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

fn read<T: Schema>() -> Value {
    serde_json::from_str(&input::<T>()).unwrap()
}

fn written<T: Schema>() -> Value {
    serde_json::from_str(&output::<T>()).unwrap()
}

struct Foreign;

#[derive(Deserialize, Serialize, Schema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code, reason = "only its schema is asked for")]
struct Whole {
    /// What it is for:
    /// a "purpose".
    ///
    /// More, which is not shown.
    what_for: String,
    r#type: Option<i8>,
    #[serde(default = "Default::default", alias = "n", skip_serializing_if = "Vec::is_empty")]
    numbers: Vec<(u64, f64)>,
    #[serde(rename(deserialize = "in", serialize = "out"))]
    renamed: [bool; 2],
    #[serde(skip_deserializing)]
    only_written: u16,
    #[serde(skip)]
    #[schema(any)]
    neither: u16,
    map: BTreeMap<String, Inner>,
}

#[derive(Deserialize, Serialize, Schema)]
#[allow(dead_code, reason = "only its schema is asked for")]
struct Inner(Money);

#[test]
fn an_object_is_described_by_serdes_rules_each_way() {
    let money = json!({
        "type": "object",
        "properties": { "minor_units": { "type": "integer" }, "currency": { "type": "string" } },
        "required": ["minor_units", "currency"],
        "additionalProperties": false,
    });
    let pairs = json!({ "type": "array", "items": {
        "type": "array", "minItems": 2, "maxItems": 2,
        "prefixItems": [{ "type": "integer", "minimum": 0 }, { "type": "number" }],
    }});
    let flags = json!({ "type": "array", "minItems": 2, "maxItems": 2, "items": { "type": "boolean" } });
    let byte = json!({ "anyOf": [{ "type": "integer", "minimum": -128, "maximum": 127 }, { "type": "null" }] });
    let what = json!({ "description": "What it is for: a \"purpose\".", "type": "string" });
    assert_eq!(
        read::<Whole>(),
        json!({
            "type": "object",
            "properties": {
                "whatFor": what, "type": byte, "numbers": pairs, "in": flags,
                "map": { "type": "object", "additionalProperties": money },
            },
            "required": ["whatFor", "in", "map"],
            "additionalProperties": false,
        })
    );
    let written = written::<Whole>();
    assert_eq!(written["required"], json!(["whatFor", "type", "out", "onlyWritten", "map"]));
}

#[derive(Deserialize, Serialize, Schema)]
#[serde(rename_all = "kebab-case")]
#[allow(dead_code, reason = "only its schema is asked for")]
enum Plain {
    FirstOne,
    #[serde(rename = "2nd")]
    Second,
    #[serde(skip)]
    Third,
}

#[derive(Deserialize, Serialize, Schema)]
#[allow(dead_code, reason = "only its schema is asked for")]
enum Outside {
    Empty,
    One(u8),
    Named { a: Plain },
}

#[derive(Deserialize, Serialize, Schema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(dead_code, reason = "only its schema is asked for")]
enum Inside {
    Card { number: String },
    Other(Value),
}

#[derive(Deserialize, Serialize, Schema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is asked for")]
enum Either {
    Text(String),
    Number(u8),
}

#[test]
fn an_enum_is_described_as_it_is_tagged() {
    assert_eq!(read::<Plain>(), json!({ "enum": ["first-one", "2nd"] }));
    let one = |name: &str, schema: Value| json!({ "type": "object", "properties": { name: schema }, "required": [name], "additionalProperties": false });
    let byte = json!({ "type": "integer", "minimum": 0, "maximum": 255 });
    let named = json!({ "type": "object", "properties": { "a": { "enum": ["first-one", "2nd"] } }, "required": ["a"] });
    assert_eq!(
        read::<Outside>(),
        json!({ "anyOf": [{ "enum": ["Empty"] }, one("One", byte.clone()), one("Named", named)] })
    );
    let kind = |name: &str| json!({ "enum": [name] });
    assert_eq!(
        read::<Inside>(),
        json!({ "anyOf": [
            { "type": "object", "properties": { "kind": kind("card"), "number": { "type": "string" } }, "required": ["kind", "number"] },
            { "type": "object", "properties": { "kind": kind("other") }, "required": ["kind"] },
        ]})
    );
    assert_eq!(read::<Either>(), json!({ "anyOf": [{ "type": "string" }, byte] }));
}

#[derive(Schema)]
#[allow(dead_code, reason = "only its schema is asked for")]
struct Page<T> {
    items: Vec<T>,
    foreign: Option<std::rc::Rc<u8>>,
}

#[derive(Schema)]
#[allow(dead_code, reason = "only its schema is asked for")]
struct Tree {
    #[schema(any)]
    children: Vec<Tree>,
    foreign: Foreign,
}

#[test]
fn a_type_without_a_schema_may_be_anything_and_a_parameter_has_one() {
    assert_eq!(read::<Page<bool>>()["properties"]["items"]["items"], json!({ "type": "boolean" }));
    assert_eq!(read::<Tree>()["properties"], json!({ "children": {}, "foreign": {} }));
    assert!(matches!(Probe::<Foreign>::NODE, Node::Any));
    assert!(!matches!(Probe::<Plain>::NODE, Node::Any));
}

#[test]
fn a_section_is_written_as_long_as_it_was_measured() {
    const INPUT: &Node = <Whole as Schema>::NODE;
    const SIGNALS: &[Signal] =
        &[("any", &Node::Any), ("plain", <Plain as Schema>::NODE), ("yes", <bool as Schema>::NODE)];
    const LEN: usize = section_len(INPUT, <Plain as Schema>::NODE, SIGNALS);
    static SECTION: [u8; LEN] = section(INPUT, <Plain as Schema>::NODE, SIGNALS);
    let whole: Value = serde_json::from_slice(&SECTION).unwrap();
    assert_eq!(whole["workflow"]["input"], read::<Whole>());
    assert_eq!(whole["workflow"]["output"], written::<Plain>());
    assert_eq!(whole["workflow"]["signals"], json!({ "plain": read::<Plain>(), "yes": { "type": "boolean" } }));
    assert_eq!(section_len(&Node::Any, &Node::Any, &[("x", &Node::Any)]), 0);
}
