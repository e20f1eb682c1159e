//! Schedules: their next time, their counters, and the commit of a firing. Irregular firings are in
//! `firing`.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidemill_core::schedule::Overlap;
use tidemill_core::{DeploymentName, Revision, RunId, ScheduleName, Timestamp};

use super::{CommitEffects, NewRun, Operation, Pause, added};

/// The current state of a schedule. Counters continue over revisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The deployment it belongs to.
    pub deployment: DeploymentName,
    /// Its name there.
    pub name: ScheduleName,
    /// The revision whose manifest it follows.
    pub revision: Revision,
    /// A fingerprint of its spec. If a revision does not change it, `next` does not change either.
    pub spec: u64,
    /// The next nominal time; `None` if the schedule will not fire again.
    pub next: Option<Timestamp>,
    /// The pause, while the schedule is paused.
    pub paused: Option<Pause>,
    /// The nominal time of the last firing.
    pub last: Option<Timestamp>,
    /// The run that its last firing created.
    pub last_run: Option<RunId>,
    /// The number of firings that created a run.
    pub fired: u64,
    /// The number of firings that created no run because earlier runs had not ended.
    pub skipped: u64,
    /// The number of firings that created no run because there was no room to wait.
    pub dropped: u64,
    /// The number of firings that created a run late; included in `fired`.
    pub late: u64,
    /// The number of firings that were due while the host was down, and were not caught up.
    pub missed: u64,
    /// The number of runs requested by hand; not included in `fired`.
    pub by_hand: u64,
    /// Maximum number of firings, from the manifest.
    pub limit: Option<u64>,
    /// The number of firings left.
    pub left: Option<u64>,
    /// The number of consecutive failures that pauses the schedule.
    pub pause_after_failures: Option<u32>,
    /// The current number of consecutive runs that failed or were parked.
    pub failures: u32,
    /// The last such run. If a manual retry of it fails, that is not counted again.
    pub last_failed: Option<RunId>,
    /// The number of runs that wait for other runs of the schedule to end.
    pub waiting: u64,
    /// The number of entries in its firing list.
    pub listed: u32,
    /// When the firing of `next` is executed, including its jitter; equal to `next` without jitter.
    #[serde(default, deserialize_with = "added")]
    pub due: Option<Timestamp>,
    /// Every nominal time up to and including this one was processed: it fired, was skipped,
    /// dropped or missed, or passed in a pause. Only [`ScheduleReplan::through`] can set `next` to
    /// one of them again.
    #[serde(default, deserialize_with = "added")]
    pub through: Option<Timestamp>,
    /// Where the search for `next` started when it was last set without a firing: by a revision, by
    /// resuming, or by a resync.
    #[serde(default, deserialize_with = "added")]
    pub since: Option<Timestamp>,
}

impl Schedule {
    /// Returns the last nominal time that was processed. A record of an older release contains
    /// only the last one that created a run.
    #[must_use]
    pub fn last_processed(&self) -> Option<Timestamp> {
        self.through.or(self.last)
    }

    /// Returns the next nominal time, and when its firing is executed.
    #[must_use]
    pub fn upcoming(&self) -> Option<NextFiring> {
        self.next.map(|at| NextFiring { at, due: self.due.unwrap_or(at) })
    }

    /// Returns the nominal time until which the schedule does not fire at `now`, because the clock
    /// was set back and all times up to it were already processed.
    #[must_use]
    pub fn silent_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.last_processed().filter(|through| *through > now && self.next.is_some())
    }
}

/// A future nominal time, and when its firing is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextFiring {
    /// The nominal time.
    pub at: Timestamp,
    /// When the firing is executed, at the earliest.
    pub due: Timestamp,
}

impl From<Timestamp> for NextFiring {
    /// Creates a firing without jitter.
    fn from(at: Timestamp) -> Self {
        Self { at, due: at }
    }
}

/// Computes the first firing strictly after a time. A commit calls it if the caller's result was
/// processed before the commit.
#[derive(Clone)]
pub struct FiringTimes(Arc<dyn Fn(Timestamp) -> Option<NextFiring> + Send + Sync>);

impl FiringTimes {
    /// Creates the times that `next_after` computes.
    pub fn new(next_after: impl Fn(Timestamp) -> Option<NextFiring> + Send + Sync + 'static) -> Self {
        Self(Arc::new(next_after))
    }

    /// Returns the first firing strictly after `after`.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<NextFiring> {
        (self.0)(after)
    }
}

impl fmt::Debug for FiringTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Times")
    }
}

