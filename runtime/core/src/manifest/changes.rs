//! The differences between two manifests, for the response to a `PUT` and for `--dry-run`.

use serde::Serialize;
use serde_json::Value;

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ManifestChange {
    /// Its JSON pointer.
    pub pointer: String,
    /// The value before; `None` if the field was absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// The value after; `None` if the field was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
}

/// Compares two manifests field by field, and lists as wholes.
pub(super) fn changes(before: &Value, after: &Value) -> Vec<ManifestChange> {
    let mut found = Vec::new();
    compare(String::new(), Some(before), Some(after), &mut found);
    found
}

fn compare(pointer: String, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<ManifestChange>) {
    if let (Some(Value::Object(before)), Some(Value::Object(after))) = (before, after) {
        let gone = before.keys().filter(|name| !after.contains_key(*name));
        for name in after.keys().chain(gone) {
            let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
            compare(pointer, before.get(name), after.get(name), found);
        }
    } else if before != after {
        found.push(ManifestChange { pointer, from: before.cloned(), to: after.cloned() });
    }
}
