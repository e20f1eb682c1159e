//! The wire form of a component.

use tidemill_api_types as shapes;
use tidemill_store::records::Component;

use crate::wire::FromRecord;

impl<'a> FromRecord<&'a Component> for shapes::Component<'a> {
    fn of(component: &'a Component) -> Self {
        Self {
            digest: component.digest,
            size: component.size,
            exports: component.exports.iter().map(|export| export.as_str().into()).collect(),
            imports: (&component.imports).into(),
            warnings: (&component.warnings).into(),
            uploaded_at: component.uploaded_at.into(),
            schemas: component.schemas.as_deref().map(|schemas| shapes::StoredJson::of(schemas.as_bytes())),
        }
    }
}
