//! What a suspended run waits for, and whether it has come.

use tidemill_core::run::{RunState, Wait, WaitCondition};

use crate::embedded::read_tx::ReadTx;
use crate::embedded::runs::record;
use crate::embedded::runs::record::RunRecord;
use crate::embedded::runs::{inbox, index};
use crate::embedded::write_tx::WriteTx;
use crate::error::StoreError;

type Result<T> = std::result::Result<T, StoreError>;

/// Whether a wait holds now, its end apart: one of its things has come, or all have.
pub(crate) fn holds(store: &impl ReadTx, kept: &RunRecord, wait: &Wait) -> Result<bool> {
    for thing in &wait.any_of {
        let came = match thing {
            WaitCondition::Signal(name) => kept.marks.signals > 0 && inbox::has(store, kept.run.id, name)?,
            // What is there no more has ended long ago.
            WaitCondition::Run(id) => record::kept(store, *id)?.is_none_or(|other| other.run.state.has_ended()),
        };
        if came != wait.all {
            return Ok(came);
        }
    }
    Ok(wait.all && !wait.any_of.is_empty())
}

/// Wakes a run where it waits for what came just now, and its wait holds with it.
pub(crate) fn came(commit: &mut WriteTx<'_, '_>, kept: &RunRecord, thing: &WaitCondition) -> Result<()> {
    match (&kept.run.state, &kept.run.waiting_for) {
        (RunState::Suspended, Some(wait))
            if wait.any_of.contains(thing) && (!wait.all || holds(commit, kept, wait)?) =>
        {
            index::wake(commit, kept)
        }
        _ => Ok(()),
    }
}
