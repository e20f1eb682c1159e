//! A schedule as it is sent.

use serde::Serialize;
use tidemill_core::RunId;
use tidemill_store::records::Schedule;
use utoipa::ToSchema;

use crate::wire::{Paused, Time};

/// Where a schedule stands. What it says is in its deployment's manifest.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Schedule)]
pub struct ScheduleJson<'a> {
    /// The deployment that it belongs to.
    deployment: &'a str,
    /// Its name there.
    name: &'a str,
    /// The revision whose manifest it follows.
    revision: u64,
    /// The next nominal time; left out when it will not fire again.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Time>,
    /// There while it does not fire.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<Paused>,
    /// The nominal time of the last firing.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Time>,
    /// The run that it started last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    last_run: Option<RunId>,
    /// Firings that started a run.
    fired: u64,
    /// Firings that the overlap policy skipped.
    skipped: u64,
    /// Firings that were missed while the host was down, and not caught up.
    missed: u64,
}

impl<'a> ScheduleJson<'a> {
    /// The schedule as it is sent.
    #[must_use]
    pub fn of(schedule: &'a Schedule) -> Self {
        Self {
            deployment: schedule.deployment.as_str(),
            name: schedule.name.as_str(),
            revision: schedule.revision.get(),
            next: schedule.next.map(Time),
            paused: schedule.paused.as_ref().map(Paused::from),
            last: schedule.last.map(Time),
            last_run: schedule.last_run,
            fired: schedule.fired,
            skipped: schedule.skipped,
            missed: schedule.missed,
        }
    }
}
