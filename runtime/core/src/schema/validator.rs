//! One schema, parsed and checked against values by the rules of JSON Schema 2020-12. Each part of
//! the schema visits each part of the value at most once, so the cost is their product.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

/// Maximum depth of nested schemas.
const DEPTH: usize = 32;

/// Maximum number of values of `enum` in a message.
const VALUES: usize = 20;

/// The requirements of one schema, all of which must hold. A requirement for another type accepts
/// the value.
#[derive(Debug, Default)]
pub(super) struct Validator {
    never: bool,
    types: Option<Vec<JsonType>>,
    /// `enum`, or `const` as its only value.
    one_of_values: Option<Vec<Value>>,
    least: NumberLimit,
    most: NumberLimit,
    length: CountRange,
    items: CountRange,
    properties: CountRange,
    required: Vec<String>,
    by_name: BTreeMap<String, Validator>,
    other_names: Option<Box<Validator>>,
    by_place: Vec<Validator>,
    other_places: Option<Box<Validator>>,
    all_of: Vec<Validator>,
    any_of: Option<Vec<Validator>>,
    one_of: Option<Vec<Validator>>,
    not: Option<Box<Validator>>,
}

/// A bound of a number, inclusive and exclusive.
#[derive(Debug, Default)]
struct NumberLimit {
    with: Option<f64>,
    without: Option<f64>,
}

/// Minimum and maximum of a count.
#[derive(Debug, Default)]
struct CountRange {
    least: Option<u64>,
    most: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JsonType {
    Null,
    Boolean,
    Integer,
    Number,
    Text,
    Array,
    Object,
}

impl JsonType {
    const ALL: [(Self, &str); 7] = [
        (Self::Null, "null"),
        (Self::Boolean, "boolean"),
        (Self::Integer, "integer"),
        (Self::Number, "number"),
        (Self::Text, "string"),
        (Self::Array, "array"),
        (Self::Object, "object"),
    ];

    fn read(value: &Value) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|(_, name)| value.as_str() == Some(name));
        known.map(|(known, _)| *known).ok_or_else(|| format!("there is no type {value}"))
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(known, _)| *known == self).map_or("", |(_, name)| name)
    }

    fn fits(self, value: &Value) -> bool {
        match value {
            Value::Null => self == Self::Null,
            Value::Bool(_) => self == Self::Boolean,
            Value::String(_) => self == Self::Text,
            Value::Array(_) => self == Self::Array,
            Value::Object(_) => self == Self::Object,
            // 1.0 is a whole number too.
            Value::Number(number) => {
                self == Self::Number
                    || (self == Self::Integer
                        && (number.is_i64()
                            || number.is_u64()
                            || number.as_f64().is_some_and(|number| number.fract() == 0.0)))
            }
        }
    }
}

impl Validator {
    /// Parses a schema, and counts its parts.
    ///
    /// # Errors
    /// An unsupported or invalid keyword, or schemas that are nested too deep.
    pub(super) fn read(schema: &Value, depth: usize, parts: &mut usize) -> Result<Self, String> {
        *parts += 1;
        if depth > DEPTH {
            return Err(format!("schemas are nested deeper than {DEPTH} levels"));
        }
        let object = match schema {
            Value::Bool(allowed) => return Ok(Self { never: !allowed, ..Self::default() }),
            Value::Object(object) => object,
            _ => return Err("a schema is an object or a boolean".to_owned()),
        };
        let mut rule = Self::default();
        for (word, value) in object {
            rule.word(word, value, depth + 1, parts).map_err(|why| format!("`{word}`: {why}"))?;
        }
        Ok(rule)
    }

