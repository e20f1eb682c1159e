//! A module's versions as they are sent, and what an upload answers.

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
    /// The component that it names.
    #[schema(value_type = String)]
    component: ComponentDigest,
    /// When it was named.
    created_at: TimeJson,
}

impl<'a> ModuleVersionJson<'a> {
    /// The version as it is sent.
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
    /// Its name.
    pub name: &'a str,
    /// Its versions.
    pub versions: Vec<ModuleVersionJson<'a>>,
}

/// What an upload made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Uploaded)]
pub struct UploadResultJson<'a> {
    /// The module.
    pub module: &'a str,
    /// The version.
    pub version: &'a str,
    /// The component that it names.
    #[serde(flatten)]
    pub component: ComponentJson<'a>,
}
