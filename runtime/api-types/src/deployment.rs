//! Deployments, and the result of changing one.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tidemill_core::ComponentDigest;
#[cfg(feature = "schema")]
use utoipa::ToSchema;

use crate::{Breaker, Pause, StoredJson, Time, UpcomingFiring};

/// One revision of a deployment: a component and its manifest.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Deployment<'a> {
    /// The name of the deployment.
    pub name: Cow<'a, str>,
    /// The number of the revision, from 1.
    pub revision: u64,
    /// The component that the deployment runs.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub component: ComponentDigest,
    /// Present while the deployment admits and fires nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// The circuit breaker in its present state. Revisions and results of changes have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Breaker<'a>>,
    /// When the first revision was created.
    pub created_at: Time,
    /// When this revision was created.
    pub updated_at: Time,
    /// The whole manifest, with every default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<serde_json::Value>))]
    pub manifest: Option<StoredJson<'a>>,
}

/// The result of a change, or the plan of a dry run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema), schema(as = Deployed))]
pub struct DeployResult<'a> {
    /// The deployment after the change.
    pub deployment: Deployment<'a>,
    /// Whether the deployment is new.
    pub created: bool,
    /// True for a dry run, which changes nothing.
    pub dry_run: bool,
    /// Every field that changed; empty if the manifest equals that of the current revision.
    pub changes: Vec<ManifestChange<'a>>,
    /// Warnings for the author.
    pub warnings: Cow<'a, [String]>,
    /// The next firings of each schedule.
    pub schedules: Vec<NextFirings<'a>>,
}

/// A field of a manifest that changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema), schema(as = Change))]
pub struct ManifestChange<'a> {
    /// The JSON pointer of the field.
    pub pointer: Cow<'a, str>,
    /// The old value; left out if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Cow<'a, serde_json::Value>>,
    /// The new value; left out if the field was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Cow<'a, serde_json::Value>>,
}

/// The next firings of a schedule.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct NextFirings<'a> {
    /// The name of the schedule.
    pub name: Cow<'a, str>,
    /// The time zone of the schedule.
    #[cfg_attr(feature = "schema", schema(example = "Europe/Berlin"))]
    pub time_zone: Cow<'a, str>,
    /// The next 20 firings, within the schedule's limit, including those that daylight saving
    /// drops.
    pub firings: Vec<UpcomingFiring>,
    /// Why no firing follows: `limit` if the limit is reached, or `times` if there are no more
    /// times. Left out if a firing follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends: Option<Cow<'a, str>>,
}

/// The reason for a pause.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct PauseRequest {
    /// A note for people; at most 1 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(example = "the provider is down"))]
    pub note: Option<String>,
}

impl PauseRequest {
    /// Builds the request with a note; without one if `note` is empty.
    #[must_use]
    pub fn with_note(note: &str) -> Self {
        Self { note: (!note.is_empty()).then(|| note.to_owned()) }
    }
}

/// The target of a rollback.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct RollbackRequest {
    /// The revision whose manifest and component are deployed again; default: the previous one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, example = 3))]
    pub revision: Option<u64>,
}

/// A key of a deployment's state, without its whole value.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct StateEntry {
    /// The key.
    pub key: String,
    /// The size of the value.
    pub bytes: u64,
    /// The version of the value; changes with each write. Send it as `If-Match`.
    pub version: u64,
    /// The first 100 characters of the value; left out if it is not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
}

/// The result of changing a value.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct StateChange<'a> {
    /// The key.
    pub key: Cow<'a, str>,
    /// The size of the value.
    pub bytes: u64,
    /// The new version of the value.
    pub version: u64,
    /// Whether the key is new.
    pub created: bool,
}
