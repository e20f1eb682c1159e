//! The lists of runs by their state: running, ready, delayed, or waiting for lanes.

use tidemill_core::run::{Run, RunState, Wait, WaitCondition};
use tidemill_core::{DeploymentName, RunId, Timestamp};

use crate::embedded::runs::admission::lanes;
use crate::embedded::runs::record::RunRecord;
use crate::embedded::runs::{inbox, record};
use crate::embedded::tables::{DELAYED, QUEUED, READY, RUNNING, RUNS, lane_request, ready, time_key};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;

pub(crate) const fn is_queued(run: &Run) -> bool {
    matches!(run.state, RunState::Queued { .. })
}

/// Updates the number of the deployment's queued runs.
pub(crate) fn count_queued(commit: &mut WriteTx<'_, '_>, before: Option<&Run>, run: &Run) -> Result<()> {
    let (was, is) = (before.is_some_and(is_queued), is_queued(run));
    if was == is {
        return Ok(());
    }
    let name = run.deployment.as_str().as_bytes();
    let queued = queued(commit, &run.deployment)?;
    match if is { queued.saturating_add(1) } else { queued.saturating_sub(1) } {
        0 => commit.delete(QUEUED, name),
        queued => commit.put_record(QUEUED, name, &queued)?,
    }
    Ok(())
}

/// Returns how many runs of a deployment are queued.
pub(crate) fn queued(store: &impl ReadTx, deployment: &DeploymentName) -> Result<u64> {
    Ok(store.record(QUEUED, deployment.as_str().as_bytes())?.unwrap_or(0))
}

/// Writes a queued run whose request was replaced, and updates its index entries.
pub(crate) fn reindex(commit: &mut WriteTx<'_, '_>, before: &Run, record: &RunRecord, now: Timestamp) -> Result<()> {
    commit.put_record(RUNS, &record.run.id.to_bytes(), record)?;
    unindex(commit, before)?;
    list(commit, record, now)
}

/// Removes a run from the list of its state.
pub(crate) fn unindex(commit: &mut WriteTx<'_, '_>, run: &Run) -> Result<()> {
    let due = match &run.state {
        RunState::Running { .. } => {
            commit.delete(RUNNING, &run.id.to_bytes());
            return Ok(());
        }
        RunState::Queued { not_before } => Some(*not_before),
        RunState::Suspended => run.waiting_for.as_ref().and_then(|wait| wait.until),
        _ => return Ok(()),
    };
    if !undelay(commit, run.id, due)? {
        commit.delete(READY, &ready(run));
    }
    Ok(())
}

fn undelay(commit: &mut WriteTx<'_, '_>, id: RunId, due: Option<Timestamp>) -> Result<bool> {
    let Some(delayed) = due.map(|due| time_key(due, &id.to_bytes())) else { return Ok(false) };
    let was = commit.bytes(DELAYED, &delayed)?.is_some();
    if was {
        commit.delete(DELAYED, &delayed);
    }
    Ok(was)
}

/// Adds a run to the list of its state. A run that waits for its turn is on no list.
pub(crate) fn list(commit: &mut WriteTx<'_, '_>, record: &RunRecord, now: Timestamp) -> Result<()> {
    let run = &record.run;
    if record.counters.turn.is_some() {
        return Ok(());
    }
    let due = match &run.state {
        RunState::Running { epoch, .. } => {
            commit.put(RUNNING, &run.id.to_bytes(), &epoch.get().to_be_bytes());
            return Ok(());
        }
        // A back-off does not delay the notification of a cancellation.
        RunState::Queued { not_before } => Some(*not_before).filter(|_| !record.must_be_notified()).unwrap_or(now),
        RunState::Suspended if record.must_be_notified() => now,
        RunState::Suspended => match &run.waiting_for {
            Some(wait) if !holds(commit, record, wait)? => match wait.until {
                Some(until) => until,
                // A wait without conditions is over at once. A wait without a deadline ends only by
                // a condition.
                None if wait.any_of.is_empty() => now,
                None => return Ok(()),
            },
            _ => now,
        },
        _ => return Ok(()),
    };
    let lacks = lanes::lacks(record);
    if due > now {
        let when_due = if lacks { lane_request(run) } else { ready(run) };
        commit.put(DELAYED, &time_key(due, &run.id.to_bytes()), &when_due);
        commit.effects.delayed = Some(commit.effects.delayed.map_or(due, |earliest| earliest.min(due)));
    } else if lacks {
        return lanes::try_enter(commit, record.clone());
    } else {
        commit.put(READY, &ready(run), &[]);
        commit.ready(&run.deployment);
    }
    Ok(())
}

/// Returns whether a wait holds now, apart from its deadline: any of its conditions is fulfilled,
/// or all of them if `wait.all`.
fn holds(store: &impl ReadTx, record: &RunRecord, wait: &Wait) -> Result<bool> {
    for thing in &wait.any_of {
        let came = match thing {
            WaitCondition::Signal(name) => record.counters.signals > 0 && inbox::has(store, record.run.id, name)?,
            // A run without a record was removed by retention, so it has ended.
            WaitCondition::Run(id) => record::find(store, *id)?.is_none_or(|other| other.run.state.has_ended()),
        };
        if came != wait.all {
            return Ok(came);
        }
    }
    Ok(wait.all && !wait.any_of.is_empty())
}

/// Moves a queued or suspended run to the ready list, regardless of its wait, or into its lanes
/// first. Has no effect if the run is ready already.
pub(crate) fn wake(commit: &mut WriteTx<'_, '_>, record: &RunRecord) -> Result<()> {
    let run = &record.run;
    unindex(commit, run)?;
    if lanes::lacks(record) {
        return lanes::try_enter(commit, record.clone());
    }
    commit.put(READY, &ready(run), &[]);
    commit.ready(&run.deployment);
    Ok(())
}

/// Wakes a run if it waits for a condition that was just fulfilled, and its wait holds now.
pub(crate) fn fulfil(commit: &mut WriteTx<'_, '_>, record: &RunRecord, thing: &WaitCondition) -> Result<()> {
    match (&record.run.state, &record.run.waiting_for) {
        (RunState::Suspended, Some(wait))
            if wait.any_of.contains(thing) && (!wait.all || holds(commit, record, wait)?) =>
        {
            wake(commit, record)
        }
        _ => Ok(()),
    }
}
