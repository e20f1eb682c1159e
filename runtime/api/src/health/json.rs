//! The host's health as it is sent.

use serde::Serialize;
use tidemill_control::ClockSetBack;
use utoipa::ToSchema;

use crate::wire::TimeJson;

/// How the host is now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
pub struct HealthJson<'a> {
    /// `ok`, or `degraded` with reasons.
    pub status: &'static str,
    /// Whether requests should be sent here.
    pub ready: bool,
    /// What is amiss, in words.
    pub reasons: &'a [String],
    /// What should be looked at although the host does its work, in words.
    pub warnings: Vec<String>,
    /// The release of the host.
    pub version: &'static str,
    /// The node.
    pub node: &'a str,
    /// Its present life; raised at each start.
    pub epoch: u64,
    /// The host's clock.
    pub now: TimeJson,
    /// Runs that are executed now.
    pub running: u32,
    /// The zone data that schedules go by.
    pub zones: ZonesJson,
    /// There while schedules are silent because the clock was set back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_set_back: Option<ClockSetBackJson>,
    /// The store.
    pub store: StoreJson,
}

/// Zone data.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ZoneData)]
pub struct ZonesJson {
    /// Its release, or `unknown`.
    #[schema(example = "2026f")]
    pub release: String,
    /// The folder where it is, or `compiled in`.
    #[schema(example = "/usr/share/zoneinfo")]
    pub place: String,
}

/// Schedules that are silent because the host's clock was set back: the times that it shows were dealt with before.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ClockSetBack)]
pub struct ClockSetBackJson {
    /// How far back, in milliseconds.
    pub back_ms: u64,
    /// How many schedules are silent.
    pub schedules: u64,
    /// When the last of them fires again.
    pub until: TimeJson,
    /// The first 20 of them, by deployment and name.
    pub silent: Vec<SilentJson>,
}

/// A schedule that is silent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SilentSchedule)]
pub struct SilentJson {
    /// The deployment.
    pub deployment: String,
    /// The schedule.
    pub schedule: String,
    /// When it fires again.
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

/// How the store is now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StoreHealth)]
pub struct StoreJson {
    /// `good`, `disk-full` or `read-only`.
    pub status: &'static str,
    /// Why it is not good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The position of the last commit.
    pub committed: u64,
    /// How often the disk has confirmed a commit since the start.
    pub syncs: u64,
    /// The last scrub that found everything sound; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrubbed: Option<ScrubJson>,
}

/// A scrub: all that is kept was read and verified.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Scrub)]
pub struct ScrubJson {
    /// When it began.
    pub at: TimeJson,
    /// How many records it verified.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
}
