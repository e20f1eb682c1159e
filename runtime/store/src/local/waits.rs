//! What a suspended run waits for, and whether it has come.

use tidemill_core::run::{RunState, Wait, WaitCondition};

use super::commit::Commit;
use super::kept::{self, Kept};
use super::reads::Reads;
use super::{inbox, places};
use crate::error::StoreError;

type Result<T> = std::result::Result<T, StoreError>;

/// Whether a wait holds now, its end apart: one of its things has come, or all have.
pub(super) fn holds(store: &impl Reads, kept: &Kept, wait: &Wait) -> Result<bool> {
    for thing in &wait.any_of {
        let came = match thing {
            WaitCondition::Signal(name) => kept.marks.signals > 0 && inbox::has(store, kept.run.id, name)?,
            // What is there no more has ended long ago.
            WaitCondition::Run(id) => kept::kept(store, *id)?.is_none_or(|other| other.run.state.has_ended()),
        };
        if came != wait.all {
            return Ok(came);
        }
    }
    Ok(wait.all && !wait.any_of.is_empty())
}

/// Wakes a run where it waits for what came just now, and its wait holds with it.
pub(super) fn came(commit: &mut Commit<'_, '_>, kept: &Kept, thing: &WaitCondition) -> Result<()> {
    match (&kept.run.state, &kept.run.waiting_for) {
        (RunState::Suspended, Some(wait))
            if wait.any_of.contains(thing) && (!wait.all || holds(commit, kept, wait)?) =>
        {
            places::wake(commit, kept)
        }
        _ => Ok(()),
    }
}
