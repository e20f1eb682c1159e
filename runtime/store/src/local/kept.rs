//! A run's record with what the store itself counts of it, so that a commit looks things up only where there are any.

use serde::{Deserialize, Serialize};
use tidemill_core::RunId;
use tidemill_core::ids::Owner;
use tidemill_core::run::{Run, RunEvent, RunState};

use super::lanes::Ticket;
use super::reads::Reads;
use super::tables::RUNS;
use crate::error::StoreError;

type Result<T> = std::result::Result<T, StoreError>;

/// What lies under a run's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The run, as callers know it.
    pub(super) run: Run,
    /// What lies beside it.
    pub(super) marks: Marks,
}

/// What lies beside a run's record, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marks {
    /// Chunks of its journal.
    pub(super) chunks: u32,
    /// Whether it has a head.
    pub(super) head: bool,
    /// Runs that it started.
    pub(super) children: u32,
    /// Those of them that are not detached and have not ended.
    pub(super) open_children: u32,
    /// Signals in its inbox,
    pub(super) signals: u32,
    /// the bytes of their names and payloads,
    pub(super) signal_bytes: u64,
    /// and the place of the next one.
    pub(super) next_place: u64,
    /// The lanes that it is in: a bit for each of [`Run::lanes`].
    pub(super) lanes: u8,
    /// Its place in the order of the lane that it waits for.
    pub(super) ticket: Option<Ticket>,
    /// Under which hash requests with the same debounce key find it, while it is queued.
    pub(super) gathers: Option<u128>,
    /// Its place in the order of the runs of its schedule that wait their turn.
    pub(super) turn: Option<Ticket>,
}

impl Kept {
    /// A run beside which there is nothing.
    pub(super) fn new(run: Run) -> Self {
        Self { run, marks: Marks::default() }
    }

    /// The same after an event.
    pub(super) fn after(&self, event: RunEvent) -> Result<Self> {
        let state = self.run.state.next(event).map_err(|e| StoreError::IllegalTransition(e.to_string()))?;
        Ok(Self { run: Run { state, ..self.run.clone() }, marks: self.marks })
    }

    /// Whether it is to be told of its cancellation now: asked for, not told, and nothing below it goes on.
    pub(super) fn to_be_told(&self) -> bool {
        self.marks.open_children == 0 && self.run.cancel.as_ref().is_some_and(|asked| !asked.told)
    }

    /// Whether it has done nothing that it could want to undo.
    pub(super) const fn is_untouched(&self) -> bool {
        self.marks.chunks == 0 && !self.marks.head && self.marks.open_children == 0
    }
}

pub(super) fn kept(store: &impl Reads, id: RunId) -> Result<Option<Kept>> {
    store.record(RUNS, &id.to_bytes())
}

pub(super) fn existing(store: &impl Reads, id: RunId) -> Result<Kept> {
    kept(store, id)?.ok_or_else(|| StoreError::NotFound { kind: "run", name: id.to_string() })
}

/// The run as it stands, if `owner` has it in hands.
pub(super) fn owned(store: &impl Reads, owner: &Owner, id: RunId) -> Result<Kept> {
    let kept = existing(store, id)?;
    match &kept.run.state {
        RunState::Running { node, epoch } if *node == owner.node && *epoch == owner.epoch => Ok(kept),
        _ => Err(StoreError::StaleEpoch { run: id }),
    }
}
