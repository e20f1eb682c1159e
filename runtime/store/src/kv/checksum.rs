//! Sealed values, as the index stores them: a checksum precedes each value. The checksum depends on
//! table and key, so a value under a wrong key is detected like a flipped bit.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::error::KvError;

/// Length of the checksum before each value, in bytes.
pub(super) const SEAL: usize = 8;

/// A key or a value read from the store. A clone costs a reference count.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct VerifiedBytes(sled::IVec);

/// A key read from the store.
pub type Key = VerifiedBytes;
/// A value read from the store.
pub type Value = VerifiedBytes;

impl Deref for VerifiedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for VerifiedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for VerifiedBytes {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for VerifiedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl From<VerifiedBytes> for Vec<u8> {
    fn from(stored: VerifiedBytes) -> Self {
        stored.0.to_vec()
    }
}

impl From<&[u8]> for VerifiedBytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl From<sled::IVec> for VerifiedBytes {
    fn from(bytes: sled::IVec) -> Self {
        Self(bytes)
    }
}

/// Returns the checksum of `value` under `key` of `table`.
pub(super) fn checksum(table: u8, key: &[u8], value: &[u8]) -> u64 {
    xxh3_64_with_seed(value, xxh3_64_with_seed(key, u64::from(table)))
}

/// Returns the sealed form of `value` under `key` of `table`.
pub(super) fn seal(table: u8, key: &[u8], value: &[u8]) -> sled::IVec {
    let seal = checksum(table, key, value).to_le_bytes();
    // Most values are small. Assembled on the stack, they cost one allocation instead of two.
    let mut small = [0; 512];
    if let Some(sealed) = small.get_mut(..SEAL + value.len()) {
        sealed[..SEAL].copy_from_slice(&seal);
        sealed[SEAL..].copy_from_slice(value);
        return sled::IVec::from(&*sealed);
    }
    sled::IVec::from([&seal, value].concat())
}

/// Returns the checksum in a sealed value; zero if the value is too short to have one.
pub(super) fn seal_of(sealed: &[u8]) -> u64 {
    sealed.first_chunk::<SEAL>().map_or(0, |seal| u64::from_le_bytes(*seal))
}

/// Whether a sealed value was written under `key` of `table`.
pub(super) fn is_sound(table: u8, key: &[u8], sealed: &[u8]) -> bool {
    sealed
        .split_first_chunk::<SEAL>()
        .is_some_and(|(seal, value)| u64::from_le_bytes(*seal) == checksum(table, key, value))
}

/// Checks a sealed value.
///
/// # Errors
/// [`KvError::Damaged`] if the checksum does not match.
pub(super) fn verify(table: super::config::Table, key: &[u8], sealed: &sled::IVec) -> Result<(), KvError> {
    if is_sound(table.id, key, sealed) {
        return Ok(());
    }
    let (key, table) = (key.escape_ascii(), table.name);
    Err(KvError::damaged(format!("the record \"{key}\" of table {table} fails its checksum")))
}

/// Checks a sealed value and returns the value in it.
///
/// # Errors
/// [`KvError::Damaged`] if the checksum does not match.
pub(super) fn unseal(table: super::config::Table, key: &[u8], sealed: &sled::IVec) -> Result<Value, KvError> {
    verify(table, key, sealed)?;
    Ok(VerifiedBytes(sealed.subslice(SEAL, sealed.len() - SEAL)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: super::super::config::Table = super::super::config::Table::new(3, "runs");

    #[test]
    fn a_value_is_read_back_only_under_its_own_key_and_table() {
        let sealed = seal(3, b"key", b"value");
        assert_eq!(&*unseal(TABLE, b"key", &sealed).unwrap(), b"value");
        assert!(unseal(TABLE, b"kez", &sealed).is_err());
        assert!(!is_sound(4, b"key", &sealed));
    }

    #[test]
    fn every_flipped_bit_is_detected() {
        let sealed = seal(3, b"key", b"a value of some length");
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut flipped = sealed.to_vec();
                flipped[at] ^= 1 << bit;
                assert!(!is_sound(3, b"key", &flipped));
            }
        }
        assert!(!is_sound(3, b"key", b""));
        assert!(!is_sound(3, b"key", b"1234567"));
    }
}