    fn word(&mut self, word: &str, value: &Value, depth: usize, parts: &mut usize) -> Result<(), String> {
        let one = |parts: &mut usize| Self::read(value, depth, parts).map(Box::new);
        match word {
            "type" => {
                let types = match value {
                    Value::Array(types) => types.iter().map(JsonType::read).collect::<Result<_, _>>()?,
                    one => vec![JsonType::read(one)?],
                };
                self.types = Some(types);
            }
            "enum" => self.one_of_values = Some(list(value)?.clone()),
            "const" => self.one_of_values = Some(vec![value.clone()]),
            "minimum" => self.least.with = Some(number(value)?),
            "exclusiveMinimum" => self.least.without = Some(number(value)?),
            "maximum" => self.most.with = Some(number(value)?),
            "exclusiveMaximum" => self.most.without = Some(number(value)?),
            "minLength" => self.length.least = Some(count(value)?),
            "maxLength" => self.length.most = Some(count(value)?),
            "minItems" => self.items.least = Some(count(value)?),
            "maxItems" => self.items.most = Some(count(value)?),
            "minProperties" => self.properties.least = Some(count(value)?),
            "maxProperties" => self.properties.most = Some(count(value)?),
            "required" => {
                let name = |name: &Value| name.as_str().map(str::to_owned).ok_or("a name must be a string".to_owned());
                self.required = list(value)?.iter().map(name).collect::<Result<_, _>>()?;
            }
            "properties" => {
                for (name, schema) in value.as_object().ok_or("it is not an object")? {
                    self.by_name.insert(name.clone(), Self::read(schema, depth, parts)?);
                }
            }
            "additionalProperties" => self.other_names = Some(one(parts)?),
            "prefixItems" => self.by_place = Self::several(value, depth, parts)?,
            "items" => self.other_places = Some(one(parts)?),
            "allOf" => self.all_of = Self::several(value, depth, parts)?,
            "anyOf" => self.any_of = Some(Self::several(value, depth, parts)?),
            "oneOf" => self.one_of = Some(Self::several(value, depth, parts)?),
            "not" => self.not = Some(one(parts)?),
            // Annotations for people.
            "title" | "description" | "default" | "examples" | "format" | "deprecated" | "readOnly" | "writeOnly" => {}
            _ => return Err("this keyword is not supported".to_owned()),
        }
        *parts += self.one_of_values.as_ref().map_or(0, Vec::len) + self.required.len();
        Ok(())
    }

    fn several(value: &Value, depth: usize, parts: &mut usize) -> Result<Vec<Self>, String> {
        let rules: Vec<Self> =
            list(value)?.iter().map(|schema| Self::read(schema, depth, parts)).collect::<Result<_, _>>()?;
        if rules.is_empty() { Err("the list is empty".to_owned()) } else { Ok(rules) }
    }

    /// Whether a value meets all requirements. It collects no messages and visits no part twice,
    /// because [`Validator::hold`] calls it at each level.
    fn fits(&self, value: &Value) -> bool {
        let inside = || match value {
            Value::Array(items) => {
                items.iter().enumerate().all(|(place, item)| self.of_place(place).is_none_or(|rule| rule.fits(item)))
            }
            Value::Object(object) => {
                self.required.iter().all(|name| object.contains_key(name))
                    && object.iter().all(|(name, value)| self.of_name(name).is_none_or(|rule| rule.fits(value)))
            }
            _ => true,
        };
        self.alone(value).is_none()
            && inside()
            && self.all_of.iter().all(|rule| rule.fits(value))
            && self.any_of.as_ref().is_none_or(|rules| rules.iter().any(|rule| rule.fits(value)))
            && self.one_of.as_ref().is_none_or(|rules| rules.iter().filter(|rule| rule.fits(value)).count() == 1)
            && !self.not.as_ref().is_some_and(|rule| rule.fits(value))
    }

    fn of_place(&self, place: usize) -> Option<&Self> {
        self.by_place.get(place).or(self.other_places.as_deref())
    }

    fn of_name(&self, name: &str) -> Option<&Self> {
        self.by_name.get(name).or(self.other_names.as_deref())
    }

