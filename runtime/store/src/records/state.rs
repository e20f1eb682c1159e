//! The key-value state of a deployment, with the versions that make transactions serialisable.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tidemill_core::{DeploymentName, Timestamp};

/// The position of the commit that wrote a value; 0 if there is no value. No other value of the key
/// ever has the same version.
///
/// A run can read a short value before the commit that writes it has a position. It then notes a
/// [content version](Self::of_content) instead, and its commit compares values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u64);

impl Version {
    /// The version of a missing value.
    pub const ABSENT: Self = Self(0);
    /// Marks a content version. No position is that large.
    const CONTENT: u64 = 1 << 63;

    /// Returns the content version of a value: 63 bits of its SHA-256. Two values of a key have the
    /// same one by chance with a probability of 2⁻⁶³. A guest that constructs two such values
    /// weakens only the checks of its own deployment's state.
    #[must_use]
    pub fn of_content(value: Option<&[u8]>) -> Self {
        let digest = Sha256::new().chain_update([u8::from(value.is_some())]).chain_update(value.unwrap_or_default());
        let digest = digest.finalize();
        let bits = digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        Self(bits | Self::CONTENT)
    }

    /// Whether this is a content version.
    #[must_use]
    pub const fn is_of_content(self) -> bool {
        self.0 & Self::CONTENT != 0
    }

    /// Whether a value that was read at this version is still the current one.
    #[must_use]
    pub fn is_current(self, current: &VersionedValue) -> bool {
        match self.is_of_content() {
            true => self == Self::of_content(current.value.as_deref()),
            false => self == current.version,
        }
    }
}

/// A value with its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionedValue {
    /// The value; `None` if the key does not exist.
    pub value: Option<Bytes>,
    /// The version of the value.
    pub version: Version,
}

/// A manual change of one value, outside of any run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateEdit {
    /// The deployment.
    pub deployment: DeploymentName,
    /// The key.
    pub key: String,
    /// The new value; `None` deletes the current one.
    pub value: Option<Bytes>,
    /// The required version of the current value. [`Version::ABSENT`] requires that there is none;
    /// `None` accepts any.
    pub expected: Option<Version>,
    /// The time of the change.
    pub now: Timestamp,
}

/// The result of a manual change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateEditResult {
    /// The new version of the value; [`Version::ABSENT`] if it was deleted.
    pub version: Version,
    /// Whether there was a value before.
    pub existed: bool,
}

/// Selects the keys to list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScanRequest {
    /// Only keys that begin with this text.
    pub prefix: String,
    /// Only keys after this one, in the order of their bytes.
    pub after: Option<String>,
    /// Maximum number of keys.
    pub limit: usize,
}

/// A page of committed keys and values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScanPage {
    /// Keys and values with their versions, in the order of the keys' bytes. A page also ends at 1
    /// MiB of keys and values.
    pub entries: Vec<(String, Bytes, Version)>,
    /// Whether there are more keys after the last one.
    pub more: bool,
}
