//! Reads the values at some pointers of a JSON text in one pass, without building the rest.
//!
//! The whole text must be JSON within the host's depth. Only names on the way to a pointer must be
//! unique: a provider's repeated name elsewhere changes nothing that the host reads.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use tidemill_core::flow::Pointer;
use tidemill_core::wire::json::DEPTH;

/// Maximum length of a text that is read, in bytes.
const TEXT_BYTES: usize = 1_024;

/// The value at a pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ScannedValue {
    /// There is none.
    Missing,
    /// A name on the way to it, or its own, is given more than once.
    Repeated,
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A boolean.
    Boolean(bool),
    /// A longer text, another number, null, an array or an object.
    Other,
}

/// Reads the values at `pointers`.
pub(crate) fn scan(bytes: &[u8], pointers: &[&Pointer]) -> Result<Vec<ScannedValue>, String> {
    let mut places: Vec<_> = pointers.iter().map(|pointer| ScannedPlace::new(pointer)).collect();
    let mut de = serde_json::Deserializer::from_slice(bytes);
    let mut open: Vec<&mut ScannedPlace> = places.iter_mut().collect();
    Scan { level: 0, open: &mut open }.deserialize(&mut de).map_err(|error| error.to_string())?;
    de.end().map_err(|error| error.to_string())?;
    Ok(places.into_iter().map(|place| place.value).collect())
}

/// A pointer with the value that was found.
struct ScannedPlace {
    names: Vec<String>,
    value: ScannedValue,
    /// Number of values that were found at each level.
    found: Vec<u32>,
}

impl ScannedPlace {
    fn new(pointer: &Pointer) -> Self {
        let names: Vec<_> =
            pointer.as_str().split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~")).collect();
        Self { found: vec![0; names.len()], names, value: ScannedValue::Missing }
    }

    fn set(&mut self, value: ScannedValue) {
        self.value = if self.found.iter().any(|found| *found > 1) { ScannedValue::Repeated } else { value };
    }
}

/// Scans a value whose position is the first `level` names of each place in `open`.
struct Scan<'a, 'p> {
    level: usize,
    open: &'a mut [&'p mut ScannedPlace],
}

impl Scan<'_, '_> {
    /// Sets the value of the places that end here.
    fn set(&mut self, value: &ScannedValue) {
        for place in self.open.iter_mut().filter(|place| place.names.len() == self.level) {
            place.set(value.clone());
        }
    }

    /// Scans the value of a name or an index.
    fn child<T>(&mut self, name: &str, next: impl FnOnce(Scan<'_, '_>) -> T) -> T {
        let level = self.level;
        let mut open: Vec<&mut ScannedPlace> = Vec::new();
        for place in self.open.iter_mut() {
            if place.names.get(level).is_some_and(|known| known == name) {
                place.found[level] += 1;
                if place.found[level] > 1 {
                    place.value = ScannedValue::Repeated;
                }
                open.push(place);
            }
        }
        next(Scan { level: level + 1, open: &mut open })
    }
}

impl<'de> DeserializeSeed<'de> for Scan<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<(), D::Error> {
        de.deserialize_any(self)
    }
}

fn check_depth<E: serde::de::Error>(level: usize) -> Result<(), E> {
    if level == DEPTH { Err(E::custom(format_args!("nested deeper than {DEPTH} levels"))) } else { Ok(()) }
}

