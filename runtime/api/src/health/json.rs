//! The host's health as it is sent.

use serde::Serialize;
use utoipa::ToSchema;

use crate::wire::Time;

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
    /// The release of the host.
    pub version: &'static str,
    /// The node.
    pub node: &'a str,
    /// Its present life; raised at each start.
    pub epoch: u64,
    /// The host's clock.
    pub now: Time,
    /// Runs that are executed now.
    pub running: u32,
    /// The store.
    pub store: StoreJson,
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
    pub at: Time,
    /// How many records it verified.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
}
