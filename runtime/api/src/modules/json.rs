//! The wire form of a module's versions, and the answer to an upload.

use serde::Serialize;
use tidemill_core::ComponentDigest;
use tidemill_store::records::ModuleVersion;
use utoipa::ToSchema;

use crate::components::json::ComponentJson;
use crate::wire::TimeJson;

/// A version of a module: a name for a component.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModuleVersion)]
pub struct ModuleVersionJson<'a> {
    /// The module.
    module: &'a str,
    /// The version.
    version: &'a str,
    /// The digest of the component.
    #[schema(value_type = String)]
    component: ComponentDigest,
    /// When the version was created.
    created_at: TimeJson,
}

impl<'a> ModuleVersionJson<'a> {
    /// Builds the wire form of a version.
    #[must_use]
    pub fn of(version: &'a ModuleVersion) -> Self {
        Self {
            module: version.module.as_str(),
            version: &version.version,
            component: version.digest,
            created_at: version.created_at.into(),
        }
    }
}

/// A module with all its versions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Module)]
pub struct ModuleJson<'a> {
    /// The name of the module.
    pub name: &'a str,
    /// The versions of the module.
    pub versions: Vec<ModuleVersionJson<'a>>,
}

/// The result of an upload.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Uploaded)]
pub struct UploadResultJson<'a> {
    /// The module.
    pub module: &'a str,
    /// The version.
    pub version: &'a str,
    /// The digest of the component.
    #[serde(flatten)]
    pub component: ComponentJson<'a>,
}
