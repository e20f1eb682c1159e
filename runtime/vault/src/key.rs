//! The master key: its text, its id, and the wrapping keys that are derived from it.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use data_encoding::HEXLOWER;
use ring::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use ring::digest::{Context, SHA256};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::context::{Layer, SealContext};
use crate::error::VaultError;

/// Size of a master key, in bytes.
pub const MASTER_KEY_BYTES: usize = 32;

/// Maximum length of a master key's text: 32 bytes need 44 characters, and the rest may be space
/// around them.
const TEXT_BYTES: usize = 1_024;

const ID_DOMAIN: &[u8] = b"tidemill/master-key-id/1";
const WRAP_DOMAIN: &[u8] = b"tidemill/wrap/1";

/// Base64 as RFC 4648 defines it in section 4; the padding may be missing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a text is no master key. The text itself is never shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MasterKeyError {
    /// The text is not base64.
    #[error("the master key is not base64; `tidemill secrets new-master-key` makes a key")]
    NotBase64,
    /// The key has another length.
    #[error("the master key has {0} bytes instead of 32; `tidemill secrets new-master-key` makes a key")]
    WrongLength(usize),
    /// The text is far longer than a key.
    #[error("the master key is a text of more than 1,024 bytes; it is 32 bytes in base64")]
    TooLong,
}

/// The key that wraps all data keys. It is overwritten if it is dropped, and never shown.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; MASTER_KEY_BYTES]>);

/// Names a master key without revealing it: the first 8 bytes of a hash of the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 8]);

impl MasterKey {
    /// Returns the key with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; MASTER_KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Makes a new random key.
    ///
    /// # Errors
    /// [`VaultError::NoRandom`].
    pub fn generate() -> Result<Self, VaultError> {
        let mut bytes = Zeroizing::new([0; MASTER_KEY_BYTES]);
        SystemRandom::new().fill(bytes.as_mut_slice()).map_err(|_| VaultError::NoRandom)?;
        Ok(Self(bytes))
    }

    /// Reads a key: 32 bytes in base64, with or without padding. Ignores ASCII space around it.
    ///
    /// # Errors
    /// [`MasterKeyError`] describes what is wrong with the text, without a part of it.
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        let text = text.trim_ascii();
        if text.len() > TEXT_BYTES {
            return Err(MasterKeyError::TooLong);
        }
        let mut decoded = Zeroizing::new([0; TEXT_BYTES]);
        let length = BASE64.decode_slice(text, decoded.as_mut_slice()).map_err(|_| MasterKeyError::NotBase64)?;
        let mut key = Zeroizing::new([0; MASTER_KEY_BYTES]);
        if length != MASTER_KEY_BYTES {
            return Err(MasterKeyError::WrongLength(length));
        }
        key.copy_from_slice(&decoded[..MASTER_KEY_BYTES]);
        Ok(Self(key))
    }

    /// Returns the key in base64, as [`MasterKey::parse`] reads it.
    #[must_use]
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64.encode(self.0.as_slice()))
    }

    /// Returns the id of the key.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let mut hash = Context::new(&SHA256);
        hash.update(ID_DOMAIN);
        hash.update(self.0.as_slice());
        let mut id = [0; 8];
        id.copy_from_slice(&hash.finish().as_ref()[..8]);
        KeyId(id)
    }

    /// Derives the key that wraps the data key of one context, with HKDF-SHA256 (RFC 5869).
    ///
    /// With one wrapping key for all records, random nonces would limit the master key to 2³²
    /// records (NIST SP 800-38D, section 8.3). A store that seals each webhook can reach that.
    pub(crate) fn wrapping_key(&self, format: u8, context: &SealContext<'_>) -> Option<LessSafeKey> {
        let info = context.associated_data(format, Layer::DataKey);
        let pseudorandom = Salt::new(HKDF_SHA256, WRAP_DOMAIN).extract(self.0.as_slice());
        let info = [info.as_slice()];
        let key = pseudorandom.expand(&info, &AES_256_GCM).ok()?;
        Some(LessSafeKey::new(UnboundKey::from(key)))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(hidden)")
    }
}

impl KeyId {
    /// Returns the id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes of the id.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", HEXLOWER.encode_display(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_survives_its_text() {
        let key = MasterKey::generate().unwrap();
        let text = key.to_base64();
        assert_eq!(text.len(), 44);
        for text in [text.as_str(), text.trim_end_matches('='), &format!("\n {} \r\n", *text)] {
            assert_eq!(MasterKey::parse(text).unwrap().id(), key.id());
        }
        assert_ne!(MasterKey::generate().unwrap().id(), key.id());
    }

    #[test]
    fn other_lengths_and_alphabets_are_refused() {
        let of = |bytes: usize| MasterKey::parse(&BASE64.encode(vec![7; bytes])).unwrap_err();
        for bytes in [0, 1, 31, 33, 64, 700] {
            assert_eq!(of(bytes), MasterKeyError::WrongLength(bytes));
        }
        assert_eq!(of(1_000), MasterKeyError::TooLong);
        for text in ["s3cret!", "äöü", "-_", &"!".repeat(44), &"AA=A".repeat(11)] {
            let refused = MasterKey::parse(text).unwrap_err();
            assert!(!matches!(refused, MasterKeyError::TooLong), "{text}");
            assert!(!refused.to_string().contains(text));
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(format!("{:?}", MasterKey::from_bytes([7; 32])), "MasterKey(hidden)");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = MasterKey::parse(&text);
        }
    }
}