impl<'de> Visitor<'de> for Scan<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(mut self, value: bool) -> Result<(), E> {
        self.set(&ScannedValue::Boolean(value));
        Ok(())
    }

    fn visit_i64<E>(mut self, value: i64) -> Result<(), E> {
        self.set(&ScannedValue::Integer(value));
        Ok(())
    }

    fn visit_u64<E>(mut self, value: u64) -> Result<(), E> {
        self.set(&i64::try_from(value).map_or(ScannedValue::Other, ScannedValue::Integer));
        Ok(())
    }

    fn visit_f64<E>(mut self, _: f64) -> Result<(), E> {
        self.set(&ScannedValue::Other);
        Ok(())
    }

    fn visit_str<E>(mut self, value: &str) -> Result<(), E> {
        if self.open.is_empty() {
            return Ok(());
        }
        let fits = value.len() <= TEXT_BYTES;
        self.set(&if fits { ScannedValue::Text(value.to_owned()) } else { ScannedValue::Other });
        Ok(())
    }

    fn visit_unit<E>(mut self) -> Result<(), E> {
        self.set(&ScannedValue::Other);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        check_depth::<A::Error>(self.level)?;
        self.set(&ScannedValue::Other);
        for index in 0_usize.. {
            let name = if self.open.is_empty() { String::new() } else { index.to_string() };
            if self.child(&name, |scan| seq.next_element_seed(scan))?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        check_depth::<A::Error>(self.level)?;
        self.set(&ScannedValue::Other);
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            self.child(&name, |scan| map.next_value_seed(scan))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn at(body: &str, pointer: &str) -> Result<ScannedValue, String> {
        scan(body.as_bytes(), &[&pointer.parse().unwrap()]).map(|mut values| values.remove(0))
    }

    #[test]
    fn values_are_read_by_their_kind() {
        let body = r#"{"id":"e\u0076t","n":-7,"big":18446744073709551615,"f":1.5,"t":true,"z":null,"a":[{"x/y":1},[2]],"e":{}}"#;
        for (pointer, value) in [
            ("/id", ScannedValue::Text("evt".to_owned())),
            ("/n", ScannedValue::Integer(-7)),
            ("/big", ScannedValue::Other),
            ("/f", ScannedValue::Other),
            ("/t", ScannedValue::Boolean(true)),
            ("/z", ScannedValue::Other),
            ("/a", ScannedValue::Other),
            ("/a/0/x~1y", ScannedValue::Integer(1)),
            ("/a/1/0", ScannedValue::Integer(2)),
            ("/a/01/0", ScannedValue::Missing),
            ("/a/2", ScannedValue::Missing),
            ("/e", ScannedValue::Other),
            ("/e/x", ScannedValue::Missing),
            ("/id/0", ScannedValue::Missing),
            ("/", ScannedValue::Missing),
        ] {
            assert_eq!(at(body, pointer), Ok(value), "{pointer}");
        }
        assert_eq!(at(&format!("{{\"id\":\"{}\"}}", "x".repeat(1_025)), "/id"), Ok(ScannedValue::Other));
    }

    #[test]
    fn a_repeated_name_on_the_way_is_seen_and_one_elsewhere_is_not() {
        for body in [
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":{"b":1},"a":{"b":1}}"#,
            r#"{"a":{"b":1},"a":3}"#,
            r#"{"a":0,"a":{"b":1}}"#,
        ] {
            assert_eq!(at(body, "/a/b"), Ok(ScannedValue::Repeated), "{body}");
        }
        assert_eq!(at(r#"{"x":1,"x":2,"a":{"b":1,"c":1,"c":2}}"#, "/a/b"), Ok(ScannedValue::Integer(1)));
    }

    #[test]
    fn deep_and_malformed_bodies_are_refused() {
        let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(at(&nested(DEPTH), "/a").is_ok());
        for bad in
            [&nested(DEPTH + 1), &"[".repeat(100_000), &"{\"a\":".repeat(100_000), "", "{", "{} {}", "nul", "{'a':1}"]
        {
            assert!(at(bad, "/a").is_err());
        }
        assert!(scan(b"{\"id\":\"\xff\"}", &[&"/id".parse().unwrap()]).is_err());
    }

    proptest! {
        #[test]
        fn what_is_scanned_is_what_a_parser_finds(
            body in "\\{(\"[abi]\":(1|\"x\"|\\{\"a\":\\[1,true\\]\\}|\\[[0-9],\"y\"\\]),?){0,4}\\}", pointer in "(/[abi01]){1,3}",
        ) {
            let scanned = at(&body, &pointer);
            let Ok(parsed) = serde_json::from_str::<Value>(&body) else {
                prop_assert!(scanned.is_err());
                return Ok(());
            };
            let expected = match parsed.pointer(&pointer) {
                None => ScannedValue::Missing,
                Some(Value::String(text)) => ScannedValue::Text(text.clone()),
                Some(Value::Bool(value)) => ScannedValue::Boolean(*value),
                Some(Value::Number(number)) => number.as_i64().map_or(ScannedValue::Other, ScannedValue::Integer),
                Some(_) => ScannedValue::Other,
            };
            let scanned = scanned.unwrap();
            prop_assert!(scanned == expected || scanned == ScannedValue::Repeated);
        }

        #[test]
        fn garbage_never_panics(bytes in any::<Vec<u8>>(), pointer in "(/[a-c0-9]{0,2}){0,5}") {
            let _ = scan(&bytes, &[&pointer.parse().unwrap()]);
        }
    }
}
