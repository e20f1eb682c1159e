//! The versions of secrets: each in a record of its own, next to the newest number of its name. An
//! old version alone cannot take the place of a newer one.

use async_trait::async_trait;
use tidemill_core::Timestamp;

use crate::embedded::codec::decode;
use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::{SECRET_ENDS, SECRET_VERSIONS, SECRETS, name_key, time_key};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::{Result, StoreError};
use crate::records::{FeedEvent, PutSecret, PutSecretResult, Secret, SecretVersion};
use crate::traits::SecretStore;

/// Maximum number of versions of one secret, with the newest.
const VERSIONS: usize = 8;

#[async_trait]
impl SecretStore for EmbeddedStore {
    async fn secrets(&self) -> Result<Vec<Secret>> {
        let view = self.snapshot();
        let names = view.scan_prefix(SECRETS, &[], usize::MAX)?;
        let secrets = names.iter().map(|(key, _)| get(&view, &text(key)?));
        secrets.filter_map(Result::transpose).collect()
    }

    async fn secret(&self, name: &str) -> Result<Option<Secret>> {
        get(&self.snapshot(), name)
    }

    async fn newest_secret_version(&self, name: &str) -> Result<u64> {
        newest(self.latest(), name)
    }

    async fn put_secret(&self, put: PutSecret) -> Result<PutSecretResult> {
        self.commit(move |c| self::put(c, put)).await
    }

    async fn delete_secret(&self, name: &str, now: Timestamp) -> Result<()> {
        let name = name.to_owned();
        self.commit(move |c| delete(c, &name, now)).await
    }

    async fn expire_secrets(&self, now: Timestamp, limit: usize) -> Result<Vec<String>> {
        self.commit(move |c| expire(c, now, limit)).await
    }

    async fn next_secret_end(&self) -> Result<Option<Timestamp>> {
        self.latest().scan_prefix(SECRET_ENDS, &[], 1)?.first().map(|(key, _)| Ok(split_end(key)?.0)).transpose()
    }
}

/// Returns the newest version number that a name ever had. It stays after the secret is deleted.
fn newest(store: &impl ReadTx, name: &str) -> Result<u64> {
    Ok(store.record(SECRETS, name.as_bytes())?.unwrap_or_default())
}

/// Returns a secret; `None` if it has no versions.
fn get(store: &impl ReadTx, name: &str) -> Result<Option<Secret>> {
    let stored = store.scan_prefix(SECRET_VERSIONS, &name_key(name, &[]), VERSIONS + 1)?;
    let versions = stored.iter().rev().map(|(key, bytes)| {
        let version: SecretVersion = decode(SECRET_VERSIONS, bytes)?;
        if **key != version_key(name, version.version) {
            return Err(StoreError::Damaged { what: format!("a version of secret `{name}` is in another's place") });
        }
        Ok(version)
    });
    let versions: Vec<_> = versions.collect::<Result<_>>()?;
    Ok((!versions.is_empty()).then(|| Secret { name: name.to_owned(), versions }))
}

fn put(commit: &mut WriteTx<'_, '_>, put: PutSecret) -> Result<PutSecretResult> {
    let PutSecret { name, after, value, older_end_at, now } = put;
    if newest(commit, &name)? != after {
        return Ok(PutSecretResult::Changed);
    }
    let stored = get(commit, &name)?.map(|secret| secret.versions).unwrap_or_default();
    let (mut versions, older) = match value {
        None if stored.is_empty() => return Ok(PutSecretResult::Changed),
        None => (vec![stored[0].clone()], &stored[1..]),
        Some((encoding, sealed)) => {
            let new = SecretVersion { version: after + 1, encoding, sealed, created_at: now, ends_at: None };
            (vec![new], stored.as_slice())
        }
    };
    let changed = versions[0].version != after;
    for old in older {
        let ends_at = old.ends_at.map_or(older_end_at, |earlier| earlier.min(older_end_at));
        if ends_at > now {
            versions.push(SecretVersion { ends_at: Some(ends_at), ..old.clone() });
        }
    }
    if versions.len() > VERSIONS {
        return Ok(PutSecretResult::TooManyVersions);
    }
    for old in &stored {
        remove(commit, &name, old);
    }
    for version in &versions {
        commit.put_record(SECRET_VERSIONS, &version_key(&name, version.version), version)?;
        if let Some(end) = version.ends_at {
            commit.put(SECRET_ENDS, &end_key(end, &name, version.version), &[]);
        }
    }
    if changed {
        commit.put_record(SECRETS, name.as_bytes(), &versions[0].version)?;
        announce(commit, &name, versions[0].version, "set", now)?;
    }
    Ok(PutSecretResult::Stored(Secret { name, versions }))
}

