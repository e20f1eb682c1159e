//! Deletes deliveries some time after their outcome was settled, and announces dead ones before.

use std::ops::Range;

use tidemill_core::{DeliveryId, Timestamp};

use crate::embedded::deliveries::{duplicates, keys, progress};
use crate::embedded::ledger::evidence;
use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::{
    DEAD_DELIVERIES, DELIVERIES, DELIVERIES_BY_OBJECT, DELIVERY_BODIES, DELIVERY_PROGRESS, DELIVERY_REPLAYS,
    SETTLED_DELIVERIES,
};
use crate::embedded::throttle::{PIECE, paced};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;
use crate::records::{DeliveryPolicy, ExpiredDeliveries};

/// Maximum number of deliveries that one commit deletes. Each has about ten rows.
const AT_ONCE: usize = PIECE / 8;

pub(crate) async fn expire(
    store: &EmbeddedStore,
    policy: DeliveryPolicy,
    limit: usize,
    now: Timestamp,
) -> Result<ExpiredDeliveries> {
    let mut expired = ExpiredDeliveries::default();
    let due = |table, before| -> Result<bool> { Ok(!store.latest().range(table, until(before), false, 1)?.is_empty()) };
    while expired.announced < limit && due(DEAD_DELIVERIES, policy.dead_before)? {
        expired.announced += paced(store.commit(move |c| announce(c, policy.dead_before, now))).await?;
    }
    let mut looked_at = 0;
    while looked_at < limit && due(SETTLED_DELIVERIES, policy.settled_before)? {
        let (found, deleted) = paced(store.commit(move |c| delete(c, policy.settled_before))).await?;
        looked_at += found;
        expired.deleted += deleted;
    }
    expired.more = due(DEAD_DELIVERIES, policy.dead_before)? || due(SETTLED_DELIVERIES, policy.settled_before)?;
    Ok(expired)
}

/// Returns the keys of all times before `before`.
fn until(before: Timestamp) -> Range<Vec<u8>> {
    Vec::new()..before.as_millis().to_be_bytes().to_vec()
}

fn announce(commit: &mut WriteTx<'_, '_>, before: Timestamp, now: Timestamp) -> Result<usize> {
    let rows = commit.range(DEAD_DELIVERIES, until(before), false, PIECE)?;
    for (row, _) in &rows {
        commit.delete(DEAD_DELIVERIES, row);
        let Some(delivery) = keys::delivery_at_end(row).map(|id| progress::find(commit, id)).transpose()?.flatten()
        else {
            continue;
        };
        if let Some(progress) = progress::get(commit, &delivery.deployment, delivery.id)? {
            progress::announce(commit, &delivery.deployment, delivery.id, &progress, "expires", now)?;
        }
    }
    Ok(rows.len())
}

/// Deletes deliveries, except those that are evidence of entries. Returns the number of those that
/// it looked at, and of those that are deleted.
fn delete(commit: &mut WriteTx<'_, '_>, before: Timestamp) -> Result<(usize, usize)> {
    let rows = commit.range(SETTLED_DELIVERIES, until(before), false, AT_ONCE)?;
    let mut deleted = 0;
    for (row, _) in &rows {
        if let Some(id) = keys::delivery_at_end(row)
            && !evidence::keep_delivery(commit, id)?
        {
            delete_one(commit, id)?;
            deleted += 1;
        }
        commit.delete(SETTLED_DELIVERIES, row);
        commit.delete(DEAD_DELIVERIES, row);
    }
    Ok((rows.len(), deleted))
}

/// Whether retention has not looked at the outcome of a delivery yet.
pub(crate) fn is_settled(store: &impl ReadTx, id: DeliveryId, settled_at: Timestamp) -> Result<bool> {
    Ok(store.bytes(SETTLED_DELIVERIES, &keys::at_time(settled_at, id))?.is_some())
}

/// Deletes a delivery with all its rows.
pub(crate) fn delete_one(commit: &mut WriteTx<'_, '_>, id: DeliveryId) -> Result<()> {
    let Some(delivery) = progress::find(commit, id)? else { return Ok(()) };
    let deployment = &delivery.deployment;
    duplicates::forget(commit, &delivery)?;
    if let Some(object) = &delivery.object {
        commit.delete(DELIVERIES_BY_OBJECT, &keys::by_object(deployment, object, id));
    }
    for (row, _) in commit.scan_prefix(DELIVERY_REPLAYS, &id.to_bytes(), usize::MAX)? {
        commit.delete(DELIVERY_REPLAYS, &row);
    }
    commit.delete_value(Some(deployment), DELIVERY_BODIES, &id.to_bytes())?;
    commit.delete(DELIVERY_PROGRESS, &keys::of_deployment(deployment, id));
    commit.delete(DELIVERIES, &id.to_bytes());
    Ok(())
}
