//! The firings of a schedule: when the next ones are due, and the run that one requests.

use bytes::Bytes;
use tidemill_core::run::{Export, Trigger};
use tidemill_core::schedule::Schedule;
use tidemill_core::{Code, DeploymentName, RunId, Timestamp};
use tidemill_store::records::{FiringTimes, NewRun, NextFiring, NominalRange};

use crate::deployment::active::ActiveDeployment;
use crate::deployment::exports;
use crate::error::ControlError;
use crate::run::collection::period;

/// Maximum number of counted nominal times that passed during a pause.
pub const PASSED_MAX: u64 = 100_000;

/// Returns the run that a firing of `schedule` requests. A collection starts at `start`, or where
/// the last one ended.
pub(crate) fn request(
    live: &ActiveDeployment,
    schedule: &Schedule,
    id: RunId,
    trigger: Trigger,
    start: Option<Timestamp>,
    now: Timestamp,
) -> Result<NewRun, ControlError> {
    let export = exports::of_schedule(&live.plan.exports, schedule.spec().export)?;
    let nominal = trigger.at.unwrap_or(now);
    let input = match export {
        Export::RevenueStream => period(start, nominal),
        _ => Bytes::copy_from_slice(schedule.spec().input.as_bytes()),
    };
    Ok(live.new_run(id, export, trigger, input, now))
}

/// Returns the first firing strictly after `after`: its nominal time, and when it is due.
pub(crate) fn upcoming(schedule: &Schedule, deployment: &DeploymentName, after: Timestamp) -> Option<NextFiring> {
    schedule.next_after(after).map(|at| NextFiring { at, due: schedule.due_at(deployment, at) })
}

/// Returns the future firings of a schedule, from which a commit selects; empty while its
/// deployment is disabled.
pub(crate) fn times(schedule: Schedule, deployment: DeploymentName, enabled: bool) -> FiringTimes {
    FiringTimes::new(move |after| if enabled { upcoming(&schedule, &deployment, after) } else { None })
}

/// Returns the last instant before `due`.
pub(crate) const fn before(due: Timestamp) -> Timestamp {
    Timestamp::from_millis(due.as_millis().saturating_sub(1))
}

/// Returns the nominal times from `start` up to but excluding `end`, counted up to `most`; `None`
/// if there are none. `last` is the last one of the range, counted or not.
///
/// # Errors
/// If the host cannot start a thread for it.
pub(crate) async fn times_between(
    schedule: Schedule,
    start: Timestamp,
    end: Timestamp,
    most: u64,
) -> Result<Option<NominalRange>, ControlError> {
    // Each time of a cron expression takes some microseconds.
    let counted = tokio::task::spawn_blocking(move || {
        let mut span: Option<NominalRange> = None;
        let mut from = before(start);
        while let Some(time) = schedule.next_after(from).filter(|time| *time < end) {
            let (first, count) = span.map_or((time, 0), |span| (span.first, span.count));
            if count == most {
                let last = schedule.last_up_to(from, before(end)).unwrap_or(time);
                return span.map(|span| NominalRange { last, more: true, ..span });
            }
            (span, from) = (Some(NominalRange { first, last: time, count: count + 1, more: false }), time);
        }
        span
    });
    counted.await.map_err(|error| ControlError::refused(Code::Internal, format!("the count was interrupted: {error}")))
}