    /// Adds the problems of a value to `found`, each with a JSON pointer, up to `most`. `at` is
    /// the pointer of the value and is unchanged on return.
    pub(super) fn hold(&self, value: &Value, at: &mut String, most: usize, found: &mut Vec<(String, String)>) {
        if found.len() >= most {
            return;
        }
        let before = found.len();
        if let Some(why) = self.alone(value) {
            found.push((at.clone(), why.to_string()));
            return;
        }
        match value {
            Value::Array(items) => self.hold_items(items, at, most, found),
            Value::Object(object) => self.hold_object(object, at, most, found),
            _ => {}
        }
        for rule in &self.all_of {
            rule.hold(value, at, most, found);
        }
        if found.len() > before {
            return;
        }
        if let Some(rules) = &self.any_of
            && !rules.iter().any(|rule| rule.fits(value))
        {
            // If only one choice accepts the value's type, its problems are more useful than "none
            // matches".
            let mut near = rules.iter().filter(|rule| rule.may_be(value));
            match (near.next(), near.next()) {
                (Some(rule), None) => rule.hold(value, at, most, found),
                _ => found.push((at.clone(), format!("it matches none of the {} alternatives", rules.len()))),
            }
        }
        if let Some(rules) = &self.one_of {
            let fitting = rules.iter().filter(|rule| rule.fits(value)).count();
            if fitting != 1 {
                found.push((
                    at.clone(),
                    format!("it matches {fitting} of the {} alternatives, but must match exactly one", rules.len()),
                ));
            }
        }
        if self.not.as_ref().is_some_and(|rule| rule.fits(value)) {
            found.push((at.clone(), "it matches a schema that `not` excludes".to_owned()));
        }
    }

    fn may_be(&self, value: &Value) -> bool {
        !self.never && self.types.as_ref().is_none_or(|types| types.iter().any(|one| one.fits(value)))
    }

    /// The problem of the value itself, regardless of its parts.
    fn alone<'a>(&'a self, value: &'a Value) -> Option<SchemaViolation<'a>> {
        if self.never {
            return Some(SchemaViolation::Never);
        }
        if let Some(types) = &self.types
            && !self.may_be(value)
        {
            return Some(SchemaViolation::Type(value, types));
        }
        if let Some(values) = &self.one_of_values
            && !values.iter().any(|one| same(one, value))
        {
            return Some(SchemaViolation::Value(values));
        }
        match value {
            Value::Number(number) => number.as_f64().and_then(|number| {
                let (least, most) = (&self.least, &self.most);
                let below =
                    least.with.filter(|with| number < *with).or(least.without.filter(|without| number <= *without));
                let above =
                    most.with.filter(|with| number > *with).or(most.without.filter(|without| number >= *without));
                below.map(SchemaViolation::Below).or(above.map(SchemaViolation::Above))
            }),
            Value::String(text) if self.length.is_said() => self.length.lacks(text.chars().count(), "characters"),
            Value::Array(items) => self.items.lacks(items.len(), "items"),
            Value::Object(object) => self.properties.lacks(object.len(), "fields"),
            Value::String(_) | Value::Null | Value::Bool(_) => None,
        }
    }

    fn hold_items(&self, items: &[Value], at: &mut String, most: usize, found: &mut Vec<(String, String)>) {
        let len = at.len();
        for (place, item) in items.iter().enumerate() {
            let Some(rule) = self.of_place(place) else { return };
            at.push_str(&format!("/{place}"));
            rule.hold(item, at, most, found);
            at.truncate(len);
        }
    }

    fn hold_object(
        &self,
        object: &Map<String, Value>,
        at: &mut String,
        most: usize,
        found: &mut Vec<(String, String)>,
    ) {
        for name in self.required.iter().filter(|name| !object.contains_key(*name)) {
            if found.len() < most {
                found.push((at.clone(), format!("the field `{name}` is missing")));
            }
        }
        let len = at.len();
        for (name, value) in object {
            let Some(rule) = self.of_name(name) else { continue };
            at.push('/');
            // RFC 6901 defines these escapes.
            at.push_str(&name.replace('~', "~0").replace('/', "~1"));
            if rule.never && !self.by_name.contains_key(name) {
                if found.len() < most {
                    found.push((at.clone(), "there is no such field".to_owned()));
                }
            } else {
                rule.hold(value, at, most, found);
            }
            at.truncate(len);
        }
    }
}

impl CountRange {
    fn is_said(&self) -> bool {
        self.least.is_some() || self.most.is_some()
    }

