//! Counts consecutive failures of a schedule's runs, and pauses the schedule in the commit of the
//! last failure that its manifest allows.

use tidemill_core::Timestamp;
use tidemill_core::run::{Run, RunState};

use crate::embedded::schedules::{self, firing_log};
use crate::embedded::tx::WriteTx;
use crate::error::Result;
use crate::records::{Pause, Schedule};

/// Counts how a run of the schedule ended or that it was parked. The caller writes the schedule's
/// record.
pub(crate) fn count(commit: &mut WriteTx<'_, '_>, schedule: &mut Schedule, run: &Run, now: Timestamp) -> Result<()> {
    match run.state {
        RunState::Succeeded => {
            (schedule.failures, schedule.last_failed) = (0, None);
            return Ok(());
        }
        // A manual retry of the same run that fails again is not a further failure.
        RunState::Failed(_) | RunState::Parked(_) if schedule.last_failed != Some(run.id) => {}
        _ => return Ok(()),
    }
    schedule.failures = schedule.failures.saturating_add(1);
    schedule.last_failed = Some(run.id);
    if schedule.paused.is_none() && schedule.pause_after_failures.is_some_and(|max| schedule.failures >= max) {
        let note = format!("{} runs in a row failed, the last of them {}", schedule.failures, run.id);
        schedules::unplace(commit, schedule);
        schedule.paused = Some(Pause { since: now, note: note.clone() });
        commit.effects.paused.push((schedule.deployment.clone(), schedule.name.clone(), note.clone()));
        firing_log::announce(commit, schedule, "paused", 0, Some(note), now)?;
    }
    Ok(())
}
