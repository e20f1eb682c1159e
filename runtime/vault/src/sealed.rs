//! The bytes of an envelope. Does not encrypt or decrypt.

use std::fmt;

use crate::error::VaultError;
use crate::key::KeyId;

/// The version of the format that this host writes. It is the first byte of a wrapped key.
pub(crate) const FORMAT: u8 = 1;
/// Size of a nonce, in bytes.
pub(crate) const NONCE_BYTES: usize = 12;
/// Size of a tag, in bytes.
pub(crate) const TAG_BYTES: usize = 16;
/// Size of a data key, in bytes.
pub(crate) const DATA_KEY_BYTES: usize = 32;

const NONCE_AT: usize = 1 + 8;
const KEY_AT: usize = NONCE_AT + NONCE_BYTES;

/// Size of a wrapped data key, in bytes.
pub const WRAPPED_KEY_BYTES: usize = KEY_AT + DATA_KEY_BYTES + TAG_BYTES;
/// How many bytes longer sealed bytes are than their text.
pub const SEAL_OVERHEAD_BYTES: usize = WRAPPED_KEY_BYTES + NONCE_BYTES + TAG_BYTES;

/// The data key of one sealed text, wrapped by a master key:
/// format (1 byte) ‖ id of the master key (8) ‖ nonce (12) ‖ encrypted data key (32) ‖ tag (16).
///
/// A rotation of the master key replaces it and leaves the sealed text as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey([u8; WRAPPED_KEY_BYTES]);

impl WrappedKey {
    /// Reads a wrapped key of a format that this host knows.
    ///
    /// # Errors
    /// [`VaultError::Damaged`].
    pub fn from_slice(bytes: &[u8]) -> Result<Self, VaultError> {
        match <[u8; WRAPPED_KEY_BYTES]>::try_from(bytes) {
            Ok(bytes) if bytes[0] == FORMAT => Ok(Self(bytes)),
            _ => Err(VaultError::Damaged),
        }
    }

    /// Returns the stored bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; WRAPPED_KEY_BYTES] {
        &self.0
    }

    /// Returns which master key wraps it.
    #[must_use]
    pub fn master_key(&self) -> KeyId {
        let mut id = [0; 8];
        id.copy_from_slice(&self.0[1..NONCE_AT]);
        KeyId::from_bytes(id)
    }

    pub(crate) fn new(master_key: KeyId, nonce: &[u8; NONCE_BYTES], data_key: &[u8], tag: &[u8]) -> Self {
        let mut bytes = [FORMAT; WRAPPED_KEY_BYTES];
        bytes[1..NONCE_AT].copy_from_slice(&master_key.to_bytes());
        bytes[NONCE_AT..KEY_AT].copy_from_slice(nonce);
        bytes[KEY_AT..KEY_AT + DATA_KEY_BYTES].copy_from_slice(data_key);
        bytes[KEY_AT + DATA_KEY_BYTES..].copy_from_slice(tag);
        Self(bytes)
    }

    pub(crate) fn nonce(&self) -> [u8; NONCE_BYTES] {
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&self.0[NONCE_AT..KEY_AT]);
        nonce
    }

    /// Returns the encrypted data key with its tag.
    pub(crate) fn ciphertext(&self) -> &[u8] {
        &self.0[KEY_AT..]
    }
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappedKey({})", self.master_key())
    }
}

/// A sealed text with its data key: the wrapped key ‖ nonce (12 bytes) ‖ encrypted text ‖ tag (16).
///
/// A store that holds long texts in files of their own stores the two parts apart.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedBytes {
    key: WrappedKey,
    body: Vec<u8>,
}

impl SealedBytes {
    /// Reads sealed bytes from one piece.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] if the bytes are too short or of an unknown format.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, VaultError> {
        let (key, body) = bytes.split_at_checked(WRAPPED_KEY_BYTES).ok_or(VaultError::Damaged)?;
        Ok(Self { key: WrappedKey::from_slice(key)?, body: body.to_vec() })
    }

    /// Joins the parts that [`SealedBytes::into_parts`] returned.
    #[must_use]
    pub const fn from_parts(key: WrappedKey, body: Vec<u8>) -> Self {
        Self { key, body }
    }

    /// Returns the wrapped data key, and the nonce, encrypted text and tag.
    #[must_use]
    pub fn into_parts(self) -> (WrappedKey, Vec<u8>) {
        (self.key, self.body)
    }

    /// Returns the stored bytes in one piece.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        [self.key.as_bytes().as_slice(), &self.body].concat()
    }

    /// Returns the wrapped data key.
    #[must_use]
    pub const fn key(&self) -> &WrappedKey {
        &self.key
    }

    /// Returns the nonce, the encrypted text and the tag.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl fmt::Debug for SealedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedBytes({}, {} bytes)", self.key.master_key(), self.body.len())
    }
}
