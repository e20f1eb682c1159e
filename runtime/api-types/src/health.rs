//! The health of a host and of its deployments.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
#[cfg(feature = "schema")]
use utoipa::ToSchema;

use crate::Time;

/// The health of the host.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Health<'a> {
    /// `ok`, or `degraded` with reasons.
    pub status: Cow<'a, str>,
    /// Whether the host is ready for requests.
    pub ready: bool,
    /// Descriptions of what is wrong. A host that is ready may have some, such as a wrong clock.
    pub reasons: Cow<'a, [String]>,
    /// Warnings that do not prevent the host from working.
    pub warnings: Vec<String>,
    /// The release of the host.
    pub version: Cow<'a, str>,
    /// The node.
    pub node: Cow<'a, str>,
    /// The current epoch; raised at each start.
    pub epoch: u64,
    /// The time of the host's clock.
    pub now: Time,
    /// Number of runs that are executing now.
    pub running: u32,
    /// The zone data that schedules use.
    pub zones: ZoneData,
    /// The vitals of the host, read every 15 s: `commit-seconds`, `store-failures`, `run-slots`
    /// (share of the places for runs), `loop-lateness` (seconds), `free-disk` (bytes),
    /// `resident-memory` (bytes) and `store-damage`. Those with a problem are in `warnings` too.
    pub vitals: Vec<HealthSignal<'a>>,
    /// Present while schedules are silent because the clock was set back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_set_back: Option<ClockSetBack>,
    /// The store.
    pub store: StoreHealth,
}

/// Zone data.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct ZoneData {
    /// The release of the zone data, or `unknown`.
    #[cfg_attr(feature = "schema", schema(example = "2026f"))]
    pub release: String,
    /// The folder of the zone data, or `compiled in`.
    #[cfg_attr(feature = "schema", schema(example = "/usr/share/zoneinfo"))]
    pub place: String,
}

/// The schedules that are silent because the host's clock was set back. They fire again after the
/// clock passes the times that were handled before.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct ClockSetBack {
    /// How far the clock was set back, in milliseconds.
    pub back_ms: u64,
    /// Number of silent schedules.
    pub schedules: u64,
    /// When the last of them fires again.
    pub until: Time,
    /// The first 20 of them, by deployment and name.
    pub silent: Vec<SilentSchedule>,
}

/// A silent schedule.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct SilentSchedule {
    /// The deployment.
    pub deployment: String,
    /// The schedule.
    pub schedule: String,
    /// When the schedule fires again.
    pub next: Time,
}

/// The health of the store.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct StoreHealth {
    /// `good`, `disk-full` or `read-only`.
    pub status: Cow<'static, str>,
    /// Why the store is not good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The position of the last commit.
    pub committed: u64,
    /// Number of commits that the disk has confirmed since the start.
    pub syncs: u64,
    /// The last scrub that found no damage; left out before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrubbed: Option<Scrub>,
}

/// A scrub: the store read and verified all of its records.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Scrub {
    /// When it began.
    pub at: Time,
    /// Number of records that it verified.
    pub records: u64,
    /// Number of bytes that it verified.
    pub bytes: u64,
}

/// The health of a deployment, in a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct HealthSummary<'a> {
    /// The deployment.
    pub deployment: Cow<'a, str>,
    /// `unknown`, `healthy`, `degraded` or `unhealthy`.
    pub status: Cow<'a, str>,
    /// Since when it has this status; left out if the status never changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Why it has this status; left out if nothing is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
    /// Number of failures in a row. Three make a deployment unhealthy.
    pub failures: u32,
    /// Whether the host observes it. A paused or disabled deployment keeps its last status.
    pub observed: bool,
}

/// The health of a deployment with everything that is known about it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct DeploymentHealth<'a> {
    /// The deployment and its status.
    #[serde(flatten)]
    pub summary: HealthSummary<'a>,
    /// Whether the host calls its `health` export.
    pub checked: bool,
    /// Interval between two observations, in milliseconds.
    pub every_ms: u64,
    /// When it is observed next; left out while it is not observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Time>,
    /// Its uptime.
    pub uptime: Uptimes,
    /// Its objectives; left out if its manifest has none.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub objectives: Vec<ObjectiveStatus<'a>>,
    /// What the host derives from its runs, at the last observation.
    pub signals: Vec<HealthSignal<'a>>,
    /// The last results of its `health` export since the host started, the newest first; at most
    /// 20.
    pub results: Vec<HealthCheckResult<'a>>,
}

/// An objective of a deployment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct ObjectiveStatus<'a> {
    /// `availability` or `latency`.
    pub name: Cow<'a, str>,
    /// The share of attempts that must be good.
    #[cfg_attr(feature = "schema", schema(example = "99.9%"))]
    pub target: String,
    /// Of `latency`: the duration that a good attempt does not exceed, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_ms: Option<u64>,
    /// The share of the error budget of the last 30 days that is left, 1 if nothing was used, below
    /// 0 if more was used; left out without attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_left: Option<f64>,
}

/// The share of the time in which a deployment was healthy or degraded, from 0 to 1. Time in which
/// its status was unknown or the host did not run does not count. A period of which nothing is
/// known is left out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Uptimes {
    /// Over the last hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hour: Option<f64>,
    /// Over the last 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<f64>,
    /// Over the last 30 days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub month: Option<f64>,
}

/// A signal of a deployment with its value over the last four intervals, or a vital of the host.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct HealthSignal<'a> {
    /// Of a deployment: `failure-rate`, `duration` (seconds), `fuel`, `memory` (share of the
    /// limit), `irregular-firings`, `queue-age` (seconds), `queue-length`, `subscription-lag` or
    /// `dead-deliveries`.
    pub name: Cow<'a, str>,
    /// Its value.
    pub value: f64,
    /// The value from which it is abnormal; of `free-disk`, below which. Left out if there is too
    /// little history, or if a queue does not grow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// What is wrong; left out if it is normal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Cow<'a, str>>,
}

/// The result of one call of a `health` export.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct HealthCheckResult<'a> {
    /// When it began.
    pub at: Time,
    /// `healthy`, `degraded` or `failed`; or `unknown`, if the host could not execute the check.
    pub status: Cow<'a, str>,
    /// What the module found, or why the check failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
    /// The code of the failure, if the check itself failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Cow<'a, str>>,
    /// Its duration, in milliseconds.
    pub took_ms: u64,
    /// The fuel that it used.
    pub fuel: u64,
    /// The first lines that it logged, at most 20. Kept of the last check only.
    pub log: Vec<Cow<'a, str>>,
}

/// A change of a deployment's health.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct HealthTransition<'a> {
    /// When it happened.
    pub at: Time,
    /// The status before.
    pub from: Cow<'a, str>,
    /// The status after.
    pub to: Cow<'a, str>,
    /// Why.
    pub reason: Cow<'a, str>,
}
