//! A run's record with what the store itself counts of it, so that a commit looks things up only where there are any.

use serde::{Deserialize, Serialize};
use tidemill_core::RunId;
use tidemill_core::ids::Owner;
use tidemill_core::run::{Run, RunEvent, RunState};

use crate::embedded::read_tx::ReadTx;
use crate::embedded::runs::lanes::Ticket;
use crate::embedded::tables::RUNS;
use crate::error::StoreError;

type Result<T> = std::result::Result<T, StoreError>;

/// What lies under a run's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunRecord {
    /// The run, as callers know it.
    pub(crate) run: Run,
    /// What lies beside it.
    pub(crate) marks: RunCounters,
}

/// What lies beside a run's record, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunCounters {
    /// Chunks of its journal.
    pub(crate) chunks: u32,
    /// Whether it has a head.
    pub(crate) head: bool,
    /// Runs that it started.
    pub(crate) children: u32,
    /// Those of them that are not detached and have not ended.
    pub(crate) open_children: u32,
    /// Signals in its inbox,
    pub(crate) signals: u32,
    /// the bytes of their names and payloads,
    pub(crate) signal_bytes: u64,
    /// and the place of the next one.
    pub(crate) next_place: u64,
    /// The lanes that it is in: a bit for each of [`Run::lanes`].
    pub(crate) lanes: u8,
    /// Its place in the order of the lane that it waits for.
    pub(crate) ticket: Option<Ticket>,
    /// Under which hash requests with the same debounce key find it, while it is queued.
    pub(crate) gathers: Option<u128>,
    /// Its place in the order of the runs of its schedule that wait their turn.
    pub(crate) turn: Option<Ticket>,
}

impl RunRecord {
    /// A run beside which there is nothing.
    pub(crate) fn new(run: Run) -> Self {
        Self { run, marks: RunCounters::default() }
    }

    /// The same after an event.
    pub(crate) fn after(&self, event: RunEvent) -> Result<Self> {
        let state = self.run.state.next(event).map_err(|e| StoreError::IllegalTransition(e.to_string()))?;
        Ok(Self { run: Run { state, ..self.run.clone() }, marks: self.marks })
    }

    /// Whether it is to be told of its cancellation now: asked for, not told, and nothing below it goes on.
    pub(crate) fn to_be_told(&self) -> bool {
        self.marks.open_children == 0 && self.run.cancel.as_ref().is_some_and(|asked| !asked.told)
    }

    /// Whether it has done nothing that it could want to undo.
    pub(crate) const fn is_untouched(&self) -> bool {
        self.marks.chunks == 0 && !self.marks.head && self.marks.open_children == 0
    }
}

pub(crate) fn kept(store: &impl ReadTx, id: RunId) -> Result<Option<RunRecord>> {
    store.record(RUNS, &id.to_bytes())
}

pub(crate) fn existing(store: &impl ReadTx, id: RunId) -> Result<RunRecord> {
    kept(store, id)?.ok_or_else(|| StoreError::NotFound { kind: "run", name: id.to_string() })
}

/// The run as it stands, if `owner` has it in hands.
pub(crate) fn owned(store: &impl ReadTx, owner: &Owner, id: RunId) -> Result<RunRecord> {
    let kept = existing(store, id)?;
    match &kept.run.state {
        RunState::Running { node, epoch } if *node == owner.node && *epoch == owner.epoch => Ok(kept),
        _ => Err(StoreError::StaleEpoch { run: id }),
    }
}
