//! Lanes: how runs enter, wait for and leave them.
//!
//! Invariants between two commits: `held` and `waiting` of a lane equal the number of its rows. A
//! lane with room has no waiting run, unless more than [`FILL`] could have entered at once. A run
//! that lacks a lane waits in exactly one, the first that it lacks, and is on no other list. Only
//! queued runs lack lanes.

use serde::{Deserialize, Serialize};
use tidemill_core::lane::{LANES_OF_RUN, Lane};
use tidemill_core::run::Run;
use tidemill_core::{DeploymentName, RunId};

use crate::embedded::codec::decode;
use crate::embedded::runs::record::{self, RunRecord, Ticket};
use crate::embedded::tables::{LANE_RUNS, LANES, READY, RUNS, name_key, ready, run_at_end};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::{Result, StoreError};
use crate::records::LaneView;

/// Maximum number of waiting runs that enter after one run leaves or waits. The next such run
/// continues.
const FILL: usize = 256;
/// Maximum number of ancestors that are searched for a holder of a lane.
const ANCESTORS: usize = 1_000;
/// First byte of the row of a run that is in a lane.
const IN: u8 = 0;
/// First byte of the row of a waiting run; its ticket follows.
const WAITS: u8 = 1;

/// The record of a used lane. A lane without runs has no record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct LaneRecord {
    /// Maximum number of runs at a time, as the latest request declared it.
    capacity: u32,
    held: u32,
    waiting: u32,
}

/// Checks that the lanes of a new run are valid, sorted and not too many.
pub(crate) fn check(run: &Run) -> Result<()> {
    let named = run.lanes.iter().all(|lane| lane.is_named() && lane.capacity > 0);
    let ordered = run.lanes.windows(2).all(|pair| pair[0].name < pair[1].name);
    if named && ordered && run.lanes.len() <= LANES_OF_RUN {
        return Ok(());
    }
    Err(StoreError::IllegalTransition(format!("run {} has lanes that are invalid, unsorted or too many", run.id)))
}

/// Returns whether a run must enter a lane before it can be claimed.
pub(crate) fn lacks(record: &RunRecord) -> bool {
    first_lacked(record).is_some()
}

pub(crate) fn is_in(record: &RunRecord, at: usize) -> bool {
    record.counters.lanes & (1 << at) != 0
}

/// Removes an ended run from its lanes, and lets waiting runs enter. The caller writes the ended
/// run's record.
pub(crate) fn leave(commit: &mut WriteTx<'_, '_>, record: &mut RunRecord) -> Result<()> {
    let (deployment, id) = (record.run.deployment.clone(), record.run.id);
    let waits_in = record.counters.ticket.take().zip(first_lacked(record));
    let inside = std::mem::take(&mut record.counters.lanes);
    for (at, lane) in record.run.lanes.iter().enumerate() {
        let mut counts = counts(commit, &deployment, &lane.name)?;
        if inside & (1 << at) != 0 {
            commit.delete(LANE_RUNS, &row_in(&deployment, &lane.name, id));
            counts.held = counts.held.saturating_sub(1);
        } else if let Some((ticket, _)) = waits_in.filter(|(_, waits)| *waits == at) {
            commit.delete(LANE_RUNS, &row_waits(&deployment, &lane.name, ticket, id));
            counts.waiting = counts.waiting.saturating_sub(1);
        } else {
            continue;
        }
        keep(commit, &deployment, &lane.name, counts)?;
        fill(commit, &deployment, &lane.name)?;
    }
    Ok(())
}

/// Returns the index of the first lane that the run is not in. A waiting run waits for this lane.
fn first_lacked(record: &RunRecord) -> Option<usize> {
    (0..record.run.lanes.len()).find(|at| !is_in(record, *at))
}

/// Lets a due queued run enter its lanes as far as they have room; makes it ready if it is in all
/// of them. Writes its record.
pub(crate) fn try_enter(commit: &mut WriteTx<'_, '_>, mut record: RunRecord) -> Result<()> {
    if record.counters.ticket.is_some() {
        return Ok(());
    }
    let (deployment, id) = (record.run.deployment.clone(), record.run.id);
    while let Some(at) = first_lacked(&record) {
        let Lane { name, capacity, .. } = record.run.lanes[at].clone();
        let mut counts = counts(commit, &deployment, &name)?;
        counts.capacity = capacity;
        if counts.waiting == 0 && counts.held < capacity {
            enter(commit, &mut record, at, &mut counts);
            keep(commit, &deployment, &name, counts)?;
            continue;
        }
        let ticket = commit.ticket();
        record.counters.ticket = Some(ticket);
        counts.waiting = counts.waiting.saturating_add(1);
        commit.put(LANE_RUNS, &row_waits(&deployment, &name, ticket, id), &[]);
        keep(commit, &deployment, &name, counts)?;
        commit.put_record(RUNS, &id.to_bytes(), &record)?;
        // The request may have raised the capacity.
        return fill(commit, &deployment, &name);
    }
    commit.put_record(RUNS, &id.to_bytes(), &record)?;
    commit.put(READY, &ready(&record.run), &[]);
    commit.ready(&deployment);
    Ok(())
}

