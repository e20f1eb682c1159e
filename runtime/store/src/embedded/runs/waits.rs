//! The wait conditions of suspended runs. Deadlines of waits are in `index`.

use tidemill_core::run::{RunState, Wait, WaitCondition};

use crate::embedded::read_tx::ReadTx;
use crate::embedded::runs::record;
use crate::embedded::runs::record::RunRecord;
use crate::embedded::runs::{inbox, index};
use crate::embedded::write_tx::WriteTx;
use crate::error::StoreError;

type Result<T> = std::result::Result<T, StoreError>;

/// Returns whether a wait holds now, apart from its deadline: any of its conditions is fulfilled,
/// or all of them if `wait.all`.
pub(crate) fn holds(store: &impl ReadTx, kept: &RunRecord, wait: &Wait) -> Result<bool> {
    for thing in &wait.any_of {
        let came = match thing {
            WaitCondition::Signal(name) => kept.marks.signals > 0 && inbox::has(store, kept.run.id, name)?,
            // A run without a record was removed by retention, so it has ended.
            WaitCondition::Run(id) => record::kept(store, *id)?.is_none_or(|other| other.run.state.has_ended()),
        };
        if came != wait.all {
            return Ok(came);
        }
    }
    Ok(wait.all && !wait.any_of.is_empty())
}

/// Wakes a run if it waits for a condition that was just fulfilled, and its wait holds now.
pub(crate) fn fulfil(commit: &mut WriteTx<'_, '_>, kept: &RunRecord, thing: &WaitCondition) -> Result<()> {
    match (&kept.run.state, &kept.run.waiting_for) {
        (RunState::Suspended, Some(wait))
            if wait.any_of.contains(thing) && (!wait.all || holds(commit, kept, wait)?) =>
        {
            index::wake(commit, kept)
        }
        _ => Ok(()),
    }
}
