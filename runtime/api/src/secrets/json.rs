//! The wire form of secrets and master keys. No value passes through it.

use tidemill_api_types as shapes;
use tidemill_control::{ListedSecret, MasterKeyStatus};
use tidemill_store::records::{KeyRotation, Secret, SecretEncoding};

use crate::wire::FromRecord;

/// Every encoding, by name.
pub const ENCODINGS: [(&str, SecretEncoding); 3] =
    [("text", SecretEncoding::Text), ("base64", SecretEncoding::Base64), ("hex", SecretEncoding::Hex)];

const fn encoding(of: SecretEncoding) -> &'static str {
    match of {
        SecretEncoding::Text => ENCODINGS[0].0,
        SecretEncoding::Base64 => ENCODINGS[1].0,
        SecretEncoding::Hex => ENCODINGS[2].0,
    }
}

impl<'a> FromRecord<&'a Secret> for shapes::Secret<'a> {
    fn of(secret: &'a Secret) -> Self {
        let newest = secret.versions.first();
        let older = secret.versions.iter().filter_map(|old| {
            Some(shapes::OlderSecret {
                version: old.version,
                set_at: old.created_at.into(),
                ends_at: old.ends_at?.into(),
            })
        });
        Self {
            name: secret.name.as_str().into(),
            source: "store".into(),
            version: newest.map(|newest| newest.version),
            encoding: newest.map(|newest| encoding(newest.encoding).into()),
            set_at: newest.map(|newest| newest.created_at.into()),
            older: older.collect(),
        }
    }
}

impl<'a> FromRecord<&'a ListedSecret> for shapes::Secret<'a> {
    fn of(secret: &'a ListedSecret) -> Self {
        match secret {
            ListedSecret::Stored(secret) => Self::of(&**secret),
            ListedSecret::Elsewhere(name) => Self {
                name: name.into(),
                source: "host".into(),
                version: None,
                encoding: None,
                set_at: None,
                older: Vec::new(),
            },
        }
    }
}

impl FromRecord<&KeyRotation> for shapes::KeyRotation<'static> {
    fn of(rotation: &KeyRotation) -> Self {
        Self {
            state: if rotation.ended_at.is_some() { "done" } else { "running" }.into(),
            to: tidemill_control::key_id(rotation.to),
            total: rotation.total,
            visited: rotation.visited,
            wrapped: rotation.wrapped,
            damaged: rotation.damaged,
            started_at: rotation.started_at.into(),
            ended_at: rotation.ended_at.map(shapes::Time),
        }
    }
}

impl FromRecord<&MasterKeyStatus> for shapes::MasterKey<'static> {
    fn of(status: &MasterKeyStatus) -> Self {
        let needed = status.needed.iter();
        Self {
            key: status.key.map(|key| key.to_string()),
            old: status.old.map(|key| key.to_string()),
            needed: needed
                .map(|(key, since)| shapes::NeededKey { key: key.to_string(), since: (*since).into() })
                .collect(),
            sealed: status.sealed,
            rotation: status.rotation.as_ref().map(shapes::KeyRotation::of),
        }
    }
}
