//! Schedules: their next time, what they counted, and what firing one writes. Single firings that did not go as usual are in `firing`.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidemill_core::schedule::Overlap;
use tidemill_core::{DeploymentName, Revision, RunId, ScheduleName, Timestamp};

use super::{CommitEffects, NewRun, Operation, Pause, added};

/// Where a schedule stands. What it counted stays over every revision.
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
    /// Firings that made a run.
    pub fired: u64,
    /// Firings that made none, because of runs that had not ended.
    pub skipped: u64,
    /// Firings that made none, because there was no room to wait.
    pub dropped: u64,
    /// Firings that made a run, but later than they should; they are among those that fired.
    pub late: u64,
    /// Firings whose time passed while the host was down, and that were not made up for.
    pub missed: u64,
    /// Runs that were asked for by hand; they are not among those that fired.
    pub by_hand: u64,
    /// How often it may fire, as its manifest says;
    pub limit: Option<u64>,
    /// and how often it still may.
    pub left: Option<u64>,
    /// After so many failures in a row it is paused.
    pub pause_after_failures: Option<u32>,
    /// Runs in a row that failed or were parked, up to the last that ended.
    pub failures: u32,
    /// The last of those: the same again, tried by hand, counts once.
    pub last_failed: Option<RunId>,
    /// Runs that wait for others of the schedule to end.
    pub waiting: u64,
    /// Entries in its list of firings.
    pub listed: u32,
    /// When the firing of `next` is carried out, its jitter included; at `next` if there is none.
    #[serde(default, deserialize_with = "added")]
    pub due: Option<Timestamp>,
    /// Every nominal time up to and with this one was dealt with: it fired, was skipped, dropped, missed or passed in a pause. No
    /// later change sets `next` to one of them, but for [`ScheduleReplan::through`].
    #[serde(default, deserialize_with = "added")]
    pub through: Option<Timestamp>,
    /// Where the search for `next` began when it was last set without a firing: by a revision, by resuming, by a resync.
    #[serde(default, deserialize_with = "added")]
    pub since: Option<Timestamp>,
}

impl Schedule {
    /// The last nominal time that was dealt with. A record of an older release knows only the last that made a run.
    #[must_use]
    pub fn dealt_with(&self) -> Option<Timestamp> {
        self.through.or(self.last)
    }

    /// The next nominal time, and when its firing is carried out.
    #[must_use]
    pub fn upcoming(&self) -> Option<NextFiring> {
        self.next.map(|at| NextFiring { at, due: self.due.unwrap_or(at) })
    }

    /// The nominal time up to which none fires at `now`, because all of them were dealt with before the clock was set back.
    #[must_use]
    pub fn silent_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.dealt_with().filter(|through| *through > now && self.next.is_some())
    }
}

/// A nominal time to come, and when its firing is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextFiring {
    /// The nominal time.
    pub at: Timestamp,
    /// The time at which it is carried out, no earlier.
    pub due: Timestamp,
}

impl From<Timestamp> for NextFiring {
    /// Without jitter.
    fn from(at: Timestamp) -> Self {
        Self { at, due: at }
    }
}

/// Computes the first firing strictly after a time. A commit calls it if what its caller computed was dealt with before the commit.
#[derive(Clone)]
pub struct FiringTimes(Arc<dyn Fn(Timestamp) -> Option<NextFiring> + Send + Sync>);

impl FiringTimes {
    /// The times that `next_after` computes.
    pub fn new(next_after: impl Fn(Timestamp) -> Option<NextFiring> + Send + Sync + 'static) -> Self {
        Self(Arc::new(next_after))
    }

    /// The first one strictly after `after`.
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

/// A schedule as a new revision has it.
#[derive(Debug, Clone)]
pub struct ScheduleChange {
    /// Its name.
    pub name: ScheduleName,
    /// A fingerprint of its spec.
    pub spec: u64,
    /// Its first firing after the time of the change, if the spec is new or has changed.
    pub next: Option<NextFiring>,
    /// Computes a later one, if that was dealt with before the commit.
    pub times: FiringTimes,
    /// How often it may fire. Where that differs from before, it is counted anew.
    pub limit: Option<u64>,
    /// After so many failures in a row it is paused. They are counted anew with every revision.
    pub pause_after_failures: Option<u32>,
    /// Nominal times of the old spec that had passed and were not looked at; they are missed where the first of them is still the next.
    pub missed: Option<NominalRange>,
}

/// A schedule whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueSchedule {
    /// The deployment.
    pub deployment: DeploymentName,
    /// The schedule.
    pub name: ScheduleName,
    /// The nominal time.
    pub at: Timestamp,
    /// When its firing is carried out.
    pub due: Timestamp,
}

