//! Reads an object field by field, and reports all of its problems rather than the first one.
//!
//! Every reader takes the list of problems, and returns `None` if it added one. An unknown field
//! is refused with the nearest known name.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Map, Value};

use super::InputProblem;
use super::json::shown;
use super::span::{InvalidDuration, VariableUnit, parse_span};
use crate::codes::Code;
use crate::ids::{InvalidName, Timestamp};

/// An object that is being read.
#[derive(Debug)]
pub struct ObjectReader {
    pointer: String,
    fields: Map<String, Value>,
    known: Vec<&'static str>,
}

/// A value and its position.
#[derive(Debug)]
pub struct ObjectField {
    /// Its JSON pointer.
    pub pointer: String,
    /// The value.
    pub value: Value,
}

impl ObjectReader {
    /// Returns a reader of an object with these fields; `pointer` is the pointer of the object.
    #[must_use]
    pub const fn new(pointer: String, fields: Map<String, Value>) -> Self {
        Self { pointer, fields, known: Vec::new() }
    }

    /// Its JSON pointer.
    #[must_use]
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// The JSON pointer of its field `name`.
    #[must_use]
    pub fn pointer_to(&self, name: &str) -> String {
        format!("{}/{}", self.pointer, name.replace('~', "~0").replace('/', "~1"))
    }

    /// Takes a field if it is present, and adds its name to the known names.
    pub fn take(&mut self, name: &'static str) -> Option<ObjectField> {
        self.known.push(name);
        let value = self.fields.remove(name)?;
        Some(ObjectField { pointer: self.pointer_to(name), value })
    }

    /// Takes a required field.
    pub fn require(&mut self, name: &'static str, fix: &str, problems: &mut Vec<InputProblem>) -> Option<ObjectField> {
        let field = self.take(name);
        if field.is_none() {
            problems.push(InputProblem::field(self.pointer_to(name), format!("`{name}` is missing"), fix));
        }
        field
    }

    /// Takes all remaining fields, for objects whose sender chooses the names.
    pub fn take_all(&mut self) -> Vec<(String, ObjectField)> {
        let fields = std::mem::take(&mut self.fields);
        fields
            .into_iter()
            .map(|(name, value)| (name.clone(), ObjectField { pointer: self.pointer_to(&name), value }))
            .collect()
    }

    /// Refuses the remaining fields.
    pub fn finish(self, problems: &mut Vec<InputProblem>) {
        for name in self.fields.keys() {
            let nearest = self
                .known
                .iter()
                .map(|known| (strsim::damerau_levenshtein(&clipped(name), known), *known))
                .filter(|(distance, known)| *distance <= 1 + known.len() / 3)
                .min();
            let fix = match nearest {
                Some((_, known)) => format!("Write `{known}`, or remove it."),
                None if self.known.is_empty() => "Remove it.".to_owned(),
                None => format!("Remove it; known fields are {}.", self.known.join(", ")),
            };
            problems.push(
                InputProblem::field(
                    self.pointer_to(&shown(name)),
                    format!("there is no field `{}` here", shown(name)),
                    fix,
                )
                .with_code(Code::UnknownField),
            );
        }
    }
}