    fn lacks(&self, count: usize, of: &'static str) -> Option<SchemaViolation<'_>> {
        let count = count as u64;
        let few = self.least.filter(|least| count < *least).map(|least| SchemaViolation::TooFew(count, of, least));
        few.or(self.most.filter(|most| count > *most).map(|most| SchemaViolation::TooMany(count, of, most)))
    }
}

/// The problem of a value itself. It is formatted only if it is reported.
#[derive(Debug)]
enum SchemaViolation<'a> {
    Never,
    Type(&'a Value, &'a [JsonType]),
    Value(&'a [Value]),
    Below(f64),
    Above(f64),
    TooFew(u64, &'static str, u64),
    TooMany(u64, &'static str, u64),
}

impl fmt::Display for SchemaViolation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("no value is allowed here"),
            Self::Type(value, types) => {
                let names: Vec<_> = types.iter().map(|one| one.name()).collect();
                write!(f, "it is {}, but must be {}", kind(value), names.join(" or "))
            }
            Self::Value(values) => {
                let values: Vec<_> = values.iter().take(VALUES).map(Value::to_string).collect();
                write!(f, "it must be {}", values.join(" or "))
            }
            Self::Below(bound) => write!(f, "it is too small; the bound is {bound}"),
            Self::Above(bound) => write!(f, "it is too large; the bound is {bound}"),
            Self::TooFew(count, of, least) => write!(f, "it has {count} {of}, but must have at least {least}"),
            Self::TooMany(count, of, most) => write!(f, "it has {count} {of}, but must have at most {most}"),
        }
    }
}

fn list(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| "it is not a list".to_owned())
}

fn number(value: &Value) -> Result<f64, String> {
    value.as_f64().ok_or_else(|| "it is not a number".to_owned())
}

