//! The number of deliveries of each deployment that wait for room in its queue.

use tidemill_core::DeploymentName;

use crate::embedded::codec::decode;
use crate::embedded::tables::BACKLOG_LENGTH;
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::error::{Result, StoreError};

pub(crate) fn get(store: &impl ReadTx, deployment: &DeploymentName) -> Result<u64> {
    Ok(store.record(BACKLOG_LENGTH, deployment.as_str().as_bytes())?.unwrap_or(0))
}

/// Returns every deployment with waiting deliveries, and their number.
pub(crate) fn all(store: &impl ReadTx) -> Result<Vec<(DeploymentName, u64)>> {
    let rows = store.range(BACKLOG_LENGTH, prefix_range(&[]), false, usize::MAX)?;
    rows.iter()
        .map(|(key, bytes)| {
            let name = std::str::from_utf8(key).ok().and_then(|name| name.parse().ok());
            let name = name.ok_or_else(|| StoreError::Damaged {
                what: "a key of table delivery-backlog-length cannot be read".into(),
            })?;
            Ok((name, decode(BACKLOG_LENGTH, bytes)?))
        })
        .collect()
}

pub(crate) fn set(commit: &mut WriteTx<'_, '_>, deployment: &DeploymentName, length: u64) -> Result<()> {
    match length {
        0 => commit.delete(BACKLOG_LENGTH, deployment.as_str().as_bytes()),
        length => commit.put_record(BACKLOG_LENGTH, deployment.as_str().as_bytes(), &length)?,
    }
    Ok(())
}
