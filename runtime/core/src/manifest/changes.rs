//! What differs between two manifests, for the answer to a `PUT` and for `--dry-run`.

use serde::Serialize;
use serde_json::Value;

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ManifestChange {
    /// Its JSON pointer.
    pub pointer: String,
    /// What it was; none where it was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// What it is now; none where it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
}

/// Field by field; lists are compared as wholes.
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
