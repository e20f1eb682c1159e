//! Removes the data of deleted deployments, which can be much, in parts.

use tidemill_core::DeploymentName;

use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::{
    BUDGET_COUNTERS, BUDGET_LIMITS, CURSORS, FIRING_LIST, HEALTH, PURGES, REVISIONS, SERVICE_HISTORY, STARTS, STATE,
    name_key,
};
use crate::embedded::throttle::PIECE;
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::error::Result;

/// Removes the remaining data of a deleted deployment, one part in each commit.
pub(crate) async fn purge(store: &EmbeddedStore, name: &DeploymentName) -> Result<()> {
    loop {
        let part = name.clone();
        if store.commit(move |c| purge_part(c, &part)).await? {
            return Ok(());
        }
    }
}

/// Removes one part of the data of a deleted deployment. Returns whether all is removed.
fn purge_part(commit: &mut WriteTx<'_, '_>, name: &DeploymentName) -> Result<bool> {
    let mark = name.as_str().as_bytes();
    if commit.bytes(PURGES, mark)?.is_none() {
        return Ok(true);
    }
    for table in
        [STATE, REVISIONS, STARTS, FIRING_LIST, CURSORS, BUDGET_COUNTERS, BUDGET_LIMITS, HEALTH, SERVICE_HISTORY]
    {
        let left = commit.scan_prefix(table, &name_key(name.as_str(), &[]), PIECE)?;
        for (key, _) in &left {
            if table == STATE { commit.delete_value(Some(name), table, key)? } else { commit.delete(table, key) }
        }
        if !left.is_empty() {
            return Ok(false);
        }
    }
    commit.delete(PURGES, mark);
    Ok(true)
}

/// Returns the deleted deployments whose data is not removed yet.
pub(crate) fn deleted(store: &impl ReadTx) -> Result<Vec<DeploymentName>> {
    let marks = store.range(PURGES, prefix_range(&[]), false, usize::MAX)?;
    Ok(marks.iter().filter_map(|(key, _)| std::str::from_utf8(key).ok()?.parse().ok()).collect())
}
