//! Modules, their versions, and the result of an upload.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tidemill_core::ComponentDigest;
#[cfg(feature = "schema")]
use utoipa::ToSchema;

use crate::{Component, Time};

/// A version of a module: a name for a component.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct ModuleVersion<'a> {
    /// The module.
    pub module: Cow<'a, str>,
    /// The version.
    pub version: Cow<'a, str>,
    /// The digest of the component.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub component: ComponentDigest,
    /// When the version was created.
    pub created_at: Time,
}

/// A module with all its versions.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Module<'a> {
    /// The name of the module.
    pub name: Cow<'a, str>,
    /// The versions of the module.
    pub versions: Vec<ModuleVersion<'a>>,
}

/// The result of an upload.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema), schema(as = Uploaded))]
pub struct UploadResult<'a> {
    /// The module.
    pub module: Cow<'a, str>,
    /// The version.
    pub version: Cow<'a, str>,
    /// The digest of the component.
    #[serde(flatten)]
    pub component: Component<'a>,
}
