//! Schedules, their firings and backfills.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tidemill_core::RunId;
#[cfg(feature = "schema")]
use utoipa::ToSchema;

use crate::{Pause, Time};

/// The state of a schedule. Its definition is in the deployment's manifest.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Schedule<'a> {
    /// The deployment of the schedule.
    pub deployment: Cow<'a, str>,
    /// The name of the schedule in its deployment.
    pub name: Cow<'a, str>,
    /// The revision whose manifest defines the schedule.
    pub revision: u64,
    /// The next nominal time; left out if it does not fire again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Time>,
    /// Present while the schedule is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// The nominal time of the last firing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Time>,
    /// The last run that it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub last_run: Option<RunId>,
    /// `active`; `paused`; `deployment-paused` or `disabled` with its deployment; `blocked` by the
    /// policy or by an unknown time zone; or `ended`, if all its times have passed or its limit is
    /// reached.
    pub state: Cow<'a, str>,
    /// Why the schedule is blocked. A blocked schedule stays due and does not fire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked: Option<String>,
    /// Present if the clock was set back: nominal times up to this one were handled before and do
    /// not fire again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent_until: Option<Time>,
    /// Number of remaining firings, if the schedule has a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u64>,
    /// Number of firings that made a run.
    pub fired: u64,
    /// Number of firings that made no run because earlier runs had not ended.
    pub skipped: u64,
    /// Number of firings that made no run because the queue was full.
    pub dropped: u64,
    /// Number of firings that made a run late.
    pub late: u64,
    /// Number of firings that were missed while the host was down and were not caught up.
    pub missed: u64,
    /// Number of runs that were triggered by hand; not included in the firings.
    pub by_hand: u64,
    /// Number of runs that wait for other runs of the schedule to end.
    pub waiting: u64,
    /// Number of consecutive runs that failed or were parked, up to the last run that ended.
    pub failures: u32,
}

/// Firings with the same outcome in one pass.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Firing<'a> {
    /// `skipped`, `dropped`, `late`, `missed` or `paused`.
    pub what: Cow<'a, str>,
    /// The reason, as an error code.
    pub code: Cow<'a, str>,
    /// The nominal time of the first firing.
    pub first: Time,
    /// The nominal time of the last firing.
    pub last: Time,
    /// Number of firings.
    pub count: u64,
    /// Present and true if there were more firings between the first and the last than were
    /// counted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// When the host recorded the entry.
    pub seen: Time,
    /// The run that blocked the firings; for late firings, the last run that they made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub run: Option<RunId>,
    /// The operation that requested the firings, if it was a backfill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<Cow<'a, str>>,
}

/// A future firing, or one that daylight saving drops.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema), schema(as = Planned))]
pub struct UpcomingFiring {
    /// The nominal time. For a dropped firing, the time at which it would have fired.
    pub at: Time,
    /// The same time in the schedule's time zone, with the offset at that time.
    #[cfg_attr(feature = "schema", schema(example = "2026-03-29T03:00:00+02:00"))]
    pub local: String,
    /// How daylight saving time changes the firing; left out if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Present and true if a policy drops this firing. It does not count toward `limit`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dropped: bool,
}

/// A schedule's next firings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema), schema(as = Preview))]
pub struct SchedulePreview {
    /// The firings, earliest first, including those that daylight saving drops.
    pub items: Vec<UpcomingFiring>,
    /// Why no firing follows: `limit` if the limit is reached, `times` if there are no more times,
    /// or `blocked` (the schedule's record gives the reason). Left out if a firing follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(example = "limit"))]
    pub ends: Option<Cow<'static, str>>,
}

/// The firings that a backfill would make.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct BackfillPlan {
    /// Number of firings.
    pub count: u64,
    /// The nominal time of the first firing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Time>,
    /// The nominal time of the last firing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Time>,
}

/// The range to backfill.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct BackfillRequest {
    /// The start of the range, inclusive.
    pub start: Time,
    /// The end of the range, exclusive; not in the future.
    pub end: Time,
    /// What a firing does while runs of the schedule have not ended; default `queue-all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(example = "allow"))]
    pub overlap: Option<String>,
}

/// The action and the schedules that it applies to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct ScheduleActionRequest {
    /// `pause`, `resume` or `resync`.
    #[cfg_attr(feature = "schema", schema(example = "pause"))]
    pub action: String,
    /// Filter of schedules: a deployment, labels of deployments, or `"all": true`.
    pub filter: ScheduleFilter<'static>,
    /// The reason for a pause; only with `pause`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Filter of the schedules of an operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct ScheduleFilter<'a> {
    /// True for all schedules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
    /// Schedules of this deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Cow<'a, str>>,
    /// Schedules of deployments with all of these labels, each `name=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub label: Vec<String>,
}
