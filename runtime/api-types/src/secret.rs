//! Secrets, without their values, and the master key.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
#[cfg(feature = "schema")]
use utoipa::ToSchema;

use crate::Time;

/// A secret. Its value is never shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Secret<'a> {
    /// The name of the secret.
    pub name: Cow<'a, str>,
    /// `store`, or `host` if it is in the environment or a file of the host, where it is read-only.
    pub source: Cow<'a, str>,
    /// The newest version; left out for the source `host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The form in which the newest version was given: `text`, `base64` or `hex`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Cow<'a, str>>,
    /// When the newest version was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_at: Option<Time>,
    /// Older versions whose signatures hooks still accept, newest first.
    pub older: Vec<OlderSecret>,
}

/// An older version of a secret whose overlap has not ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct OlderSecret {
    /// The number of the version.
    pub version: u64,
    /// When it was set.
    pub set_at: Time,
    /// From when on it is not valid. Its bytes are then removed.
    pub ends_at: Time,
}

/// A new value of a secret.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct SecretRequest<'a> {
    /// The value, in its encoding: 1 byte to 64 KiB.
    pub value: Cow<'a, str>,
    /// `text`, `base64` or `hex`; `text` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, example = "text"))]
    pub encoding: Option<Cow<'a, str>>,
}

/// The master key of the host: which one seals, and which ones the store needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct MasterKey<'a> {
    /// The id of the key that seals; left out if the host has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The id of the old key that the host was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// The keys without which some sealed data cannot be opened, oldest first.
    pub needed: Vec<NeededKey>,
    /// Number of records that hold sealed data.
    pub sealed: u64,
    /// The rotation in progress, or the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation: Option<KeyRotation<'a>>,
}

/// A master key that the store needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct NeededKey {
    /// The id of the key.
    pub key: String,
    /// When the store was first opened with it.
    pub since: Time,
}

/// The progress of a rotation of the master key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct KeyRotation<'a> {
    /// `running`, or `done`: then the old key is not needed any more.
    pub state: Cow<'a, str>,
    /// The id of the new key.
    pub to: String,
    /// Number of records that may be sealed when it began.
    pub total: u64,
    /// Number of records that were visited.
    pub visited: u64,
    /// Number of records whose data key was wrapped again.
    pub wrapped: u64,
    /// Number of records that open with no key, because their bytes were changed.
    pub damaged: u64,
    /// When it began.
    pub started_at: Time,
    /// When it was complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
}
