//! The backlog of a deployment: deliveries that wait for room in its queue, in order of arrival.

use tidemill_core::delivery::DeliveryOutcome;
use tidemill_core::run::Run;
use tidemill_core::{DeliveryId, DeploymentName, Timestamp};

use crate::embedded::codec::decode;
use crate::embedded::deliveries::{backlog_length, keys, progress, receive};
use crate::embedded::runs::index;
use crate::embedded::tables::{BACKLOG, name_key};
use crate::embedded::throttle::PIECE;
use crate::embedded::tx::{Key, ReadTx, Value, WriteTx};
use crate::embedded::usage;
use crate::error::{Result, StoreError};
use crate::records::{HookDelivery, NewRun};

/// Adds a delivery as the last one.
pub(crate) fn add(commit: &mut WriteTx<'_, '_>, deployment: &DeploymentName, id: DeliveryId) -> Result<()> {
    let ticket = commit.ticket();
    commit.put_record(BACKLOG, &keys::waiting(deployment, ticket), &id)?;
    let waiting = backlog_length::get(commit, deployment)?;
    backlog_length::set(commit, deployment, waiting.saturating_add(1))
}

fn head(store: &impl ReadTx, deployment: &DeploymentName, limit: usize) -> Result<Vec<(Key, Value)>> {
    store.scan_prefix(BACKLOG, &name_key(deployment.as_str(), &[]), limit)
}

/// Returns the deliveries that wait longest.
pub(crate) fn first(store: &impl ReadTx, deployment: &DeploymentName, limit: usize) -> Result<Vec<HookDelivery>> {
    let rows = head(store, deployment, limit)?;
    rows.iter()
        .map(|(_, bytes)| {
            let id = decode(BACKLOG, bytes)?;
            progress::find(store, id)?.ok_or_else(|| damaged("a waiting delivery is missing"))
        })
        .collect()
}

/// Returns whether a new delivery can be queued at once: none waits before it, and the queue and
/// the quotas have room.
pub(crate) fn has_room(commit: &WriteTx<'_, '_>, deployment: &DeploymentName, new: &NewRun) -> Result<bool> {
    Ok(backlog_length::get(commit, deployment)? == 0 && admits(commit, deployment, new)?)
}

fn admits(commit: &WriteTx<'_, '_>, deployment: &DeploymentName, new: &NewRun) -> Result<bool> {
    Ok(index::queued(commit, deployment)? < new.terms.queue_max && usage::check_new_run(commit, deployment).is_ok())
}

/// Creates the runs of the deliveries that wait longest, as far as there is room.
pub(crate) fn admit(
    commit: &mut WriteTx<'_, '_>,
    deployment: &DeploymentName,
    runs: &[(DeliveryId, NewRun)],
) -> Result<Vec<Run>> {
    let mut created = Vec::with_capacity(runs.len());
    for ((row, bytes), (id, new)) in head(commit, deployment, runs.len())?.into_iter().zip(runs) {
        if decode::<DeliveryId>(BACKLOG, &bytes)? != *id || !admits(commit, deployment, new)? {
            break;
        }
        let Some(mut progress) = progress::get(commit, deployment, *id)? else {
            return Err(damaged("a waiting delivery is missing"));
        };
        let run = receive::request(commit, *id, new)?;
        progress::note_run(commit, deployment, *id, &mut progress, run.id, new.now)?;
        progress::put(commit, deployment, *id, &progress)?;
        commit.delete(BACKLOG, &row);
        created.push(run);
    }
    remove(commit, deployment, created.len())?;
    Ok(created)
}

/// Ends some waiting deliveries without a run. Returns whether others wait.
pub(crate) fn drop_part(commit: &mut WriteTx<'_, '_>, deployment: &DeploymentName, now: Timestamp) -> Result<bool> {
    let rows = head(commit, deployment, PIECE)?;
    for (row, bytes) in &rows {
        let id = decode(BACKLOG, bytes)?;
        if let Some(mut progress) = progress::get(commit, deployment, id)? {
            progress::settle(commit, deployment, id, &mut progress, DeliveryOutcome::Failed, now)?;
            progress::put(commit, deployment, id, &progress)?;
        }
        commit.delete(BACKLOG, row);
    }
    remove(commit, deployment, rows.len())?;
    Ok(backlog_length::get(commit, deployment)? > 0)
}

fn remove(commit: &mut WriteTx<'_, '_>, deployment: &DeploymentName, number: usize) -> Result<()> {
    if number == 0 {
        return Ok(());
    }
    let waiting = backlog_length::get(commit, deployment)?;
    backlog_length::set(commit, deployment, waiting.saturating_sub(number as u64))
}

fn damaged(what: &str) -> StoreError {
    StoreError::Damaged { what: format!("the backlog of deliveries: {what}") }
}
