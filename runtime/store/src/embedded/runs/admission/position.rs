//! The queue position of a run, which explains why it is not executing.

use tidemill_core::run::RunState;
use tidemill_core::{DeploymentName, RunId, Timestamp};

use crate::embedded::budgets::fuel;
use crate::embedded::runs::admission::{claim, debounce, lanes};
use crate::embedded::runs::record::RunRecord;
use crate::embedded::runs::{index, record};
use crate::embedded::schedules::queue;
use crate::embedded::tables::{DELAYED, READY, RUNS, name_key, ready, time_key};
use crate::embedded::tx::ReadTx;
use crate::error::Result;
use crate::records::{QueueKind, QueuePosition};

/// Maximum number of runs that are named for a lane or for a turn.
const NAMED: usize = 10;

pub(crate) fn of(store: &impl ReadTx, id: RunId, max: usize) -> Result<Option<QueuePosition>> {
    let Some(record) = record::find(store, id)? else { return Ok(None) };
    let listed = listed(store, &record, max)?;
    let mut in_lanes = Vec::with_capacity(record.run.lanes.len());
    for (place, lane) in record.run.lanes.iter().enumerate() {
        let view = lanes::view(store, &record.run.deployment, &lane.name, NAMED)?;
        in_lanes.push((lane.clone(), lanes::is_in(&record, place), view));
    }
    let queued = index::queued(store, &record.run.deployment)?;
    let starts = claim::starts(store, &record.run.deployment)?;
    let turn_after =
        if matches!(listed, QueueKind::Turn(_)) { queue::before(store, &record, NAMED)? } else { Vec::new() };
    let accepts_requests = debounce::accepts_requests(&record);
    let budget = fuel::waits(store, &record)?;
    Ok(Some(QueuePosition {
        accepts_requests,
        run: record.run,
        listed,
        lanes: in_lanes,
        turn_after,
        queued,
        starts,
        budget,
    }))
}

/// Returns since when the next runs of a deployment could have been claimed.
pub(crate) fn oldest_ready(store: &impl ReadTx, deployment: &DeploymentName) -> Result<Option<Timestamp>> {
    let mut oldest: Option<Timestamp> = None;
    // The first two bytes are whether the run has started before, and its priority.
    for first in (0..=1).flat_map(|started| (0..=9).map(move |priority| [started, priority])) {
        let prefix = name_key(deployment.as_str(), &first);
        let Some((key, _)) = store.scan_prefix(READY, &prefix, 1)?.pop() else { continue };
        let run: Option<RunRecord> = key.get(prefix.len()..).map_or(Ok(None), |id| store.record(RUNS, id))?;
        if let Some(RunState::Queued { not_before }) = run.map(|record| record.run.state) {
            oldest = Some(oldest.map_or(not_before, |oldest| oldest.min(not_before)));
        }
    }
    Ok(oldest)
}

fn listed(store: &impl ReadTx, record: &RunRecord, max: usize) -> Result<QueueKind> {
    let run = &record.run;
    let due = match &run.state {
        RunState::Queued { not_before } => Some(*not_before),
        RunState::Suspended => run.waiting_for.as_ref().and_then(|wait| wait.until),
        _ => return Ok(QueueKind::Nowhere),
    };
    if let Some(before) = queue::ahead(store, record, max)? {
        return Ok(QueueKind::Turn(before));
    }
    if let Some((place, before)) = lanes::waits(store, record, max)? {
        return Ok(QueueKind::Lane(place, before));
    }
    if let Some(due) = due
        && store.bytes(DELAYED, &time_key(due, &run.id.to_bytes()))?.is_some()
    {
        return Ok(QueueKind::Delayed(due));
    }
    let key = ready(run);
    if store.bytes(READY, &key)?.is_none() {
        return Ok(QueueKind::Nowhere);
    }
    let before = store.range(READY, name_key(run.deployment.as_str(), &[])..key, false, max)?;
    Ok(QueueKind::Ready(before.len()))
}
