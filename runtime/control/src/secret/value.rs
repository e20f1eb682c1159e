//! Reads the bytes of a secret from the text in which it is given. No error shows a part of it.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use data_encoding::HEXLOWER_PERMISSIVE;
use tidemill_core::Code;
use tidemill_core::wire::InputProblem;
use tidemill_engine::secrets::SECRET_BYTES;
use tidemill_store::records::SecretEncoding;
use zeroize::Zeroizing;

use crate::error::ControlError;

/// Base64 as RFC 4648 defines it in section 4; the padding may be missing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Returns the bytes of a secret. Base64 and hexadecimal digits may have ASCII space around them.
pub(super) fn decode(text: &str, encoding: SecretEncoding) -> Result<Zeroizing<Vec<u8>>, ControlError> {
    let bytes = match encoding {
        SecretEncoding::Text => Zeroizing::new(text.as_bytes().to_vec()),
        SecretEncoding::Base64 => {
            let text = text.trim_ascii();
            let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
            let decoded = BASE64.decode_slice(text, bytes.as_mut_slice());
            let length = decoded.map_err(|_| bad("the value is not base64", "Write it in base64 (RFC 4648)."))?;
            bytes.truncate(length);
            bytes
        }
        SecretEncoding::Hex => {
            let digits = text.trim_ascii().as_bytes();
            let mut bytes = Zeroizing::new(vec![0; digits.len() / 2]);
            if !digits.len().is_multiple_of(2) || HEXLOWER_PERMISSIVE.decode_mut(digits, &mut bytes).is_err() {
                let what = "the value is not an even number of hexadecimal digits";
                return Err(bad(what, "Write two digits for each byte, such as `0aff`."));
            }
            bytes
        }
    };
    match bytes.len() {
        0 => Err(bad("the value is empty", "Give at least one byte, or delete the secret.")),
        1..=SECRET_BYTES => Ok(bytes),
        length => Err(bad(
            format!("the value has {length} bytes; at most {SECRET_BYTES} are allowed"),
            "Store a shorter secret.",
        )),
    }
}

fn bad(message: impl Into<String>, fix: &str) -> ControlError {
    ControlError::Problems { code: Code::BadField, problems: vec![InputProblem::field("/value", message, fix)] }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str, encoding: SecretEncoding) -> Option<Vec<u8>> {
        decode(text, encoding).ok().map(|bytes| bytes.to_vec())
    }

    #[test]
    fn each_encoding_is_read() {
        assert_eq!(read(" a\n", SecretEncoding::Text).unwrap(), b" a\n");
        for text in ["c2VjcmV0", "c2VjcmV0\n"] {
            assert_eq!(read(text, SecretEncoding::Base64).unwrap(), b"secret");
        }
        for text in ["YQ==", "YQ"] {
            assert_eq!(read(text, SecretEncoding::Base64).unwrap(), b"a");
        }
        assert_eq!(read("00Ff \n", SecretEncoding::Hex).unwrap(), [0, 255]);
        for text in ["", "0", "0g", "0x00", "00 00", "é"] {
            assert_eq!(read(text, SecretEncoding::Hex), None, "{text}");
        }
        for text in ["", "=", "a b", "c2Vj_mV0", "YQ=a"] {
            assert_eq!(read(text, SecretEncoding::Base64), None, "{text}");
        }
        assert_eq!(read("", SecretEncoding::Text), None);
        assert_eq!(read(&"x".repeat(SECRET_BYTES), SecretEncoding::Text).unwrap().len(), SECRET_BYTES);
        assert_eq!(read(&"x".repeat(SECRET_BYTES + 1), SecretEncoding::Text), None);
    }

    proptest! {
        #[test]
        fn no_refusal_shows_the_value(text in "[!-~]{8,80}") {
            for encoding in [SecretEncoding::Base64, SecretEncoding::Hex] {
                if let Err(refused) = decode(&text, encoding) {
                    let shown = format!("{refused} {refused:?}");
                    prop_assert!(!shown.contains(&text));
                }
            }
        }

        #[test]
        fn what_is_written_in_hex_or_base64_is_read(bytes in prop::collection::vec(any::<u8>(), 1..100)) {
            let hex = HEXLOWER.encode(&bytes);
            prop_assert_eq!(read(&hex, SecretEncoding::Hex).unwrap(), bytes.clone());
            prop_assert_eq!(read(&BASE64.encode(&bytes), SecretEncoding::Base64).unwrap(), bytes);
        }
    }
}
