//! Canonical JSON text of the value at a pointer: without spaces, fields sorted by name, strings
//! escaped in one way, numbers as they are written.
//!
//! `serde_json::Value` rounds a number beyond 64 bits to the nearest `f64`, as it does its
//! neighbours. Here numbers are never converted.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Nesting depth above which values keep their original form. The host accepts 64 levels.
const DEPTH: usize = 128;

/// The text of the value at `pointer` in `input`; `None` if the value is absent or `input` is not
/// JSON.
pub(super) fn at(pointer: &str, input: &[u8]) -> Option<String> {
    let path: Vec<String> = pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
    let mut whole = serde_json::Deserializer::from_slice(input);
    let found = PointerSeed(&path).deserialize(&mut whole).ok()?;
    whole.end().ok()?;
    let written = found?.get();
    let mut text = String::with_capacity(written.len());
    let form = ParsedText { bytes: written.as_bytes(), text: written };
    Some(if form.value(0, 0, &mut text).is_some() { text } else { written.to_owned() })
}

/// Follows the rest of a pointer to a value.
struct PointerSeed<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for PointerSeed<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<Self::Value, D::Error> {
        if self.0.is_empty() {
            return <&RawValue as serde::Deserialize>::deserialize(de).map(Some);
        }
        de.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PointerSeed<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some((name, rest)) = self.0.split_first() else { return Ok(None) };
        let mut found = None;
        while let Some(field) = map.next_key::<String>()? {
            // The last of two fields with the same name counts.
            if field == *name {
                found = map.next_value_seed(PointerSeed(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let Some((place, rest)) = self.0.split_first() else { return Ok(None) };
        // RFC 6901 allows neither leading zeros nor signs.
        let canonical = place == "0" || !place.starts_with(['0', '+']);
        let place = place.parse::<usize>().ok().filter(|_| canonical);
        let (mut found, mut here) = (None, 0);
        loop {
            if Some(here) == place {
                match seq.next_element_seed(PointerSeed(rest))? {
                    Some(value) => found = value,
                    None => return Ok(found),
                }
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(found);
            }
            here += 1;
        }
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// A JSON text that was already parsed, so that only its structure matters.
struct ParsedText<'a> {
    bytes: &'a [u8],
    text: &'a str,
}

impl ParsedText<'_> {
    /// Writes the value that begins at or after `from`; returns the offset after it, or `None` if
    /// it nests too deep.
    fn value(&self, from: usize, depth: usize, out: &mut String) -> Option<usize> {
        let from = self.past_space(from);
        match self.bytes.get(from)? {
            b'{' if depth < DEPTH => self.object(from, depth, out),
            b'[' if depth < DEPTH => self.array(from, depth, out),
            b'{' | b'[' => None,
            b'"' => {
                let (string, end) = self.string(from)?;
                out.push_str(&serde_json::to_string(&string).ok()?);
                Some(end)
            }
            _ => {
                let rest = self.bytes.get(from..)?;
                let length = rest.iter().position(|byte| b",]} \t\n\r".contains(byte)).unwrap_or(rest.len());
                out.push_str(self.text.get(from..from + length)?);
                Some(from + length)
            }
        }
    }

    fn object(&self, from: usize, depth: usize, out: &mut String) -> Option<usize> {
        let mut fields: Vec<(String, String)> = Vec::new();
        let mut at = self.past_space(from + 1);
        while *self.bytes.get(at)? != b'}' {
            let (name, end) = self.string(at)?;
            let mut value = String::new();
            // After the colon.
            at = self.past_space(self.value(self.past_space(end) + 1, depth + 1, &mut value)?);
            fields.push((name, value));
            if *self.bytes.get(at)? == b',' {
                at = self.past_space(at + 1);
            }
        }
        // The last of two fields with the same name counts: the sort is stable.
        fields.sort_by(|(one, _), (other, _)| one.cmp(other));
        out.push('{');
        for (index, (name, value)) in fields.iter().enumerate() {
            if fields.get(index + 1).is_some_and(|(next, _)| next == name) {
                continue;
            }
            if !out.ends_with('{') {
                out.push(',');
            }
            out.push_str(&serde_json::to_string(name).ok()?);
            out.push(':');
            out.push_str(value);
        }
        out.push('}');
        Some(at + 1)
    }

    fn array(&self, from: usize, depth: usize, out: &mut String) -> Option<usize> {
        out.push('[');
        let mut at = self.past_space(from + 1);
        while *self.bytes.get(at)? != b']' {
            at = self.past_space(self.value(at, depth + 1, out)?);
            if *self.bytes.get(at)? == b',' {
                out.push(',');
                at = self.past_space(at + 1);
            }
        }
        out.push(']');
        Some(at + 1)
    }

    /// The string that begins at `from`, and the offset after it.
    fn string(&self, from: usize) -> Option<(String, usize)> {
        let mut at = from + 1;
        loop {
            match self.bytes.get(at)? {
                b'\\' => at += 2,
                b'"' => break,
                _ => at += 1,
            }
        }
        let string = serde_json::from_str(self.text.get(from..=at)?).ok()?;
        Some((string, at + 1))
    }

    fn past_space(&self, from: usize) -> usize {
        let rest = self.bytes.get(from..).unwrap_or_default();
        from + rest.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(rest.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// Values whose numbers `serde_json` represents exactly.
    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c\"\\\\\u{0}\u{e9}/~ ]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c/~\"]{0,2}", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn other_values_have_the_text_that_serde_json_writes(value in values(), path in "(/[a-c0-2/~\"]{0,2}){0,3}") {
            let expected = value.pointer(&path).map(Value::to_string);
            for written in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                prop_assert_eq!(at(&path, written.as_bytes()), expected.clone(), "{} in {}", &path, written);
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(
            path in "(/[a-c0-2~]{0,2}){0,3}",
            text in "[\\[\\]{}\",:0-9eE.+\\- tfn\\\\ua-c]{0,40}",
        ) {
            let _ = at(&path, text.as_bytes());
        }
    }

    #[test]
    fn a_value_has_one_text_in_every_notation() {
        assert_eq!(
            at("/k", br#"{"k": {"b": [1, 2], "\u0061": "\u0062", "b" : [ 3 ]}}"#).unwrap(),
            r#"{"a":"b","b":[3]}"#
        );
        assert_eq!(at("/k", br#"{"k": 1, "k": 2.50}"#).unwrap(), "2.50");
        assert_eq!(
            at("/1/x", br#"[0, {"x": 10000000000000000000000000001}]"#).unwrap(),
            "10000000000000000000000000001"
        );
        assert_eq!(at("/01", b"[0, 1]"), None);
        assert_eq!(at("", b"  [ ]  ").unwrap(), "[]");
        assert_eq!(at("/k", b"{\"k\": 1} 2"), None);
        let deep = "[".repeat(200) + &"]".repeat(200);
        assert_eq!(at("", deep.as_bytes()).unwrap(), deep);
        assert_eq!(at("/x", json!("text").to_string().as_bytes()), None);
    }
}
