//! The wire form of a module's versions, and the answer to an upload.

use tidemill_api_types as shapes;
use tidemill_store::records::ModuleVersion;

use crate::wire::FromRecord;

impl<'a> FromRecord<&'a ModuleVersion> for shapes::ModuleVersion<'a> {
    fn of(version: &'a ModuleVersion) -> Self {
        Self {
            module: version.module.as_str().into(),
            version: (&version.version).into(),
            component: version.digest,
            created_at: version.created_at.into(),
        }
    }
}