/// The part of a name that matters for the comparison with known names.
fn clipped(name: &str) -> String {
    name.chars().take(64).map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// Name of a value's type for messages.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

impl ObjectField {
    fn expected(&self, what: &str, problems: &mut Vec<InputProblem>) {
        problems.push(InputProblem::field(
            &self.pointer,
            format!("{} instead of {what}", kind(&self.value)),
            format!("Write {what}."),
        ));
    }

    /// Reads an object.
    pub fn object(self, problems: &mut Vec<InputProblem>) -> Option<ObjectReader> {
        match self.value {
            Value::Object(fields) => Some(ObjectReader::new(self.pointer, fields)),
            _ => {
                self.expected("an object", problems);
                None
            }
        }
    }

    /// Reads a list of at most `limit` items.
    pub fn list(self, limit: usize, problems: &mut Vec<InputProblem>) -> Option<Vec<Self>> {
        match self.value {
            Value::Array(items) if items.len() <= limit => {
                let item = |(index, value)| Self { pointer: format!("{}/{index}", self.pointer), value };
                Some(items.into_iter().enumerate().map(item).collect())
            }
            Value::Array(items) => {
                let message = format!("{} items; at most {limit} are allowed", items.len());
                problems.push(InputProblem::field(self.pointer, message, format!("Give at most {limit}.")));
                None
            }
            _ => {
                self.expected("a list", problems);
                None
            }
        }
    }

    /// Reads a list, or one item as a list of one.
    pub fn one_or_many(self, limit: usize, problems: &mut Vec<InputProblem>) -> Option<Vec<Self>> {
        if self.value.is_array() { self.list(limit, problems) } else { Some(vec![self]) }
    }

    /// Reads a text of at most `limit` bytes.
    pub fn text(self, limit: usize, problems: &mut Vec<InputProblem>) -> Option<String> {
        match self.value {
            Value::String(text) if text.len() <= limit => Some(text),
            Value::String(text) => {
                let message = format!("{} bytes of text; at most {limit} are allowed", text.len());
                problems.push(InputProblem::field(self.pointer, message, "Shorten it."));
                None
            }
            _ => {
                self.expected("text", problems);
                None
            }
        }
    }

    /// Reads a boolean.
    pub fn boolean(self, problems: &mut Vec<InputProblem>) -> Option<bool> {
        let value = self.value.as_bool();
        if value.is_none() {
            self.expected("true or false", problems);
        }
        value
    }

    /// Reads a whole number within `range`.
    pub fn number(self, range: RangeInclusive<u64>, problems: &mut Vec<InputProblem>) -> Option<u64> {
        let what = format!("a whole number from {} to {}", range.start(), range.end());
        match self.value.as_u64() {
            Some(number) if range.contains(&number) => Some(number),
            _ if self.value.is_number() => {
                let message = format!("{} is not {what}", self.value);
                problems.push(InputProblem::field(self.pointer, message, format!("Write {what}.")));
                None
            }
            _ => {
                self.expected(&what, problems);
                None
            }
        }
    }

    /// Parses a text with `FromStr`.
    pub fn parse<T: FromStr<Err = InvalidName>>(self, problems: &mut Vec<InputProblem>) -> Option<T> {
        let pointer = self.pointer.clone();
        let text = self.text(256, problems)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(InvalidName { kind, rule }) => {
                let message = format!("`{}` is not a {kind}", shown(&text));
                problems.push(InputProblem::field(pointer, message, format!("A {kind} is {rule}.")));
                None
            }
        }
    }

    /// Reads a text that is one of `choices`.
    pub fn choice<T: Copy>(self, choices: &[(&str, T)], problems: &mut Vec<InputProblem>) -> Option<T> {
        let pointer = self.pointer.clone();
        let text = self.text(256, problems)?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<_> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            let message = format!("`{}` is not one of the choices", shown(&text));
            problems.push(InputProblem::field(pointer, message, format!("Write one of {}.", names.join(", "))));
        }
        found
    }

    /// Reads a duration such as `"30s"` or `"1h 30m"` in milliseconds, within `range`.
    pub fn duration(self, range: RangeInclusive<u64>, problems: &mut Vec<InputProblem>) -> Option<u64> {
        let (shortest, longest) = (duration_text(*range.start()), duration_text(*range.end()));
        let fix =
            format!("Write a span of time with its unit, such as \"30s\" or \"1h 30m\", from {shortest} to {longest}.");
        let millis = match &self.value {
            Value::String(text) if text.len() <= 64 => match parse_span(text) {
                Ok(span) => u64::try_from(span.as_millis()).ok(),
                Err(InvalidDuration::Uneven(uneven)) => {
                    let (unit, fix) = match uneven {
                        VariableUnit::Month => (
                            "month",
                            "Write days, such as \"30days\", or \"1m\" for a minute; `cron = \"0 0 1 * *\"` fires once a month.",
                        ),
                        VariableUnit::Year => {
                            ("year", "Write days, such as \"365days\"; `cron = \"0 0 1 1 *\"` fires once a year.")
                        }
                    };
                    let message = format!("`{}` counts by the {unit}, which has no fixed length", shown(text));
                    problems.push(InputProblem::field(self.pointer, message, fix));
                    return None;
                }
                Err(InvalidDuration::Text) => None,
            },
            Value::String(_) => None,
            _ => {
                let message = format!("{} instead of a span of time", kind(&self.value));
                problems.push(InputProblem::field(self.pointer, message, fix));
                return None;
            }
        };
        match millis {
            Some(millis) if range.contains(&millis) => Some(millis),
            Some(millis) => {
                let message = format!("{} is not from {shortest} to {longest}", duration_text(millis));
                problems.push(InputProblem::field(self.pointer, message, fix));
                None
            }
            None => {
                let text = self.value.as_str().map(shown).unwrap_or_default();
                problems.push(InputProblem::field(self.pointer, format!("`{text}` is not a span of time"), fix));
                None
            }
        }
    }

    /// Reads a number of bytes, or a size such as `"64MiB"`, within `range`.
    pub fn size(self, range: RangeInclusive<u64>, problems: &mut Vec<InputProblem>) -> Option<u64> {
        let what =
            format!("a size from {} to {}, such as \"64MiB\"", size_text(*range.start()), size_text(*range.end()));
        let bytes = match &self.value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) if text.len() <= 64 => {
                text.parse::<bytesize::ByteSize>().ok().map(|size| size.as_u64())
            }
            Value::String(_) => None,
            _ => {
                self.expected(&what, problems);
                return None;
            }
        };
        match bytes {
            Some(bytes) if range.contains(&bytes) => Some(bytes),
            _ => {
                let text = self.value.as_str().map_or_else(|| self.value.to_string(), shown);
                problems.push(InputProblem::field(
                    self.pointer,
                    format!("`{text}` is not {what}"),
                    format!("Write {what}."),
                ));
                None
            }
        }
    }

    /// Reads a time as RFC 3339 text.
    pub fn time(self, problems: &mut Vec<InputProblem>) -> Option<Timestamp> {
        const FIX: &str = "Write a time as RFC 3339, such as \"2026-01-31T08:00:00Z\", from 1970 to 9999.";
        let pointer = self.pointer.clone();
        let text = self.text(64, problems)?;
        let time = Timestamp::parse_rfc3339(&text).filter(|time| *time <= Timestamp::MAX);
        if time.is_none() {
            problems.push(InputProblem::field(pointer, format!("`{}` is not a valid time", shown(&text)), FIX));
        }
        time
    }
}

