//! Replays: a new run of a delivery, with the delivery as it was.

use tidemill_core::delivery::{DeliveryOutcome, RUNS_MAX};
use tidemill_core::{DeliveryId, RunId};

use crate::embedded::deliveries::{keys, progress, receive};
use crate::embedded::operations;
use crate::embedded::tables::DELIVERY_REPLAYS;
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;
use crate::records::{
    DeliveryProgress, DeliveryReplay, DeliveryReplayResult, HookDelivery, NewRun, OperationState, ReplayObstacle,
};

/// Starts a new run of each delivery, and writes the progress of their operation.
pub(crate) fn replay(commit: &mut WriteTx<'_, '_>, replay: &DeliveryReplay) -> Result<DeliveryReplayResult> {
    let mut result = DeliveryReplayResult::default();
    if let Some(operation) = &replay.operation {
        let stored = operations::get(commit, &operation.id)?;
        if stored.as_ref().is_none_or(|stored| stored.state != OperationState::Running) {
            return Ok(DeliveryReplayResult { operation: stored, ..result });
        }
    }
    for (id, new) in &replay.runs {
        match subject(commit, *id)? {
            Ok((delivery, progress)) => {
                let run = again(commit, &delivery, progress, new, replay)?;
                result.runs.push(run);
            }
            Err(obstacle) => result.skipped.push((*id, obstacle)),
        }
    }
    if let Some(mut operation) = replay.operation.clone() {
        let (done, failed) = (result.runs.len() as u64, result.skipped.len() as u64);
        operation.matched = operation.matched.saturating_add(done + failed);
        operation.done = operation.done.saturating_add(done);
        operation.failed = operation.failed.saturating_add(failed);
        operations::put(commit, &operation)?;
        result.operation = Some(operation);
    }
    Ok(result)
}

fn again(
    commit: &mut WriteTx<'_, '_>,
    delivery: &HookDelivery,
    mut progress: DeliveryProgress,
    new: &NewRun,
    replay: &DeliveryReplay,
) -> Result<tidemill_core::run::Run> {
    let run = receive::request(commit, delivery.id, new)?;
    progress::note_run(commit, &delivery.deployment, delivery.id, &mut progress, run.id, replay.now)?;
    progress::put(commit, &delivery.deployment, delivery.id, &progress)?;
    commit.put(DELIVERY_REPLAYS, &keys::replay(delivery.id, run.id), &[]);
    progress::announce(commit, &delivery.deployment, delivery.id, &progress, "replayed", replay.now)?;
    Ok(run)
}

/// Returns a delivery that can be replayed, or why it cannot.
fn subject(
    store: &impl ReadTx,
    id: DeliveryId,
) -> Result<std::result::Result<(HookDelivery, DeliveryProgress), ReplayObstacle>> {
    let Some(delivery) = progress::find(store, id)? else { return Ok(Err(ReplayObstacle::Missing)) };
    let Some(progress) = progress::get(store, &delivery.deployment, id)? else {
        return Ok(Err(ReplayObstacle::Missing));
    };
    Ok(match progress.outcome {
        // Parked runs are retried: after a replay no delivery would follow them.
        outcome if outcome.is_open() || outcome == DeliveryOutcome::Dead => Err(ReplayObstacle::Open),
        DeliveryOutcome::Refused => Err(ReplayObstacle::Refused),
        _ if progress.runs >= RUNS_MAX => Err(ReplayObstacle::RunsMax),
        _ => Ok((delivery, progress)),
    })
}

/// Returns the runs of a delivery, oldest first.
pub(crate) fn runs(store: &impl ReadTx, id: DeliveryId) -> Result<Vec<RunId>> {
    let Some(delivery) = progress::find(store, id)? else { return Ok(Vec::new()) };
    let first = progress::get(store, &delivery.deployment, id)?.and_then(|progress| progress.first_run);
    let replays = store.scan_prefix(DELIVERY_REPLAYS, &id.to_bytes(), RUNS_MAX as usize)?;
    let replays = replays.iter().filter_map(|(key, _)| crate::embedded::tables::run_at_end(key));
    Ok(first.into_iter().chain(replays.filter(|run| Some(*run) != first)).collect())
}