fn delete(commit: &mut WriteTx<'_, '_>, name: &str, now: Timestamp) -> Result<()> {
    let Some(secret) = get(commit, name)? else {
        return Err(StoreError::NotFound { kind: "secret", name: name.to_owned() });
    };
    for version in &secret.versions {
        remove(commit, name, version);
    }
    announce(commit, name, secret.versions[0].version, "deleted", now)
}

fn expire(commit: &mut WriteTx<'_, '_>, now: Timestamp, limit: usize) -> Result<Vec<String>> {
    let ends = time_key(Timestamp::from_millis(now.as_millis().saturating_add(1)), &[]);
    let mut names = Vec::new();
    for (key, _) in commit.range(SECRET_ENDS, Vec::new()..ends, false, limit)? {
        let (_, name, version) = split_end(&key)?;
        commit.delete(SECRET_VERSIONS, &version_key(&name, version));
        commit.delete(SECRET_ENDS, &key);
        announce(commit, &name, version, "ended", now)?;
        names.push(name);
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

fn remove(commit: &mut WriteTx<'_, '_>, name: &str, version: &SecretVersion) {
    commit.delete(SECRET_VERSIONS, &version_key(name, version.version));
    if let Some(end) = version.ends_at {
        commit.delete(SECRET_ENDS, &end_key(end, name, version.version));
    }
}

fn announce(commit: &mut WriteTx<'_, '_>, name: &str, version: u64, change: &str, now: Timestamp) -> Result<()> {
    commit.announce(now, &FeedEvent::Secret { name: name.to_owned(), version, change: change.to_owned() })
}

/// Builds the key `name NUL version`.
pub(super) fn version_key(name: &str, version: u64) -> Vec<u8> {
    name_key(name, &version.to_be_bytes())
}

/// Takes the key of a version apart.
pub(super) fn split_version(key: &[u8]) -> Result<(String, u64)> {
    let parts = key.split_last_chunk::<8>().and_then(|(name, version)| Some((name.strip_suffix(&[0])?, version)));
    let (name, version) =
        parts.ok_or_else(|| StoreError::Damaged { what: "a key of table secret-versions is too short".to_owned() })?;
    Ok((text(name)?, u64::from_be_bytes(*version)))
}

/// Builds the key `time name NUL version`.
fn end_key(end: Timestamp, name: &str, version: u64) -> Vec<u8> {
    time_key(end, &version_key(name, version))
}

fn split_end(key: &[u8]) -> Result<(Timestamp, String, u64)> {
    let (time, rest) = key
        .split_first_chunk::<8>()
        .ok_or_else(|| StoreError::Damaged { what: "a key of table secret-ends is too short".to_owned() })?;
    let (name, version) = split_version(rest)?;
    Ok((Timestamp::from_millis(u64::from_be_bytes(*time)), name, version))
}

fn text(bytes: &[u8]) -> Result<String> {
    let text = std::str::from_utf8(bytes);
    Ok(text.map_err(|_| StoreError::Damaged { what: "the name of a secret is not UTF-8".to_owned() })?.to_owned())
}