/// The settings of a schedule in a new revision.
#[derive(Debug, Clone)]
pub struct ScheduleChange {
    /// Its name.
    pub name: ScheduleName,
    /// A fingerprint of its spec.
    pub spec: u64,
    /// Its first firing after the time of the change, if the spec is new or has changed.
    pub next: Option<NextFiring>,
    /// Computes a later firing if `next` was processed before the commit.
    pub times: FiringTimes,
    /// Maximum number of firings. If it changes, counting starts again.
    pub limit: Option<u64>,
    /// The number of consecutive failures that pauses the schedule. Each revision resets the count.
    pub pause_after_failures: Option<u32>,
    /// Nominal times of the old spec that have passed without being executed. They count as missed
    /// if the first of them is still the next time.
    pub missed: Option<NominalRange>,
}

/// A schedule that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueSchedule {
    /// The deployment.
    pub deployment: DeploymentName,
    /// The schedule.
    pub name: ScheduleName,
    /// The nominal time.
    pub at: Timestamp,
    /// When its firing is executed.
    pub due: Timestamp,
}

/// The result of one tick of a due schedule. All of it takes effect, or nothing.
#[derive(Debug, Clone)]
pub struct FiringCommit {
    /// The deployment.
    pub deployment: DeploymentName,
    /// The schedule.
    pub name: ScheduleName,
    /// The revision that the caller computed with. If the deployment has another one, the commit
    /// has no effect and returns `None`.
    pub revision: Revision,
    /// The nominal time that the caller read. If the schedule has another one, the commit has no
    /// effect and returns `None`.
    pub at: Timestamp,
    /// The last nominal time that this tick deals with; earlier than `at` if `at` is not due yet.
    pub through: Timestamp,
    /// The next nominal time.
    pub next: Option<NextFiring>,
    /// The firings to execute, by nominal time: one after the other, as if each were alone.
    pub firings: Vec<NewFiring>,
    /// What each firing does while runs of the schedule have not ended and are not parked.
    pub overlap: Overlap,
    /// Maximum number of queued runs of the deployment, under [`Overlap::QueueAll`].
    pub queue: u64,
    /// The missed nominal times, all of them before the firings.
    pub missed: Option<NominalRange>,
}

/// The input of resuming a schedule.
#[derive(Debug, Clone)]
pub struct ScheduleResume {
    /// Its first firing after the time of the change.
    pub next: Option<NextFiring>,
    /// Computes a later firing if `next` was processed before the commit.
    pub times: FiringTimes,
    /// The nominal times that passed during the pause.
    pub passed: Option<NominalRange>,
}

/// A new next time of a schedule, because zone data has changed or the operator wants it to follow
/// a clock that was set back.
#[derive(Debug, Clone)]
pub struct ScheduleReplan {
    /// The deployment.
    pub deployment: DeploymentName,
    /// The schedule.
    pub name: ScheduleName,
    /// The revision that the caller computed with.
    pub revision: Revision,
    /// The next nominal time that the caller read.
    pub seen: Option<Timestamp>,
    /// The new next firing.
    pub next: Option<NextFiring>,
    /// The new last nominal time that counts as processed; `None` keeps the old one.
    pub through: Option<Timestamp>,
    /// The name of the change on the feed.
    pub change: &'static str,
    /// The reason.
    pub note: String,
}

/// One firing to execute.
#[derive(Debug, Clone)]
pub struct NewFiring {
    /// The run that it creates, if the overlap policy allows; `trigger.at` is the nominal time. The
    /// runs of one tick are created in the order of their ids.
    pub run: NewRun,
    /// Whether the firing is late.
    pub late: bool,
}

/// Consecutive nominal times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NominalRange {
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
    /// The number of counted times.
    pub count: u64,
    /// Whether the range contains more times than were counted.
    pub more: bool,
}

/// The result of committing one tick.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FiringCommitResult {
    /// The nominal times of the firings that created a run.
    pub fired: Vec<Timestamp>,
    /// The number of skipped firings.
    pub skipped: u64,
    /// The number of dropped firings.
    pub dropped: u64,
    /// The number of firings that created a run late.
    pub late: u64,
    /// The number of missed firings.
    pub missed: u64,
    /// The effects on other objects, including the new runs.
    pub caused: CommitEffects,
}

/// One part of a backfill: its firings, and the progress of the operation after it.
#[derive(Debug, Clone)]
pub struct BackfillPart {
    /// The new state of the operation, apart from `done` and `failed`, which the store computes.
    pub operation: Operation,
    /// The operation's cursor that the caller read. If it has changed, the commit has no effect and
    /// returns `None`.
    pub seen: Option<Vec<u8>>,
    /// The firings, by nominal time.
    pub firings: Vec<NewFiring>,
    /// Maximum number of queued runs of the deployment, under [`Overlap::QueueAll`].
    pub queue: u64,
}

/// The runs of a schedule that have not ended and are not parked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnendedFirings {
    /// The started runs, oldest first.
    pub started: Vec<RunId>,
    /// The runs that wait for their turn, in the order of their turns.
    pub waiting: Vec<RunId>,
}
