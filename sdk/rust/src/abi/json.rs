//! Converts between Rust values and the JSON text of the contract. Errors name the path of the
//! value.

use crate::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};

/// Reads one value. The error names the path and the reason: `tiers[2].up_to: invalid type …`.
pub(crate) fn decode<T: DeserializeOwned>(text: &str) -> std::result::Result<T, String> {
    decode_bytes(text.as_bytes())
}

/// As [`decode`].
pub(crate) fn decode_bytes<T: DeserializeOwned>(bytes: &[u8]) -> std::result::Result<T, String> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let why = error.into_inner();
        if path == "." { why.to_string() } else { format!("{path}: {why}") }
    })?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(value)
}

/// Writes one value.
pub(crate) fn encode(value: &(impl Serialize + ?Sized)) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::new("not-json", format!("cannot be written as JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    struct Outer {
        #[expect(dead_code, reason = "only its path is used")]
        tiers: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        #[expect(dead_code, reason = "only its path is used")]
        price: u8,
    }

    #[test]
    fn what_does_not_fit_is_named_by_its_path() {
        let why = decode::<Outer>(r#"{"tiers":[{"price":1},{"price":-1}]}"#).unwrap_err();
        assert!(why.starts_with("tiers[1].price: invalid value"), "{why}");
        assert!(decode::<Outer>("[").unwrap_err().contains("EOF"));
        assert!(decode::<u8>("1 2").unwrap_err().contains("trailing"));
    }

    proptest! {
        #[test]
        fn a_recorded_number_is_read_as_it_was(number in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL) {
            let read = decode::<f64>(&encode(&number).unwrap()).unwrap();
            prop_assert_eq!(read.to_bits(), number.to_bits());
        }

        #[test]
        fn no_bytes_panic_the_reader(bytes: Vec<u8>) {
            let _ = decode_bytes::<serde_json::Value>(&bytes);
        }
    }
}
