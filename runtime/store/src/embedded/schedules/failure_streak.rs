//! Failures in a row: so many of a schedule's runs as its manifest says pause it, in the commit of the last.

use tidemill_core::Timestamp;
use tidemill_core::run::{Run, RunState};

use crate::embedded::schedules;
use crate::embedded::schedules::firing_log;
use crate::embedded::write_tx::WriteTx;
use crate::error::StoreError;
use crate::records::{Pause, Schedule};

/// A run of the schedule has ended or is parked. The schedule's record is the caller's to write.
pub(crate) fn count(
    commit: &mut WriteTx<'_, '_>,
    schedule: &mut Schedule,
    run: &Run,
    now: Timestamp,
) -> Result<(), StoreError> {
    match run.state {
        RunState::Succeeded => {
            (schedule.failures, schedule.last_failed) = (0, None);
            return Ok(());
        }
        // The same run, tried again by hand, is no further failure.
        RunState::Failed(_) | RunState::Parked(_) if schedule.last_failed != Some(run.id) => {}
        _ => return Ok(()),
    }
    schedule.failures = schedule.failures.saturating_add(1);
    schedule.last_failed = Some(run.id);
    if schedule.paused.is_none() && schedule.pause_after_failures.is_some_and(|most| schedule.failures >= most) {
        let note = format!("{} runs in a row failed, the last of them {}", schedule.failures, run.id);
        schedules::unplace(commit, schedule);
        schedule.paused = Some(Pause { since: now, note: note.clone() });
        commit.caused.paused.push((schedule.deployment.clone(), schedule.name.clone(), note.clone()));
        firing_log::announce(commit, schedule, "paused", 0, Some(note), now)?;
    }
    Ok(())
}
