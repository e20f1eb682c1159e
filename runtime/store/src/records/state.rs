//! A deployment's key-value state, with the versions that make a stretch serialisable.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidemill_core::{DeploymentName, Timestamp};

/// Which commit wrote a value; 0 where there is none. Never used again for another value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u64);

impl Version {
    /// The version of what is not there.
    pub const ABSENT: Self = Self(0);
}

/// A value and the version it was read at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionedValue {
    /// The value; none where there is none.
    pub value: Option<Bytes>,
    /// The commit that wrote it.
    pub version: Version,
}

/// A change of one value by hand, outside of any run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateEdit {
    /// The deployment.
    pub deployment: DeploymentName,
    /// The key.
    pub key: String,
    /// The new value; none deletes the present one.
    pub value: Option<Bytes>,
    /// Refuse unless the present value has this version; [`Version::ABSENT`] means that there must be none.
    pub expected: Option<Version>,
    /// The time of the change.
    pub now: Timestamp,
}

/// What a change by hand did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateEditResult {
    /// The version of the value now; [`Version::ABSENT`] if it was deleted.
    pub version: Version,
    /// Whether there was a value before.
    pub existed: bool,
}

/// Which keys to list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScanRequest {
    /// Keys that begin so.
    pub prefix: String,
    /// Only keys after this one, in order of bytes.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// The entries of a scan, as committed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScanPage {
    /// Keys and values with their versions, in order of the keys' bytes. A page ends at 1 MiB of keys and values too.
    pub entries: Vec<(String, Bytes, Version)>,
    /// Whether there are more keys behind the last.
    pub more: bool,
}
