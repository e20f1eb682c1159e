//! A deployment's state: values with the commit that wrote them.

use bytes::Bytes;
use tidemill_core::DeploymentName;
use tidemill_core::limits::STATE_PAGE_BYTES;

use super::commit::Commit;
use super::reads::{Reads, prefix_range};
use super::tables::{STATE, under};
use crate::error::StoreError;
use crate::records::{ScanPage, ScanRequest, StateWrite, Version, Versioned};

type Result<T> = std::result::Result<T, StoreError>;

pub(super) fn get(store: &impl Reads, deployment: &DeploymentName, key: &str) -> Result<Versioned> {
    match store.bytes(STATE, &under(deployment.as_str(), key.as_bytes()))? {
        None => Ok(Versioned { value: None, version: Version::ABSENT }),
        Some(bytes) => {
            let (version, value) = split(&bytes)?;
            Ok(Versioned { value: Some(Bytes::copy_from_slice(value)), version })
        }
    }
}

/// The version alone, without a copy of the value.
pub(super) fn version(store: &impl Reads, deployment: &DeploymentName, key: &str) -> Result<Version> {
    match store.bytes(STATE, &under(deployment.as_str(), key.as_bytes()))? {
        None => Ok(Version::ABSENT),
        Some(bytes) => Ok(split(&bytes)?.0),
    }
}

pub(super) fn scan(store: &impl Reads, deployment: &DeploymentName, request: &ScanRequest) -> Result<ScanPage> {
    let mut range = prefix_range(&under(deployment.as_str(), request.prefix.as_bytes()));
    if let Some(after) = &request.after {
        let mut start = under(deployment.as_str(), after.as_bytes());
        start.push(0);
        range.start = range.start.max(start);
    }
    let mut page = ScanPage::default();
    let mut bytes = 0;
    while range.start < range.end {
        let batch = store.range(STATE, range.clone(), false, (request.limit + 1 - page.entries.len()).min(64))?;
        let Some((last, _)) = batch.last() else { break };
        range.start = [last.as_ref(), &[0]].concat();
        for (key, stored) in &batch {
            let name = &key[deployment.as_str().len() + 1..];
            let (version, value) = split(stored)?;
            let size = name.len() + value.len();
            if page.entries.len() >= request.limit || (bytes + size > STATE_PAGE_BYTES && !page.entries.is_empty()) {
                page.more = true;
                return Ok(page);
            }
            bytes += size;
            let name = std::str::from_utf8(name)
                .map_err(|_| StoreError::Damaged { what: "a key of table state is no text".into() })?;
            page.entries.push((name.to_owned(), Bytes::copy_from_slice(value), version));
        }
    }
    Ok(page)
}

pub(super) fn write(commit: &mut Commit<'_, '_>, deployment: &DeploymentName, write: &StateWrite) {
    let key = under(deployment.as_str(), write.key.as_bytes());
    match &write.value {
        None => commit.delete(STATE, &key),
        Some(value) => {
            let mut stored = Vec::with_capacity(8 + value.len());
            stored.extend_from_slice(&commit.position().to_le_bytes());
            stored.extend_from_slice(value);
            commit.put(STATE, &key, &stored);
        }
    }
}

fn split(stored: &[u8]) -> Result<(Version, &[u8])> {
    let (version, value) = stored
        .split_first_chunk::<8>()
        .ok_or_else(|| StoreError::Damaged { what: "a value of table state is too short".into() })?;
    Ok((Version(u64::from_le_bytes(*version)), value))
}
