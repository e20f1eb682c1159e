//! Secrets, the master keys that seal them, and the progress of a rotation. The store holds sealed
//! bytes only, and cannot open them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidemill_core::Timestamp;

/// The text form in which the bytes of a secret were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SecretEncoding {
    /// The bytes are the text itself.
    Text,
    /// Base64.
    Base64,
    /// Hexadecimal digits.
    Hex,
}

/// Sealed bytes in two parts. A rotation of the master key replaces the first one only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedValue {
    /// The data key, wrapped by a master key.
    pub key: Bytes,
    /// What the data key seals.
    pub body: Bytes,
}

/// One version of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretVersion {
    /// Its number. The numbers of a name increase for ever, even if the secret is deleted and set
    /// again, so the bytes of an earlier version open in no later one.
    pub version: u64,
    /// The form in which it was given.
    pub encoding: SecretEncoding,
    /// The sealed bytes.
    pub sealed: SealedValue,
    /// When it was set.
    pub created_at: Timestamp,
    /// From when on it is not valid; `None` for the newest version.
    pub ends_at: Option<Timestamp>,
}

/// A secret with its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Its name.
    pub name: String,
    /// The stored versions, newest first. The first one has no end.
    pub versions: Vec<SecretVersion>,
}

/// A change of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutSecret {
    /// The name.
    pub name: String,
    /// The newest version number that the caller read; 0 if the name was never used.
    pub after: u64,
    /// The new value, sealed for the version `after + 1`; `None` keeps the newest value and only
    /// changes the overlap.
    pub value: Option<(SecretEncoding, SealedValue)>,
    /// From when on the older versions are not valid, unless they end earlier.
    pub older_end_at: Timestamp,
    /// The time of the change.
    pub now: Timestamp,
}

/// The result of [`PutSecret`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutSecretResult {
    /// The secret as it is stored now.
    Stored(Secret),
    /// The secret has another newest version than the caller expected. Nothing was changed.
    Changed,
    /// As many versions as a secret may have are still valid. Nothing was changed.
    TooManyVersions,
}

/// A master key that sealed bytes of the store may need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterKeyRecord {
    /// The id of the key.
    pub id: [u8; 8],
    /// A known text, sealed with the key: it opens only with the right one.
    pub canary: SealedValue,
    /// When the store was first opened with the key.
    pub since: Timestamp,
}

/// The progress of wrapping all data keys with another master key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRotation {
    /// The id of the new key.
    pub to: [u8; 8],
    /// The number of records that may be sealed when it began.
    pub total: u64,
    /// The number of data keys that were visited.
    pub visited: u64,
    /// The number of visited data keys that were wrapped again. The others had been sealed with the
    /// new key.
    pub wrapped: u64,
    /// The number of visited data keys that open with no master key, because they are damaged.
    pub damaged: u64,
    /// The last place that was visited.
    pub cursor: Option<SealedPlace>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was complete.
    pub ended_at: Option<Timestamp>,
}

/// A table whose records hold sealed bytes, in the order in which a rotation visits them. To add
/// one, add a variant here and its functions in `embedded/secrets/sealed.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SealedTable {
    /// The versions of secrets.
    Secrets,
    /// The bodies of deliveries. Those that a host without a master key received are not sealed.
    Deliveries,
}

impl SealedTable {
    /// Every table, in order.
    pub const ALL: &[Self] = &[Self::Secrets, Self::Deliveries];

    /// Returns the name of the table in the context of its sealed bytes. It never changes.
    #[must_use]
    pub const fn context(self) -> &'static str {
        match self {
            Self::Secrets => "secrets",
            Self::Deliveries => "deliveries",
        }
    }
}

/// The place of one sealed record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SealedPlace {
    /// The table.
    pub table: SealedTable,
    /// The key of the record.
    pub key: Vec<u8>,
}

/// One wrapped data key, with the context that it was sealed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedKey {
    /// The place of its record.
    pub place: SealedPlace,
    /// The name in the context.
    pub name: String,
    /// The version in the context.
    pub version: u64,
    /// The wrapped data key.
    pub wrapped: Bytes,
}

/// A data key that was wrapped again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewrappedKey {
    /// The place of its record.
    pub place: SealedPlace,
    /// The wrapped key as it was read. If the record has another one by now, it is not changed.
    pub before: Bytes,
    /// The new wrapped key.
    pub after: Bytes,
}
