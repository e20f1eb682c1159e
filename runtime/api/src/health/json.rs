//! The wire form of the host's health.

use serde::Serialize;
use tidemill_control::ClockSetBack;
use utoipa::ToSchema;

use crate::wire::TimeJson;

/// The health of the host.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
pub struct HealthJson<'a> {
    /// `ok`, or `degraded` with reasons.
    pub status: &'static str,
    /// Whether the host is ready for requests.
    pub ready: bool,
    /// Descriptions of what is wrong.
    pub reasons: &'a [String],
    /// Warnings that do not prevent the host from working.
    pub warnings: Vec<String>,
    /// The release of the host.
    pub version: &'static str,
    /// The node.
    pub node: &'a str,
    /// The current epoch; raised at each start.
    pub epoch: u64,
    /// The time of the host's clock.
    pub now: TimeJson,
    /// Number of runs that are executing now.
    pub running: u32,
    /// The zone data that schedules use.
    pub zones: ZonesJson,
    /// Present while schedules are silent because the clock was set back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_set_back: Option<ClockSetBackJson>,
    /// The store.
    pub store: StoreJson,
}

/// Zone data.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ZoneData)]
pub struct ZonesJson {
    /// The release of the zone data, or `unknown`.
    #[schema(example = "2026f")]
    pub release: String,
    /// The folder of the zone data, or `compiled in`.
    #[schema(example = "/usr/share/zoneinfo")]
    pub place: String,
}

/// The schedules that are silent because the host's clock was set back. They fire again after the
/// clock passes the times that were handled before.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ClockSetBack)]
pub struct ClockSetBackJson {
    /// How far the clock was set back, in milliseconds.
    pub back_ms: u64,
    /// Number of silent schedules.
    pub schedules: u64,
    /// When the last of them fires again.
    pub until: TimeJson,
    /// The first 20 of them, by deployment and name.
    pub silent: Vec<SilentJson>,
}

/// A silent schedule.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SilentSchedule)]
pub struct SilentJson {
    /// The deployment.
    pub deployment: String,
    /// The schedule.
    pub schedule: String,
    /// When the schedule fires again.
    pub next: TimeJson,
}

impl From<ClockSetBack> for ClockSetBackJson {
    fn from(found: ClockSetBack) -> Self {
        let silent = found.named.into_iter().map(|(deployment, schedule, next)| SilentJson {
            deployment: deployment.to_string(),
            schedule: schedule.to_string(),
            next: TimeJson(next),
        });
        Self {
            back_ms: found.back_millis,
            schedules: found.schedules,
            until: TimeJson(found.until),
            silent: silent.collect(),
        }
    }
}

/// The health of the store.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StoreHealth)]
pub struct StoreJson {
    /// `good`, `disk-full` or `read-only`.
    pub status: &'static str,
    /// Why the store is not good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The position of the last commit.
    pub committed: u64,
    /// Number of commits that the disk has confirmed since the start.
    pub syncs: u64,
    /// The last scrub that found no damage; left out before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrubbed: Option<ScrubJson>,
}

/// A scrub: the store read and verified all of its records.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Scrub)]
pub struct ScrubJson {
    /// When it began.
    pub at: TimeJson,
    /// Number of records that it verified.
    pub records: u64,
    /// Number of bytes that it verified.
    pub bytes: u64,
}
