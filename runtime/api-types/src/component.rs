//! A component.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tidemill_core::ComponentDigest;
#[cfg(feature = "schema")]
use utoipa::ToSchema;

use crate::{StoredJson, Time};

/// An uploaded component.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Component<'a> {
    /// The SHA-256 of the bytes.
    #[cfg_attr(feature = "schema", schema(value_type = String, example = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"))]
    pub digest: ComponentDigest,
    /// The number of bytes.
    pub size: u64,
    /// The world that it implements: `workflow`, `revenue-stream`, `webhook` or `health`.
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>))]
    pub exports: Vec<Cow<'a, str>>,
    /// The interfaces that the component imports.
    pub imports: Cow<'a, [String]>,
    /// Warnings for the author.
    pub warnings: Cow<'a, [String]>,
    /// When the component was uploaded.
    pub uploaded_at: Time,
    /// JSON Schemas of the workflow's input and output, if the component declares them:
    /// `{"workflow": {"input": …, "output": …}}`. The host validates inputs against them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub schemas: Option<StoredJson<'a>>,
}
