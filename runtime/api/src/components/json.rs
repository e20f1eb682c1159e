//! A component as it is sent.

use serde::Serialize;
use tidemill_core::ComponentDigest;
use tidemill_core::run::Export;
use tidemill_store::records::Component;
use utoipa::ToSchema;

use crate::wire::{StoredJson, TimeJson, stored_json};

/// What is known of an uploaded component.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Component)]
pub struct ComponentJson<'a> {
    /// The sha256 of its bytes.
    #[schema(value_type = String, example = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    digest: ComponentDigest,
    /// Length of its bytes.
    size: u64,
    /// Which of the four worlds it implements: `workflow`, `revenue-stream`, `webhook`, `health`.
    #[schema(value_type = Vec<String>)]
    exports: Vec<&'static str>,
    /// The interfaces that it imports.
    imports: &'a [String],
    /// What its author should know.
    warnings: &'a [String],
    /// When it came.
    uploaded_at: TimeJson,
    /// JSON Schemas of what its workflow takes and gives, where it says so: `{"workflow": {"input": …, "output": …}}`. Inputs are checked by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    schemas: Option<StoredJson<'a>>,
}

impl<'a> ComponentJson<'a> {
    /// The component as it is sent.
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
