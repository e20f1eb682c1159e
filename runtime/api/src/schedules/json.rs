//! A schedule as it is sent.

use serde::Serialize;
use tidemill_control::ControlPlane;
use tidemill_core::RunId;
use tidemill_store::records::{FiringEntry, NominalRange, Schedule};
use utoipa::ToSchema;

use crate::wire::{PauseJson, TimeJson};

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
    next: Option<TimeJson>,
    /// There while it does not fire.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<PauseJson>,
    /// The nominal time of the last firing.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<TimeJson>,
    /// The run that it started last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    last_run: Option<RunId>,
    /// `active`; `paused` itself; `deployment-paused` or `disabled` with its deployment; `blocked` by the policy or an unknown time zone;
    /// or `ended`: that has no time to come, because all have passed or its limit is reached.
    state: &'static str,
    /// Why it is blocked: it stays due and does not fire.
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked: Option<String>,
    /// There if the clock was set back: times up to this one were dealt with before, and do not fire again.
    #[serde(skip_serializing_if = "Option::is_none")]
    silent_until: Option<TimeJson>,
    /// How often it still fires, where it is limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<u64>,
    /// Firings that made a run.
    fired: u64,
    /// Firings that made none, because of runs that had not ended.
    skipped: u64,
    /// Firings that made none, because there was no room to wait.
    dropped: u64,
    /// Of those that fired, the ones that did so late.
    late: u64,
    /// Firings that were missed while the host was down, and not made up for.
    missed: u64,
    /// Runs that were asked for by hand; not among those that fired.
    by_hand: u64,
    /// Runs that wait for others of the schedule to end.
    waiting: u64,
    /// Runs in a row that failed or were parked, up to the last that ended.
    failures: u32,
}

impl<'a> ScheduleJson<'a> {
    /// The schedule as it is sent.
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

/// Firings that met the same fate in one look.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Firing)]
pub struct FiringJson<'a> {
    /// `skipped`, `dropped`, `late`, `missed` or `paused`.
    what: &'static str,
    /// Why: the code of an error page.
    code: &'a str,
    /// The nominal time of the first,
    first: TimeJson,
    /// and of the last of them.
    last: TimeJson,
    /// How many they are.
    count: u64,
    /// There, and true, if there are more of them between the first and the last than were counted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
    /// When that was seen.
    seen: TimeJson,
    /// The run that was in the way; of late ones, the last run that they made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    run: Option<RunId>,
    /// The operation that asked for them, where it was a backfill.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'a str>,
}

impl<'a> FiringJson<'a> {
    /// The entry as it is sent.
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

/// The firings that a backfill would make up for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BackfillPlan)]
pub struct BackfillPlanJson {
    /// How many they are.
    count: u64,
    /// The nominal time of the first,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<TimeJson>,
    /// and of the last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<TimeJson>,
}

impl BackfillPlanJson {
    /// The plan as it is sent.
    #[must_use]
    pub fn of(span: Option<NominalRange>) -> Self {
        Self {
            count: span.map_or(0, |span| span.count),
            first: span.map(|span| TimeJson(span.first)),
            last: span.map(|span| TimeJson(span.last)),
        }
    }
}