fn count(value: &Value) -> Result<u64, String> {
    value.as_u64().ok_or_else(|| "it is not a count".to_owned())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Equality of JSON Schema: 1 equals 1.0.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => a == b || (a.as_f64() == b.as_f64() && (a.is_f64() || b.is_f64())),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fits(schema: &Value, value: &Value) -> bool {
        Validator::read(schema, 0, &mut 0).unwrap().fits(value)
    }

    #[test]
    fn each_keyword_has_the_meaning_of_json_schema() {
        for (schema, good, bad) in [
            (json!(true), json!(null), None),
            (json!(false), json!(null), Some(json!(null))),
            (json!({}), json!([1]), None),
            (json!({ "type": "integer" }), json!(1.0), Some(json!(1.5))),
            (json!({ "type": ["string", "null"] }), json!(null), Some(json!(0))),
            (json!({ "enum": [1, "a"] }), json!(1.0), Some(json!("b"))),
            (json!({ "const": { "a": [1] } }), json!({ "a": [1.0] }), Some(json!({ "a": [] }))),
            (json!({ "minimum": 0 }), json!(0), Some(json!(-0.1))),
            (json!({ "exclusiveMinimum": 0 }), json!("text"), Some(json!(0))),
            (json!({ "maximum": 5 }), json!(5), Some(json!(6))),
            (json!({ "exclusiveMaximum": 5 }), json!(4), Some(json!(5))),
            (json!({ "minLength": 2, "maxLength": 2 }), json!("äö"), Some(json!("a"))),
            (json!({ "minItems": 1, "maxItems": 2 }), json!([1]), Some(json!([1, 2, 3]))),
            (json!({ "minProperties": 1 }), json!({ "a": 1 }), Some(json!({}))),
            (json!({ "maxProperties": 0 }), json!({}), Some(json!({ "a": 1 }))),
            (json!({ "required": ["a"] }), json!({ "a": null }), Some(json!({}))),
            (json!({ "required": ["a"] }), json!("no object"), Some(json!({ "b": 1 }))),
            (json!({ "properties": { "a": { "type": "null" } } }), json!({ "b": 1 }), Some(json!({ "a": 1 }))),
            (json!({ "additionalProperties": { "type": "null" } }), json!({ "b": null }), Some(json!({ "b": 1 }))),
            (
                json!({ "properties": { "a": true }, "additionalProperties": false }),
                json!({ "a": 1 }),
                Some(json!({ "b": 1 })),
            ),
            (json!({ "items": { "type": "null" } }), json!([null]), Some(json!([null, 1]))),
            (json!({ "prefixItems": [true], "items": false }), json!([1]), Some(json!([1, 2]))),
            (json!({ "allOf": [{ "minimum": 1 }, { "maximum": 2 }] }), json!(2), Some(json!(3))),
            (json!({ "anyOf": [{ "minimum": 5 }, { "maximum": 2 }] }), json!(1), Some(json!(3))),
            (json!({ "oneOf": [{ "minimum": 1 }, { "maximum": 2 }] }), json!(3), Some(json!(2))),
            (json!({ "not": { "type": "null" } }), json!(1), Some(json!(null))),
        ] {
            assert!(schema == json!(false) || fits(&schema, &good), "{schema} takes {good}");
            if let Some(bad) = bad {
                assert!(!fits(&schema, &bad), "{schema} refuses {bad}");
            }
        }
    }

    #[test]
    fn problems_name_what_does_not_fit_and_depth_has_linear_cost() {
        let mut deep = json!({ "type": "integer" });
        for _ in 0..30 {
            deep = json!({ "anyOf": [deep] });
        }
        let rule = Validator::read(&deep, 0, &mut 0).unwrap();
        let mut found = Vec::new();
        rule.hold(&json!("x"), &mut String::new(), 9, &mut found);
        assert_eq!(found, [(String::new(), "it matches none of the 1 alternatives".to_owned())]);
    }

    proptest::proptest! {
        #[test]
        fn a_problem_is_reported_exactly_if_a_value_does_not_fit(schema in schemas(), value in values()) {
            let rule = Validator::read(&schema, 0, &mut 0).unwrap();
            let mut found = Vec::new();
            rule.hold(&value, &mut String::new(), 5, &mut found);
            proptest::prop_assert_eq!(found.is_empty(), rule.fits(&value), "{} {}", schema, value);
        }
    }

    fn values() -> impl proptest::strategy::Strategy<Value = Value> {
        use proptest::prelude::*;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3..4).prop_map(Value::from),
            "[ab]{0,3}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 12, 4, |inside| {
            prop_oneof![
                proptest::collection::vec(inside.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[ab]", inside, 0..3).prop_map(|map| json!(map)),
            ]
        })
    }

    fn schemas() -> impl proptest::strategy::Strategy<Value = Value> {
        use proptest::prelude::*;
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            proptest::sample::select(vec!["null", "integer", "string", "array", "object"])
                .prop_map(|name| json!({ "type": name })),
            (-2..3).prop_map(|least| json!({ "minimum": least, "maxLength": 1, "maxItems": 2 })),
            values().prop_map(|value| json!({ "const": value })),
        ];
        leaf.prop_recursive(4, 24, 4, |inside| {
            let several = proptest::collection::vec(inside.clone(), 1..4);
            prop_oneof![
                several.clone().prop_map(|rules| json!({ "anyOf": rules })),
                several.clone().prop_map(|rules| json!({ "oneOf": rules })),
                several.prop_map(|rules| json!({ "allOf": rules, "prefixItems": rules })),
                inside.clone().prop_map(|rule| json!({ "not": rule })),
                inside.clone().prop_map(|rule| json!({ "items": rule, "required": ["a"] })),
                (inside.clone(), inside)
                    .prop_map(|(a, b)| json!({ "properties": { "a": a }, "additionalProperties": b })),
            ]
        })
    }

    #[test]
    fn a_problem_has_a_json_pointer_and_the_nearest_choice_explains_it() {
        let rule = json!({ "properties": { "a/b~": { "anyOf": [{ "type": "object", "required": ["x"] }, { "type": "null" }] } } });
        let mut found = Vec::new();
        Validator::read(&rule, 0, &mut 0).unwrap().hold(&json!({ "a/b~": {} }), &mut String::new(), 9, &mut found);
        assert_eq!(found, [("/a~1b~0".to_owned(), "the field `x` is missing".to_owned())]);
    }
}
