//! A run's record and the counters of the store, so that a commit reads related rows only if there
//! are any.

use serde::{Deserialize, Serialize};
use tidemill_core::RunId;
use tidemill_core::ids::Owner;
use tidemill_core::run::{Run, RunEvent, RunState};

use crate::embedded::tables::{self, INPUTS, OUTPUTS, RUNS};
use crate::embedded::tx::ReadTx;
use crate::embedded::value::{self, ValueRef};
use crate::error::{Result, StoreError};

/// The record of a run, stored under its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunRecord {
    /// The run as callers see it.
    pub(crate) run: Run,
    /// The counters of related rows.
    pub(crate) counters: RunCounters,
}

/// A position in the order of requests: the number of the commit, and a counter within it.
pub(crate) type Ticket = (u64, u32);

/// Counters and positions of the rows that belong to a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunCounters {
    /// The number of chunks of its journal.
    pub(crate) chunks: u32,
    /// Whether it has a stored replay snapshot.
    pub(crate) snapshot: bool,
    /// The number of runs that it started.
    pub(crate) children: u32,
    /// The number of its attached children that have not ended.
    pub(crate) open_children: u32,
    /// The number of signals in its inbox.
    pub(crate) signals: u32,
    /// The size of their names and payloads, in bytes.
    pub(crate) signal_bytes: u64,
    /// The position of the next signal.
    pub(crate) next_place: u64,
    /// The lanes that it is in: bit `n` for element `n` of [`Run::lanes`].
    pub(crate) lanes: u8,
    /// Its ticket in the lane that it waits for.
    pub(crate) ticket: Option<Ticket>,
    /// The hash of its debounce key, under which newer requests find it while it is queued.
    pub(crate) debounce_hash: Option<u128>,
    /// Its ticket among the runs of its schedule that wait for their turn.
    pub(crate) turn: Option<Ticket>,
    /// Whether it has a row about budgets of fuel.
    #[serde(default, deserialize_with = "crate::records::added")]
    pub(crate) fuel: bool,
}

impl RunRecord {
    /// Creates the record of a run without related rows.
    pub(crate) fn new(run: Run) -> Self {
        Self { run, counters: RunCounters::default() }
    }

    /// Returns the record after an event.
    pub(crate) fn after(&self, event: RunEvent) -> Result<Self> {
        let state = self.run.state.next(event).map_err(|e| StoreError::IllegalTransition(e.to_string()))?;
        Ok(Self { run: Run { state, ..self.run.clone() }, counters: self.counters })
    }

    /// Returns whether its guest must be notified of a cancellation now: it was requested, the
    /// guest is not notified, and no attached child is left unended.
    pub(crate) fn must_be_notified(&self) -> bool {
        self.counters.open_children == 0 && self.run.cancel.as_ref().is_some_and(|cancel| !cancel.notified)
    }

    /// Returns whether the run has done nothing that its guest could want to undo.
    pub(crate) const fn is_untouched(&self) -> bool {
        self.counters.chunks == 0 && !self.counters.snapshot && self.counters.open_children == 0
    }
}

/// The progress of the cancellation of a run's children.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingCancellation {
    pub(crate) terminate: bool,
    /// The last cancelled child.
    pub(crate) after: Option<RunId>,
}

pub(crate) fn find(store: &impl ReadTx, id: RunId) -> Result<Option<RunRecord>> {
    store.record(RUNS, &id.to_bytes())
}

pub(crate) fn get(store: &impl ReadTx, id: RunId) -> Result<RunRecord> {
    find(store, id)?.ok_or_else(|| StoreError::NotFound { kind: "run", name: id.to_string() })
}

/// Returns the run's record if `owner` is executing the run.
pub(crate) fn get_owned(store: &impl ReadTx, owner: &Owner, id: RunId) -> Result<RunRecord> {
    let record = get(store, id)?;
    match &record.run.state {
        RunState::Running { node, epoch } if *node == owner.node && *epoch == owner.epoch => Ok(record),
        _ => Err(StoreError::StaleEpoch { run: id }),
    }
}

pub(crate) fn run(store: &impl ReadTx, id: RunId) -> Result<Option<Run>> {
    Ok(find(store, id)?.map(|record| record.run))
}

pub(crate) fn run_in_key(table: crate::embedded::tx::Table, key: &[u8]) -> Result<RunId> {
    tables::run_at_end(key)
        .ok_or_else(|| StoreError::Damaged { what: format!("a key of table {} is too short", table.name) })
}

pub(crate) fn input(store: &impl ReadTx, id: RunId) -> Result<Option<ValueRef>> {
    value::alone(store, INPUTS, &id.to_bytes())
}

pub(crate) fn output(store: &impl ReadTx, id: RunId) -> Result<Option<ValueRef>> {
    value::alone(store, OUTPUTS, &id.to_bytes())
}
