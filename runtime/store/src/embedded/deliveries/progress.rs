//! The progress of a delivery, which follows its latest run.
//!
//! Invariants between two commits: a settled delivery has exactly one row in
//! [`SETTLED_DELIVERIES`], and an open one has none; only dead deliveries have a row in
//! [`DEAD_DELIVERIES`].

use tidemill_core::delivery::DeliveryOutcome;
use tidemill_core::run::{Run, TriggerKind};
use tidemill_core::{DeliveryId, DeploymentName, RunId, Timestamp};

use crate::embedded::deliveries::keys;
use crate::embedded::tables::{DEAD_DELIVERIES, DELIVERIES, DELIVERY_PROGRESS, SETTLED_DELIVERIES};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;
use crate::records::{DeliveryProgress, FeedEvent, HookDelivery};

pub(crate) fn find(store: &impl ReadTx, id: DeliveryId) -> Result<Option<HookDelivery>> {
    store.record(DELIVERIES, &id.to_bytes())
}

pub(crate) fn get(
    store: &impl ReadTx,
    deployment: &DeploymentName,
    id: DeliveryId,
) -> Result<Option<DeliveryProgress>> {
    store.record(DELIVERY_PROGRESS, &keys::of_deployment(deployment, id))
}

pub(crate) fn put(
    commit: &mut WriteTx<'_, '_>,
    deployment: &DeploymentName,
    id: DeliveryId,
    progress: &DeliveryProgress,
) -> Result<()> {
    commit.put_record(DELIVERY_PROGRESS, &keys::of_deployment(deployment, id), progress)
}

/// Lets a delivery follow a run of it whose state changed.
pub(crate) fn follow(commit: &mut WriteTx<'_, '_>, before: Option<&Run>, run: &Run, now: Timestamp) -> Result<()> {
    if run.trigger.kind != TriggerKind::Webhook {
        return Ok(());
    }
    let outcome = DeliveryOutcome::of_run(&run.state);
    if outcome == before.map_or(DeliveryOutcome::Stored, |before| DeliveryOutcome::of_run(&before.state)) {
        return Ok(());
    }
    let Some(id) = run.trigger.id.as_ref().and_then(|id| id.parse().ok()) else { return Ok(()) };
    let Some(mut progress) = get(commit, &run.deployment, id)?.filter(|one| one.last_run == Some(run.id)) else {
        return Ok(());
    };
    settle(commit, &run.deployment, id, &mut progress, outcome, now)?;
    put(commit, &run.deployment, id, &progress)
}

/// Gives a delivery another outcome, and updates the rows that depend on it. The caller writes the
/// progress.
pub(crate) fn settle(
    commit: &mut WriteTx<'_, '_>,
    deployment: &DeploymentName,
    id: DeliveryId,
    progress: &mut DeliveryProgress,
    outcome: DeliveryOutcome,
    now: Timestamp,
) -> Result<()> {
    unsettle(commit, id, progress);
    progress.outcome = outcome;
    if outcome.is_open() {
        return Ok(());
    }
    progress.settled_at = Some(now);
    commit.put(SETTLED_DELIVERIES, &keys::at_time(now, id), &[]);
    if outcome == DeliveryOutcome::Dead {
        commit.put(DEAD_DELIVERIES, &keys::at_time(now, id), &[]);
    }
    // The event of the run reports that it is done.
    if outcome == DeliveryOutcome::Done {
        return Ok(());
    }
    announce(commit, deployment, id, progress, outcome.as_str(), now)
}

/// Removes the rows of a settled delivery.
fn unsettle(commit: &mut WriteTx<'_, '_>, id: DeliveryId, progress: &mut DeliveryProgress) {
    let Some(settled) = progress.settled_at.take() else { return };
    commit.delete(SETTLED_DELIVERIES, &keys::at_time(settled, id));
    if progress.outcome == DeliveryOutcome::Dead {
        commit.delete(DEAD_DELIVERIES, &keys::at_time(settled, id));
    }
}

/// Records a new run of a delivery, which decides its outcome from now on.
pub(crate) fn note_run(
    commit: &mut WriteTx<'_, '_>,
    deployment: &DeploymentName,
    id: DeliveryId,
    progress: &mut DeliveryProgress,
    run: RunId,
    now: Timestamp,
) -> Result<()> {
    settle(commit, deployment, id, progress, DeliveryOutcome::Stored, now)?;
    progress.first_run.get_or_insert(run);
    progress.last_run = Some(run);
    progress.runs = progress.runs.saturating_add(1);
    Ok(())
}

pub(crate) fn announce(
    commit: &mut WriteTx<'_, '_>,
    deployment: &DeploymentName,
    id: DeliveryId,
    progress: &DeliveryProgress,
    change: &str,
    now: Timestamp,
) -> Result<()> {
    let event = FeedEvent::Delivery {
        id,
        deployment: deployment.clone(),
        hook: progress.hook.clone(),
        change: change.to_owned(),
        run: progress.last_run,
    };
    commit.announce(now, &event)
}
