//! What the operator decides about control; small, with a default for each.

use std::path::PathBuf;
use std::time::Duration;

use tidemill_core::NodeId;
use tidemill_core::policy::PolicyInForce;
use tidemill_engine::MEMORY_MAX;

/// How a host is set up.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// This node's name; the same again after a restart.
    pub node: NodeId,
    /// Where components lie, as `<hexadecimal digest>.wasm`; the engine's folder of that name.
    pub components_dir: PathBuf,
    /// Runs that are executed at once, of all deployments together. Default 256.
    pub concurrency: u32,
    /// The most memory that a deployment may give its runs, in bytes; the engine's own bound. Default 1 GiB.
    pub memory_max: u64,
    /// Runs of one deployment that may wait; who asks for more is told `host/queue-full`. Default 100,000.
    pub queue_max: u64,
    /// Entries that the event feed keeps. Default 100,000.
    pub feed_keep: usize,
    /// How often all that is kept is read and verified. Default a day; never where it is none.
    pub scrub_every: Option<Duration>,
    /// A run that waits stays in memory for at most so long, and goes on without replay where it is woken meanwhile. Default
    /// 10 s.
    pub keep_waiting: Duration,
    /// Runs that wait in memory at most; the oldest leave for others. Default a quarter of `concurrency`'s.
    pub waiting_max: usize,
    /// What has ended is kept for so long: runs with all that belongs to them, and components that nothing names. Default 30
    /// days; for ever where it is none.
    pub retention: Option<Duration>,
    /// Events are kept for so long, whoever has not been given them. Default 7 days; for ever where it is none.
    pub event_retention: Option<Duration>,
    /// Events of one topic that are kept, the newest. Default 100,000; all of them where it is none.
    pub events_max: Option<u64>,
    /// What the operator lets deployments be granted, and use. Everything by default.
    pub policy: PolicyInForce,
}

impl HostConfig {
    /// The defaults, for a node of that name whose components lie there.
    #[must_use]
    pub fn new(node: NodeId, components_dir: PathBuf) -> Self {
        Self {
            node,
            components_dir,
            concurrency: 256,
            memory_max: MEMORY_MAX,
            queue_max: 100_000,
            feed_keep: 100_000,
            scrub_every: Some(Duration::from_secs(86_400)),
            keep_waiting: Duration::from_secs(10),
            waiting_max: 64,
            retention: Some(Duration::from_secs(30 * 86_400)),
            event_retention: Some(Duration::from_secs(7 * 86_400)),
            events_max: Some(100_000),
            policy: PolicyInForce::default(),
        }
    }
}
