//! Schedules: their next time, what they counted, and what firing one writes.

use serde::{Deserialize, Serialize};
use tidemill_core::{DeploymentName, Revision, RunId, ScheduleName, Timestamp};

use super::{NewRun, Pause};

/// Where a schedule stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The deployment it belongs to.
    pub deployment: DeploymentName,
    /// Its name there.
    pub name: ScheduleName,
    /// The revision whose manifest it follows.
    pub revision: Revision,
    /// A fingerprint of its spec: where it stays the same over a revision, `next` stays too.
    pub spec: u64,
    /// The next nominal time; none when it will not fire again.
    pub next: Option<Timestamp>,
    /// Set while it does not fire.
    pub paused: Option<Pause>,
    /// The nominal time of the last firing.
    pub last: Option<Timestamp>,
    /// The run that it started last.
    pub last_run: Option<RunId>,
    /// Firings that started a run.
    pub fired: u64,
    /// Firings that the overlap policy skipped.
    pub skipped: u64,
    /// Firings that were missed while the host was down, and not caught up.
    pub missed: u64,
}

/// A schedule as a new revision has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleChange {
    /// Its name.
    pub name: ScheduleName,
    /// A fingerprint of its spec.
    pub spec: u64,
    /// When it is due first, where the spec is new or has changed.
    pub next: Option<Timestamp>,
}

/// A schedule whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueSchedule {
    /// The deployment.
    pub deployment: DeploymentName,
    /// The schedule.
    pub name: ScheduleName,
    /// Its nominal time.
    pub due: Timestamp,
}

/// What one due time of a schedule leads to; all of it takes hold, or nothing.
#[derive(Debug, Clone)]
pub struct Firing {
    /// The schedule,
    pub deployment: DeploymentName,
    /// by name.
    pub name: ScheduleName,
    /// The nominal time that the caller saw; where it has moved on, nothing happens and the answer is false.
    pub due: Timestamp,
    /// The next nominal time.
    pub next: Option<Timestamp>,
    /// The runs to start: none where the overlap policy skips, several where missed ones are caught up.
    pub runs: Vec<NewRun>,
    /// How many firings are counted as skipped,
    pub skipped: u64,
    /// and how many as missed.
    pub missed: u64,
}
