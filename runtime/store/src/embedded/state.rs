//! The key-value state of deployments: each value with the commit that wrote it.

use async_trait::async_trait;
use tidemill_core::DeploymentName;
use tidemill_core::limits::STATE_PAGE_BYTES;

use crate::embedded::deployments;
use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::{DEPLOYMENTS, STATE, name_key};
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::embedded::value::{self, ValueRef};
use crate::error::{Result, StoreError};
use crate::records::{
    FeedEvent, ScanPage, ScanRequest, StateEdit, StateEditResult, StateWrite, Version, VersionedValue,
};
use crate::traits::StateStore;

pub(crate) fn get(store: &impl ReadTx, deployment: &DeploymentName, key: &str) -> Result<(Option<ValueRef>, Version)> {
    match store.bytes(STATE, &name_key(deployment.as_str(), key.as_bytes()))? {
        None => Ok((None, Version::ABSENT)),
        Some(bytes) => {
            let (value, version) = split(&bytes)?;
            Ok((Some(value), version))
        }
    }
}

#[async_trait]
impl StateStore for EmbeddedStore {
    async fn state(&self, deployment: &DeploymentName, key: &str) -> Result<VersionedValue> {
        let lease = self.lease();
        let (value, version) = get(self.latest(), deployment, key)?;
        Ok(VersionedValue { value: self.maybe(lease, value).await?, version })
    }

    async fn newest_state(&self, deployment: &DeploymentName, key: &str) -> Result<VersionedValue> {
        let lease = self.lease();
        let (value, version) = get(&self.uncommitted(), deployment, key)?;
        Ok(VersionedValue { value: self.maybe(lease, value).await?, version })
    }

    async fn scan_state(&self, deployment: &DeploymentName, request: &ScanRequest) -> Result<ScanPage> {
        let lease = self.lease();
        let ScanRows { entries, more } = scan(&self.snapshot(), deployment, request)?;
        let mut held = Vec::with_capacity(entries.len());
        let mut keys = Vec::with_capacity(entries.len());
        for (key, value, version) in entries {
            held.push(value);
            keys.push((key, version));
        }
        let values = self.values(lease, held).await?;
        let entries = keys.into_iter().zip(values).map(|((key, version), value)| (key, value, version)).collect();
        Ok(ScanPage { entries, more })
    }

    async fn edit_state(&self, edit: StateEdit) -> Result<StateEditResult> {
        self.commit_with(value::long(&edit.value), move |c| self::edit(c, &edit)).await
    }
}

/// Returns whether a value that was read at this version is still the current one.
pub(crate) fn is_current(
    store: &impl ReadTx,
    deployment: &DeploymentName,
    key: &str,
    version: Version,
) -> Result<bool> {
    let (value, current) = get(store, deployment, key)?;
    Ok(match value {
        _ if !version.is_of_content() => version == current,
        None => version == Version::of_content(None),
        Some(ValueRef::Inline(value)) => version == Version::of_content(Some(&value)),
        // A value that is read before its commit is short enough for its record.
        Some(ValueRef::Blob(_)) => false,
    })
}

/// The entries of a scan. Values in payload files are not read yet.
#[derive(Default)]
pub(crate) struct ScanRows {
    pub(crate) entries: Vec<(String, ValueRef, Version)>,
    pub(crate) more: bool,
}

pub(crate) fn scan(store: &impl ReadTx, deployment: &DeploymentName, request: &ScanRequest) -> Result<ScanRows> {
    let mut range = prefix_range(&name_key(deployment.as_str(), request.prefix.as_bytes()));
    if let Some(after) = &request.after {
        let mut start = name_key(deployment.as_str(), after.as_bytes());
        start.push(0);
        range.start = range.start.max(start);
    }
    let mut page = ScanRows::default();
    let mut bytes = 0;
    while range.start < range.end {
        let batch = store.range(STATE, range.clone(), false, (request.limit + 1 - page.entries.len()).min(64))?;
        let Some((last, _)) = batch.last() else { break };
        range.start = [last.as_ref(), &[0]].concat();
        for (key, stored) in &batch {
            let name = &key[deployment.as_str().len() + 1..];
            let (value, version) = split(stored)?;
            let size = name.len() + value.len();
            if page.entries.len() >= request.limit || (bytes + size > STATE_PAGE_BYTES && !page.entries.is_empty()) {
                page.more = true;
                return Ok(page);
            }
            bytes += size;
            let name = std::str::from_utf8(name)
                .map_err(|_| StoreError::Damaged { what: "a key of table state is not UTF-8".into() })?;
            page.entries.push((name.to_owned(), value, version));
        }
    }
    Ok(page)
}

pub(crate) fn write(commit: &mut WriteTx<'_, '_>, deployment: &DeploymentName, write: &StateWrite) -> Result<()> {
    let key = name_key(deployment.as_str(), write.key.as_bytes());
    match &write.value {
        None => commit.delete_value(Some(deployment), STATE, &key),
        Some(value) => {
            let version = commit.position().to_le_bytes();
            commit.put_value(Some(deployment), STATE, &key, &version, value)
        }
    }
}

/// Changes a value by hand, outside of any run.
fn edit(commit: &mut WriteTx<'_, '_>, edit: &StateEdit) -> Result<StateEditResult> {
    let StateEdit { deployment, key, value, expected, now } = edit;
    if commit.bytes(DEPLOYMENTS, deployment.as_str().as_bytes())?.is_none() {
        return Err(deployments::no_deployment(deployment));
    }
    let before = get(commit, deployment, key)?.1;
    if expected.is_some_and(|expected| expected != before) {
        return Err(StoreError::ValueChanged { present: before });
    }
    if value.is_none() && before == Version::ABSENT {
        return Err(StoreError::NotFound { kind: "state key", name: key.clone() });
    }
    write(commit, deployment, &StateWrite { key: key.clone(), value: value.clone() })?;
    let after = if value.is_some() { Version(commit.position()) } else { Version::ABSENT };
    let event = FeedEvent::State {
        deployment: deployment.clone(),
        key: key.clone(),
        change: if value.is_some() { "set" } else { "deleted" }.into(),
        bytes: value.as_ref().map_or(0, |value| value.len() as u64),
        before: before.0,
        after: after.0,
    };
    commit.announce(*now, &event)?;
    Ok(StateEditResult { version: after, existed: before != Version::ABSENT })
}

fn split(stored: &[u8]) -> Result<(ValueRef, Version)> {
    let (value, version) = value::read(STATE, stored, 8)?;
    let version = version
        .first_chunk()
        .ok_or_else(|| StoreError::Damaged { what: "a value of table state is too short".into() })?;
    Ok((value, Version(u64::from_le_bytes(*version))))
}
