//! Writes a run's record together with all index entries of the run, and applies the consequences
//! of its end to other runs.

use tidemill_core::run::{Run, RunState};
use tidemill_core::{DeploymentName, RunId, Timestamp};

use crate::embedded::read_tx::ReadTx;
use crate::embedded::runs::RunKeyRecord;
use crate::embedded::runs::record::RunRecord;
use crate::embedded::runs::{debounce, lanes, parked, tree, waits};
use crate::embedded::schedules::queue;
use crate::embedded::tables::{
    DELAYED, KEY_ENDS, KEYS, OPEN, PARKED, QUEUED, READY, RUNNING, RUNS, asks, at, ready, run_of, under,
};
use crate::embedded::write_tx::WriteTx;
use crate::error::StoreError;
use crate::kv::Kv;
use crate::records::{FeedEvent, RunCounts};

type Result<T> = std::result::Result<T, StoreError>;

/// Writes a run's record and updates every index entry to its state. Also applies the consequences
/// of its end, which can change the run's own record: read it again before you use it further.
pub(crate) fn write(
    commit: &mut WriteTx<'_, '_>,
    before: Option<&Run>,
    kept: &RunRecord,
    now: Timestamp,
) -> Result<()> {
    let same = before.is_some_and(|before| before.state == kept.run.state);
    let mut left = None;
    if !same && kept.run.state.has_ended() && !kept.run.lanes.is_empty() {
        let mut kept = kept.clone();
        lanes::leave(commit, &mut kept)?;
        left = Some(kept);
    }
    let kept = left.as_ref().unwrap_or(kept);
    let run = &kept.run;
    let id = run.id.to_bytes();
    commit.put_record(RUNS, &id, kept)?;
    if same {
        return Ok(());
    }
    count(commit, before, run)?;
    let code = parked::failure(commit, run)?.map(|failure| failure.code);
    parked::keep(commit, before, run, code.as_ref(), now)?;
    if let Some(before) = before {
        unindex(commit, before)?;
        if is_queued(before) && !is_queued(run) {
            debounce::closed(commit, kept)?;
        }
        if run.state.has_ended() {
            commit.delete(OPEN, &run_of(&run.deployment, run.id));
        }
    }
    list(commit, kept, now)?;
    let had_ended = before.is_some_and(|before| before.state.has_ended());
    if !run.state.has_ended() && (before.is_none() || had_ended) {
        commit.put(OPEN, &run_of(&run.deployment, run.id), &[]);
    }
    let had_settled = before.is_none_or(|before| before.state.is_settled());
    if had_settled && !run.state.is_settled() {
        queue::add(commit, kept)?;
    }
    if run.state.has_ended() {
        keep_key(commit, run, Some(now.plus_millis(run.key_millis)))?;
    } else if had_ended {
        keep_key(commit, run, None)?;
    }
    commit.announce(now, &announcement(run, code, now))?;
    if run.state.is_settled() {
        commit.settled(run);
        if before.is_none_or(|before| !before.state.is_settled()) {
            queue::settled(commit, kept, now)?;
        }
    }
    if run.state.has_ended() && !had_ended { tree::ended(commit, kept) } else { Ok(()) }
}

const fn is_queued(run: &Run) -> bool {
    matches!(run.state, RunState::Queued { .. })
}

/// Updates the number of the deployment's queued runs.
fn count(commit: &mut WriteTx<'_, '_>, before: Option<&Run>, run: &Run) -> Result<()> {
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
pub(crate) fn reindex(commit: &mut WriteTx<'_, '_>, before: &Run, kept: &RunRecord, now: Timestamp) -> Result<()> {
    commit.put_record(RUNS, &kept.run.id.to_bytes(), kept)?;
    unindex(commit, before)?;
    list(commit, kept, now)
}

/// Removes a run from the list of its state.
fn unindex(commit: &mut WriteTx<'_, '_>, run: &Run) -> Result<()> {
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
    let Some(delayed) = due.map(|due| at(due, &id.to_bytes())) else { return Ok(false) };
    let was = commit.bytes(DELAYED, &delayed)?.is_some();
    if was {
        commit.delete(DELAYED, &delayed);
    }
    Ok(was)
}

/// Adds a run to the list of its state. A run that waits for its turn is on no list.
pub(crate) fn list(commit: &mut WriteTx<'_, '_>, kept: &RunRecord, now: Timestamp) -> Result<()> {
    let run = &kept.run;
    if kept.marks.turn.is_some() {
        return Ok(());
    }
    let due = match &run.state {
        RunState::Running { epoch, .. } => {
            commit.put(RUNNING, &run.id.to_bytes(), &epoch.get().to_be_bytes());
            return Ok(());
        }
        // A back-off does not delay the notification of a cancellation.
        RunState::Queued { not_before } => Some(*not_before).filter(|_| !kept.must_be_notified()).unwrap_or(now),
        RunState::Suspended if kept.must_be_notified() => now,
        RunState::Suspended => match &run.waiting_for {
            Some(wait) if !waits::holds(commit, kept, wait)? => match wait.until {
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
    let lacks = lanes::lacks(kept);
    if due > now {
        let when_due = if lacks { asks(run) } else { ready(run) };
        commit.put(DELAYED, &at(due, &run.id.to_bytes()), &when_due);
        commit.caused.delayed = Some(commit.caused.delayed.map_or(due, |earliest| earliest.min(due)));
    } else if lacks {
        return lanes::ask(commit, kept.clone());
    } else {
        commit.put(READY, &ready(run), &[]);
        commit.ready(&run.deployment);
    }
    Ok(())
}

/// Moves a queued or suspended run to the ready list, regardless of its wait, or into its lanes
/// first. Has no effect if the run is ready already.
pub(crate) fn wake(commit: &mut WriteTx<'_, '_>, kept: &RunRecord) -> Result<()> {
    let run = &kept.run;
    unindex(commit, run)?;
    if lanes::lacks(kept) {
        return lanes::ask(commit, kept.clone());
    }
    commit.put(READY, &ready(run), &[]);
    commit.ready(&run.deployment);
    Ok(())
}

/// Writes when the reservation of a run's idempotency key ends; `None` means that the run has not
/// ended.
fn keep_key(commit: &mut WriteTx<'_, '_>, run: &Run, until: Option<Timestamp>) -> Result<()> {
    let Some(key) = &run.key else { return Ok(()) };
    let name = under(run.deployment.as_str(), key.as_bytes());
    if let Some(mut reserved) = commit.record::<RunKeyRecord>(KEYS, &name)?.filter(|reserved| reserved.run == run.id) {
        reserved.until = until;
        commit.put_record(KEYS, &name, &reserved)?;
        if let Some(until) = until {
            commit.put(KEY_ENDS, &at(until, &name), &[]);
        }
    }
    Ok(())
}

fn announcement(run: &Run, code: Option<String>, now: Timestamp) -> FeedEvent {
    FeedEvent::Run {
        id: run.id,
        deployment: run.deployment.clone(),
        export: run.export,
        trigger: run.trigger.kind,
        state: run.state.name().to_owned(),
        code,
        attempt: run.attempt,
        fuel: run.fuel,
        peak_memory: run.peak_memory,
        took_millis: run.started_at.map_or(0, |started| run.ended_at.unwrap_or(now).millis_since(started)),
    }
}

/// Returns how many runs of each kind there are, without reading any.
pub(crate) fn counts(kv: &Kv) -> RunCounts {
    RunCounts { unended: kv.count(OPEN), running: kv.count(RUNNING), parked: kv.count(PARKED) }
}
