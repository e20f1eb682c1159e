//! The wire form of a component.

use serde::Serialize;
use tidemill_core::ComponentDigest;
use tidemill_core::run::Export;
use tidemill_store::records::Component;
use utoipa::ToSchema;

use crate::wire::{StoredJson, TimeJson, stored_json};

/// An uploaded component.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Component)]
pub struct ComponentJson<'a> {
    /// The SHA-256 of the bytes.
    #[schema(value_type = String, example = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    digest: ComponentDigest,
    /// The number of bytes.
    size: u64,
    /// The world that it implements: `workflow`, `revenue-stream`, `webhook` or `health`.
    #[schema(value_type = Vec<String>)]
    exports: Vec<&'static str>,
    /// The interfaces that the component imports.
    imports: &'a [String],
    /// Warnings for the author.
    warnings: &'a [String],
    /// When the component was uploaded.
    uploaded_at: TimeJson,
    /// JSON Schemas of the workflow's input and output, if the component declares them:
    /// `{"workflow": {"input": …, "output": …}}`. The host validates inputs against them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    schemas: Option<StoredJson<'a>>,
}

impl<'a> ComponentJson<'a> {
    /// Builds the wire form of a component.
    #[must_use]
    pub fn of(component: &'a Component) -> Self {
        Self {
            digest: component.digest,
            size: component.size,
            exports: component.exports.iter().copied().map(Export::as_str).collect(),
            imports: &component.imports,
            warnings: &component.warnings,
            uploaded_at: component.uploaded_at.into(),
            schemas: component.schemas.as_deref().map(|schemas| stored_json(schemas.as_bytes())),
        }
    }
}