fn enter(commit: &mut WriteTx<'_, '_>, record: &mut RunRecord, at: usize, counts: &mut LaneRecord) {
    record.counters.lanes |= 1 << at;
    record.counters.ticket = None;
    counts.held = counts.held.saturating_add(1);
    commit.put(LANE_RUNS, &row_in(&record.run.deployment, &record.run.lanes[at].name, record.run.id), &[]);
}

/// Lets waiting runs enter in the order of their tickets, as far as there is room.
fn fill(commit: &mut WriteTx<'_, '_>, deployment: &DeploymentName, name: &str) -> Result<()> {
    for _ in 0..FILL {
        let mut counts = counts(commit, deployment, name)?;
        if counts.waiting == 0 || counts.held >= counts.capacity {
            break;
        }
        let waits = name_key(deployment.as_str(), &name_key(name, &[WAITS]));
        let next = commit.scan_prefix(LANE_RUNS, &waits, 1)?;
        let Some((id, row)) = next.first().and_then(|(row, _)| Some((run_at_end(row)?, row))) else {
            return Err(StoreError::Damaged {
                what: format!("lane {name} of {deployment} counts a waiting run that is missing"),
            });
        };
        commit.delete(LANE_RUNS, row);
        counts.waiting = counts.waiting.saturating_sub(1);
        let mut record = record::get(commit, id)?;
        if let Some(at) = first_lacked(&record) {
            enter(commit, &mut record, at, &mut counts);
        }
        keep(commit, deployment, name, counts)?;
        try_enter(commit, record)?;
    }
    Ok(())
}

fn counts(store: &impl ReadTx, deployment: &DeploymentName, name: &str) -> Result<LaneRecord> {
    let bytes = store.bytes(LANES, &key(deployment, name))?;
    bytes.map_or(Ok(LaneRecord::default()), |bytes| decode(LANES, &bytes))
}

fn keep(commit: &mut WriteTx<'_, '_>, deployment: &DeploymentName, name: &str, counts: LaneRecord) -> Result<()> {
    let key = key(deployment, name);
    if counts.held == 0 && counts.waiting == 0 {
        commit.delete(LANES, &key);
        return Ok(());
    }
    commit.put_record(LANES, &key, &counts)
}

fn key(deployment: &DeploymentName, name: &str) -> Vec<u8> {
    name_key(deployment.as_str(), name.as_bytes())
}

fn row_in(deployment: &DeploymentName, name: &str, id: RunId) -> Vec<u8> {
    name_key(deployment.as_str(), &name_key(name, &[[IN].as_slice(), &id.to_bytes()].concat()))
}

fn row_waits(deployment: &DeploymentName, name: &str, (commit, within): Ticket, id: RunId) -> Vec<u8> {
    let rest = [[WAITS].as_slice(), &commit.to_be_bytes(), &within.to_be_bytes(), &id.to_bytes()].concat();
    name_key(deployment.as_str(), &name_key(name, &rest))
}

/// Returns a lane that a new run of `deployment` with these lanes would have to wait for while
/// `parent` or one of its ancestors is in it, and that ancestor.
pub(crate) fn lane_deadlock(
    store: &impl ReadTx,
    parent: RunId,
    deployment: &DeploymentName,
    lanes: &[Lane],
) -> Result<Option<(String, RunId)>> {
    for lane in lanes {
        let counts = counts(store, deployment, &lane.name)?;
        if counts.waiting == 0 && counts.held < lane.capacity {
            continue;
        }
        let mut above = Some(parent);
        for _ in 0..ANCESTORS {
            let Some(record) = above.map(|id| record::find(store, id)).transpose()?.flatten() else { break };
            let is_in_it = |(at, of): (usize, &Lane)| of.name == lane.name && is_in(&record, at);
            if record.run.deployment == *deployment && record.run.lanes.iter().enumerate().any(is_in_it) {
                return Ok(Some((lane.name.clone(), record.run.id)));
            }
            above = record.run.trigger.parent;
        }
    }
    Ok(None)
}

/// Returns the index of the lane that a run waits for, and how many runs enter before it, counted
/// up to `max`.
pub(crate) fn waits(store: &impl ReadTx, record: &RunRecord, max: usize) -> Result<Option<(usize, usize)>> {
    let (Some(ticket), Some(at)) = (record.counters.ticket, first_lacked(record)) else { return Ok(None) };
    let (deployment, name) = (&record.run.deployment, &record.run.lanes[at].name);
    let first = name_key(deployment.as_str(), &name_key(name, &[WAITS]));
    let before = store.range(LANE_RUNS, first..row_waits(deployment, name, ticket, record.run.id), false, max)?;
    Ok(Some((at, before.len())))
}

/// Returns the current view of a lane, with at most `max` of the runs in it and at most `max` of
/// the waiting runs.
pub(crate) fn view(store: &impl ReadTx, deployment: &DeploymentName, name: &str, max: usize) -> Result<LaneView> {
    let LaneRecord { capacity, held, waiting } = counts(store, deployment, name)?;
    let rows = |kind: u8| -> Result<Vec<RunId>> {
        let rows = store.scan_prefix(LANE_RUNS, &name_key(deployment.as_str(), &name_key(name, &[kind])), max)?;
        Ok(rows.iter().filter_map(|(row, _)| run_at_end(row)).collect())
    };
    Ok(LaneView { capacity, held, waiting, in_it: rows(IN)?, next: rows(WAITS)? })
}
