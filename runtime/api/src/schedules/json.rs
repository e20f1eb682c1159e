//! The wire form of a schedule.

use serde::Serialize;
use tidemill_control::ControlPlane;
use tidemill_core::RunId;
use tidemill_store::records::{FiringEntry, NominalRange, Schedule};
use utoipa::ToSchema;

use crate::wire::{PauseJson, TimeJson};

/// The state of a schedule. Its definition is in the deployment's manifest.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Schedule)]
pub struct ScheduleJson<'a> {
    /// The deployment of the schedule.
    deployment: &'a str,
    /// The name of the schedule in its deployment.
    name: &'a str,
    /// The revision whose manifest defines the schedule.
    revision: u64,
    /// The next nominal time; left out if it does not fire again.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<TimeJson>,
    /// Present while the schedule is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<PauseJson>,
    /// The nominal time of the last firing.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<TimeJson>,
    /// The last run that it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    last_run: Option<RunId>,
    /// `active`; `paused`; `deployment-paused` or `disabled` with its deployment; `blocked` by the
    /// policy or by an unknown time zone; or `ended`, if all its times have passed or its limit is
    /// reached.
    state: &'static str,
    /// Why the schedule is blocked. A blocked schedule stays due and does not fire.
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked: Option<String>,
    /// Present if the clock was set back: nominal times up to this one were handled before and do
    /// not fire again.
    #[serde(skip_serializing_if = "Option::is_none")]
    silent_until: Option<TimeJson>,
    /// Number of remaining firings, if the schedule has a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<u64>,
    /// Number of firings that made a run.
    fired: u64,
    /// Number of firings that made no run because earlier runs had not ended.
    skipped: u64,
    /// Number of firings that made no run because the queue was full.
    dropped: u64,
    /// Number of firings that made a run late.
    late: u64,
    /// Number of firings that were missed while the host was down and were not caught up.
    missed: u64,
    /// Number of runs that were triggered by hand; not included in the firings.
    by_hand: u64,
    /// Number of runs that wait for other runs of the schedule to end.
    waiting: u64,
    /// Number of consecutive runs that failed or were parked, up to the last run that ended.
    failures: u32,
}

impl<'a> ScheduleJson<'a> {
    /// Builds the wire form of a schedule.
    #[must_use]
    pub fn of(schedule: &'a Schedule, host: &ControlPlane) -> Self {
        let (enabled, deployment_paused) = host.fires(&schedule.deployment).unwrap_or((true, false));
        let block = host.block_of(&schedule.deployment, &schedule.name);
        Self {
            deployment: schedule.deployment.as_str(),
            name: schedule.name.as_str(),
            revision: schedule.revision.get(),
            next: schedule.next.map(TimeJson),
            paused: schedule.paused.as_ref().map(PauseJson::from),
            last: schedule.last.map(TimeJson),
            last_run: schedule.last_run,
            state: match schedule {
                Schedule { left: Some(0), .. } => "ended",
                Schedule { paused: Some(_), .. } => "paused",
                _ if !enabled => "disabled",
                Schedule { next: None, .. } => "ended",
                _ if block.is_some() => "blocked",
                _ if deployment_paused => "deployment-paused",
                _ => "active",
            },
            blocked: block.map(|block| block.detail),
            silent_until: schedule.silent_until(host.clock().now()).map(TimeJson),
            remaining: schedule.left,
            fired: schedule.fired,
            skipped: schedule.skipped,
            dropped: schedule.dropped,
            late: schedule.late,
            missed: schedule.missed,
            by_hand: schedule.by_hand,
            waiting: schedule.waiting,
            failures: schedule.failures,
        }
    }
}

/// Firings with the same outcome in one pass.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Firing)]
pub struct FiringJson<'a> {
    /// `skipped`, `dropped`, `late`, `missed` or `paused`.
    what: &'static str,
    /// The reason, as an error code.
    code: &'a str,
    /// The nominal time of the first firing.
    first: TimeJson,
    /// The nominal time of the last firing.
    last: TimeJson,
    /// Number of firings.
    count: u64,
    /// Present and true if there were more firings between the first and the last than were
    /// counted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
    /// When the host recorded the entry.
    seen: TimeJson,
    /// The run that blocked the firings; for late firings, the last run that they made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    run: Option<RunId>,
    /// The operation that requested the firings, if it was a backfill.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'a str>,
}

impl<'a> FiringJson<'a> {
    /// Builds the wire form of an entry.
    #[must_use]
    pub fn of(entry: &'a FiringEntry) -> Self {
        Self {
            what: entry.fate.as_str(),
            code: &entry.code,
            first: TimeJson(entry.first),
            last: TimeJson(entry.last),
            count: entry.count,
            more: entry.more,
            seen: TimeJson(entry.seen),
            run: entry.run,
            operation: entry.operation.as_deref(),
        }
    }
}

/// The firings that a backfill would make.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BackfillPlan)]
pub struct BackfillPlanJson {
    /// Number of firings.
    count: u64,
    /// The nominal time of the first firing.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<TimeJson>,
    /// The nominal time of the last firing.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<TimeJson>,
}

impl BackfillPlanJson {
    /// Builds the wire form of a plan.
    #[must_use]
    pub fn of(span: Option<NominalRange>) -> Self {
        Self {
            count: span.map_or(0, |span| span.count),
            first: span.map(|span| TimeJson(span.first)),
            last: span.map(|span| TimeJson(span.last)),
        }
    }
}
