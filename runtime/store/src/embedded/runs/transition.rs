//! Writes a run's record together with all index entries of the run, and applies the consequences
//! of its end to other runs.

use tidemill_core::Timestamp;
use tidemill_core::run::Run;

use crate::embedded::budgets::fuel;
use crate::embedded::deliveries::progress;
use crate::embedded::runs::admission::{debounce, lanes};
use crate::embedded::runs::record::RunRecord;
use crate::embedded::runs::{children, index, keys, parked};
use crate::embedded::schedules::queue;
use crate::embedded::tables::{OPEN, RUNS, run_of};
use crate::embedded::tx::WriteTx;
use crate::error::Result;
use crate::records::FeedEvent;

/// Writes a run's record and updates every index entry to its state. Also applies the consequences
/// of its end, which can change the run's own record: read it again before you use it further.
pub(crate) fn write(
    commit: &mut WriteTx<'_, '_>,
    before: Option<&Run>,
    record: &RunRecord,
    now: Timestamp,
) -> Result<()> {
    let same = before.is_some_and(|before| before.state == record.run.state);
    let mut left = None;
    if !same && record.run.state.has_ended() && !record.run.lanes.is_empty() {
        let mut record = record.clone();
        lanes::leave(commit, &mut record)?;
        left = Some(record);
    }
    let record = left.as_ref().unwrap_or(record);
    let run = &record.run;
    let id = run.id.to_bytes();
    commit.put_record(RUNS, &id, record)?;
    if same {
        return Ok(());
    }
    index::count_queued(commit, before, run)?;
    let code = parked::failure(commit, run)?.map(|failure| failure.code);
    parked::keep(commit, before, run, code.as_ref(), now)?;
    if let Some(before) = before {
        index::unindex(commit, before)?;
        if index::is_queued(before) && !index::is_queued(run) {
            debounce::closed(commit, record)?;
        }
        if run.state.has_ended() {
            commit.delete(OPEN, &run_of(&run.deployment, run.id));
        }
    }
    index::list(commit, record, now)?;
    if record.counters.fuel
        && (run.state.is_settled() || before.is_some_and(|before| before.generation != run.generation))
    {
        fuel::end(commit, run)?;
    }
    let had_ended = before.is_some_and(|before| before.state.has_ended());
    if !run.state.has_ended() && (before.is_none() || had_ended) {
        commit.put(OPEN, &run_of(&run.deployment, run.id), &[]);
    }
    let had_settled = before.is_none_or(|before| before.state.is_settled());
    if had_settled && !run.state.is_settled() {
        queue::add(commit, record)?;
    }
    if run.state.has_ended() {
        keys::keep_key(commit, run, Some(now.plus_millis(run.key_millis)))?;
    } else if had_ended {
        keys::keep_key(commit, run, None)?;
    }
    commit.announce(now, &announcement(run, code, now))?;
    progress::follow(commit, before, run, now)?;
    if run.state.is_settled() {
        commit.settled(run);
        if before.is_none_or(|before| !before.state.is_settled()) {
            queue::settled(commit, record, now)?;
        }
    }
    if run.state.has_ended() && !had_ended { children::ended(commit, record) } else { Ok(()) }
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
