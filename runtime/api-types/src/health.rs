//! The health of a host.

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
