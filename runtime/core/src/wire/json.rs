//! JSON with bounds: size, depth, and no duplicate names in an object. Every JSON text that enters
//! the host is read here.
//!
//! `serde_json` alone silently takes the last of two equal names. If it skips a value without
//! building it, it also accepts any depth, half of a surrogate pair (`"\ud83d"`), and numbers
//! beyond 64-bit floats (`1e400`). Other readers refuse such texts, so one of them breaks every
//! list that contains it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::text::is_steering;

/// Maximum nesting depth of arrays and objects.
pub const DEPTH: usize = 64;

/// Bytes that are not a JSON value within the bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJson {
    /// Too many bytes.
    #[error("{bytes} bytes of JSON; at most {limit} are allowed")]
    TooLarge {
        /// Number of bytes.
        bytes: usize,
        /// Maximum number of bytes.
        limit: usize,
    },
    /// Not JSON, too deep, or a duplicate name; the text describes what is wrong and where.
    #[error("{0}")]
    Wrong(String),
}

/// Parses `bytes` as one JSON value.
///
/// # Errors
/// If they are more than `limit`, not JSON (RFC 8259), nested deeper than [`DEPTH`], or contain a
/// duplicate name.
pub fn parse(bytes: &[u8], limit: usize) -> Result<Value, InvalidJson> {
    run(bytes, limit, Build { depth: 0 })
}

/// Checks that `bytes` are one JSON value that every reader accepts, without building it.
/// Duplicate names are allowed.
///
/// # Errors
/// If they are more than `limit`, not JSON (RFC 8259), nested deeper than [`DEPTH`], or contain
/// half of a surrogate pair or a number beyond 64-bit floats.
pub fn check(bytes: &[u8], limit: usize) -> Result<(), InvalidJson> {
    run(bytes, limit, Skip { depth: 0 })
}

fn run<'de, S: DeserializeSeed<'de>>(bytes: &'de [u8], limit: usize, seed: S) -> Result<S::Value, InvalidJson> {
    if bytes.len() > limit {
        return Err(InvalidJson::TooLarge { bytes: bytes.len(), limit });
    }
    let wrong = |error: serde_json::Error| InvalidJson::Wrong(error.to_string());
    let mut de = serde_json::Deserializer::from_slice(bytes);
    let value = seed.deserialize(&mut de).map_err(wrong)?;
    de.end().map_err(wrong)?;
    Ok(value)
}

fn deeper<E: serde::de::Error>(depth: usize) -> Result<usize, E> {
    if depth == DEPTH { Err(E::custom(format_args!("nested deeper than {DEPTH} levels"))) } else { Ok(depth + 1) }
}

struct Build {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Build {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<Value, D::Error> {
        de.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Build {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let depth = deeper(self.depth)?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Self { depth })? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let depth = deeper(self.depth)?;
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if fields.contains_key(&name) {
                return Err(A::Error::custom(format_args!("`{}` is given twice", shown(&name))));
            }
            let value = map.next_value_seed(Self { depth })?;
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}

struct Skip {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Skip {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<(), D::Error> {
        de.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let depth = deeper(self.depth)?;
        while seq.next_element_seed(Self { depth })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let depth = deeper(self.depth)?;
        while map.next_key_seed(Self { depth })?.is_some() {
            map.next_value_seed(Self { depth })?;
        }
        Ok(())
    }
}

/// The beginning of a text from outside, safe for a message: at most 64 characters, without
/// terminal control characters.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut chars = text.chars().map(|c| if is_steering(c) { '\u{fffd}' } else { c });
    let start: String = chars.by_ref().take(64).collect();
    if chars.next().is_some() { start + "…" } else { start }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bounds_hold() {
        let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(parse(nested(DEPTH).as_bytes(), 1000).is_ok() && check(nested(DEPTH).as_bytes(), 1000).is_ok());
        for bad in [nested(DEPTH + 1), "[".repeat(100_000), "{\"a\":".repeat(100_000)] {
            assert!(parse(bad.as_bytes(), 1 << 20).is_err() && check(bad.as_bytes(), 1 << 20).is_err());
        }
        assert_eq!(parse(b"[1]", 2), Err(InvalidJson::TooLarge { bytes: 3, limit: 2 }));
        assert!(parse(br#"{"a":1,"a":2}"#, 100).unwrap_err().to_string().starts_with("`a` is given twice"));
        for bad in ["", " ", "1 2", "nul", "{'a':1}", "[1,]", "\"\u{7}\"", "1e999"] {
            assert!(parse(bad.as_bytes(), 100).is_err() && check(bad.as_bytes(), 100).is_err(), "{bad:?}");
        }
        assert!(check(b"\"\xff\"", 100).is_err());
        for bad in [r#""\ud83d""#, r#"{"\ude00":1}"#, r#"["\ud83dx"]"#, "1e400", "[-1e400]", &"9".repeat(400)] {
            assert!(parse(bad.as_bytes(), 1000).is_err() && check(bad.as_bytes(), 1000).is_err(), "{bad:?}");
        }
        assert!(check(r#"["\ud83d\ude00", 1e308, 1e-400]"#.as_bytes(), 100).is_ok());
    }

    proptest! {
        #[test]
        fn bytes_are_json_here_if_they_are_json_to_serde_json(bytes in prop_oneof![
            any::<Vec<u8>>(),
            "[\\[\\]{}\",:0-9eE.+\\- tfn\\\\u]{0,40}".prop_map(String::into_bytes),
        ]) {
            let theirs = serde_json::from_slice::<Value>(&bytes).ok();
            prop_assert_eq!(check(&bytes, 1000).is_ok(), theirs.is_some());
            if let Ok(ours) = parse(&bytes, 1000) { prop_assert_eq!(Some(ours), theirs); }
        }

        #[test]
        fn a_number_that_is_read_is_written_as_it_was(number in any::<f64>()) {
            let text = serde_json::to_string(&number).unwrap();
            let read = parse(text.as_bytes(), 1000).unwrap();
            prop_assert_eq!(read.to_string(), text);
        }

        #[test]
        fn shown_text_is_short_and_printable(text in any::<String>()) {
            prop_assert!(shown(&text).chars().count() <= 65 && !shown(&text).chars().any(is_steering));
        }
    }
}
