//! Removes alerts that were over long ago.

use tidemill_core::{AlertId, Timestamp};

use super::notifications;
use crate::embedded::tables::{ALERTS, RESOLVED_ALERTS, time_key};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;

/// Maximum number of records that one commit removes.
const RECORDS_MAX: usize = 2_000;

/// Removes at most `limit` alerts that were over before `before`. An alert with many notifications
/// is removed in several commits.
pub(super) fn remove(commit: &mut WriteTx<'_, '_>, before: Timestamp, limit: usize) -> Result<usize> {
    let old = commit.range(RESOLVED_ALERTS, Vec::new()..time_key(before, &[]), false, limit)?;
    let (mut alerts, mut records) = (0, 0);
    for (key, _) in old {
        let Some(id) = key.get(8..).and_then(|id| <[u8; 16]>::try_from(id).ok()) else { continue };
        records += notifications::remove(commit, AlertId::from_bytes(id), RECORDS_MAX - records)?;
        alerts += 1;
        if records >= RECORDS_MAX {
            break;
        }
        commit.delete(ALERTS, &id);
        commit.delete(RESOLVED_ALERTS, &key);
    }
    Ok(alerts)
}