/// What one look at a schedule whose time has come leads to; all of it takes hold, or nothing.
#[derive(Debug, Clone)]
pub struct FiringCommit {
    /// The schedule,
    pub deployment: DeploymentName,
    /// by name.
    pub name: ScheduleName,
    /// The revision whose schedule the caller computed with; if there is another, nothing happens and the answer is none.
    pub revision: Revision,
    /// The nominal time that the caller saw; where it has moved on, nothing happens and the answer is none.
    pub at: Timestamp,
    /// The last nominal time that this look deals with; one before `at` if it is too early for `at`.
    pub through: Timestamp,
    /// The next nominal time.
    pub next: Option<NextFiring>,
    /// The firings to carry out, by nominal time: one after the other, as if each had come alone.
    pub firings: Vec<NewFiring>,
    /// What each does while runs of the schedule have not ended and are not parked.
    pub overlap: Overlap,
    /// So many of the deployment's runs may be queued, under [`Overlap::QueueAll`].
    pub queue: u64,
    /// What was missed, all of it before the firings.
    pub missed: Option<NominalRange>,
}

/// Resumes a schedule.
#[derive(Debug, Clone)]
pub struct ScheduleResume {
    /// Its first firing after the time of the change.
    pub next: Option<NextFiring>,
    /// Computes a later one, if that was dealt with before the commit.
    pub times: FiringTimes,
    /// The nominal times that passed while it was paused.
    pub passed: Option<NominalRange>,
}

/// Sets the next time of a schedule anew: zone data has changed, or the operator wants it to follow a clock that was set back.
#[derive(Debug, Clone)]
pub struct ScheduleReplan {
    /// The deployment.
    pub deployment: DeploymentName,
    /// The schedule.
    pub name: ScheduleName,
    /// The revision whose schedule the caller computed with.
    pub revision: Revision,
    /// The next nominal time that the caller saw.
    pub seen: Option<Timestamp>,
    /// The next one from now on.
    pub next: Option<NextFiring>,
    /// The last nominal time that counts as dealt with from now on; none leaves that as it is.
    pub through: Option<Timestamp>,
    /// What the feed calls the change.
    pub change: &'static str,
    /// Why.
    pub note: String,
}

/// One firing that is carried out.
#[derive(Debug, Clone)]
pub struct NewFiring {
    /// The run that it makes, where its turn comes; `trigger.at` is the nominal time. Runs of one look are made in the order of their
    /// ids.
    pub run: NewRun,
    /// Whether it is late.
    pub late: bool,
}

/// Several nominal times in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NominalRange {
    /// The first,
    pub first: Timestamp,
    /// the last,
    pub last: Timestamp,
    /// and how many they are.
    pub count: u64,
    /// Whether there are more in between than were counted.
    pub more: bool,
}

/// What came of a look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FiringCommitResult {
    /// The nominal times of the firings that made a run.
    pub fired: Vec<Timestamp>,
    /// How many were skipped,
    pub skipped: u64,
    /// dropped,
    pub dropped: u64,
    /// made a run late,
    pub late: u64,
    /// and missed.
    pub missed: u64,
    /// What it led to elsewhere, the new runs included.
    pub caused: CommitEffects,
}

/// A part of a backfill: firings that are made up for, and how far the operation is then.
#[derive(Debug, Clone)]
pub struct BackfillPart {
    /// The operation as it is to stand, but for `done` and `failed`: these are those of the store, and what this adds.
    pub operation: Operation,
    /// Its cursor as the caller saw it; where it has moved on, nothing happens and the answer is none.
    pub seen: Option<Vec<u8>>,
    /// The firings, by nominal time.
    pub firings: Vec<NewFiring>,
    /// So many of the deployment's runs may be queued, under [`Overlap::QueueAll`].
    pub queue: u64,
}

/// The runs of a schedule that have not ended and are not parked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnendedFirings {
    /// Those that were started, oldest first.
    pub started: Vec<RunId>,
    /// Those that wait their turn, in its order.
    pub waiting: Vec<RunId>,
}