/// Formats a duration so that [`ObjectField::duration`] reads it back.
#[must_use]
pub fn duration_text(millis: u64) -> String {
    // Keep days: humantime's months and years vary in length.
    let days = millis / 86_400_000;
    let rest = humantime::format_duration(Duration::from_millis(millis % 86_400_000)).to_string();
    match (days, millis.is_multiple_of(86_400_000)) {
        (0, _) => rest,
        (days, true) => format!("{days}days"),
        (days, false) => format!("{days}days {rest}"),
    }
}

/// Formats a number with a comma before each third digit from the right.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Formats a size so that [`ObjectField::size`] reads back the same number of bytes.
#[must_use]
pub(crate) fn size_text(bytes: u64) -> String {
    for (unit, name) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes != 0 && bytes.is_multiple_of(unit) {
            return format!("{}{name}", bytes / unit);
        }
    }
    format!("{bytes}B")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let shown: Vec<_> = [0, 999, 1_000, 12_345, 1_000_000].map(grouped).into();
        assert_eq!(shown, ["0", "999", "1,000", "12,345", "1,000,000"]);
    }

    fn field(value: Value) -> ObjectField {
        ObjectField { pointer: "/x".to_owned(), value }
    }

    proptest! {
        #[test]
        fn spans_and_sizes_read_back(millis in prop_oneof![any::<u64>(), 0u64..1 << 40, (0u64..1_000).prop_map(|n| n * 1_000)]) {
            let mut problems = Vec::new();
            let span = millis % (1 << 50);
            prop_assert_eq!(field(duration_text(span).into()).duration(0..=u64::MAX, &mut problems), Some(span));
            prop_assert_eq!(field(size_text(millis).into()).size(0..=u64::MAX, &mut problems), Some(millis));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,80}|[0-9.]{1,30} ?[a-zA-Z]{0,8}") {
            let mut problems = Vec::new();
            let read = [
                field(text.clone().into()).duration(0..=u64::MAX, &mut problems).is_some(),
                field(text.clone().into()).size(0..=u64::MAX, &mut problems).is_some(),
                field(text.clone().into()).time(&mut problems).is_some(),
                field(text.into()).parse::<crate::DeploymentName>(&mut problems).is_some(),
            ];
            prop_assert_eq!(read.iter().filter(|read| !**read).count(), problems.len());
        }
    }

    #[test]
    fn months_and_years_are_refused_with_what_to_write_instead() {
        for (text, unit, fix) in
            [("1M", "month", "0 0 1 * *"), ("2months", "month", "30days"), ("1y", "year", "365days")]
        {
            let mut problems = Vec::new();
            assert_eq!(field(text.into()).duration(0..=u64::MAX, &mut problems), None);
            assert!(problems[0].message.contains(unit) && problems[0].fix.contains(fix), "{problems:?}");
        }
    }

    #[test]
    fn an_unknown_field_is_refused_with_the_nearest_name() {
        let Value::Object(fields) = json!({ "prioritty": 1, "time-zone": 2, "zzz": 3, "a/b~": 4 }) else { return };
        let mut object = ObjectReader::new("/base".to_owned(), fields);
        for known in ["priority", "time_zone"] {
            assert!(object.take(known).is_none());
        }
        let mut problems = Vec::new();
        object.finish(&mut problems);
        let found: Vec<_> = problems.iter().map(|p| (p.pointer.as_str(), p.fix.as_str())).collect();
        assert_eq!(
            found,
            [
                ("/base/a~1b~0", "Remove it; known fields are priority, time_zone."),
                ("/base/prioritty", "Write `priority`, or remove it."),
                ("/base/time-zone", "Write `time_zone`, or remove it."),
                ("/base/zzz", "Remove it; known fields are priority, time_zone."),
            ]
        );
    }
}
