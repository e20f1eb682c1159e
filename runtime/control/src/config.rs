//! Settings of control that the operator decides, each with a default.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidemill_core::NodeId;
use tidemill_core::alerts::AlertsInForce;
use tidemill_core::clock::SystemClock;
use tidemill_core::healing::HealingMode;
use tidemill_core::money::Currencies;
use tidemill_core::policy::PolicyInForce;
use tidemill_engine::MEMORY_MAX;
use tidemill_engine::secrets::{EnvironmentAndFiles, StoredSecrets};
use tidemill_vault::Vault;

use crate::hook::provider::{NoProviders, ProviderRequests};

/// How a host is set up.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// This node's name. It stays the same over a restart.
    pub node: NodeId,
    /// The folder of the components, each as `<hexadecimal digest>.wasm`. It is the engine's folder
    /// too.
    pub components_dir: PathBuf,
    /// Maximum number of runs that execute at once, over all deployments. Default 256.
    pub concurrency: u32,
    /// Maximum memory that a deployment may give its runs, in bytes; the engine has the same bound.
    /// Default 1 GiB.
    pub memory_max: u64,
    /// Maximum number of runs of one deployment that may wait. Further requests fail with
    /// `host/queue-full`. Default 100,000.
    pub queue_max: u64,
    /// Maximum number of entries that the event feed keeps. Default 100,000.
    pub feed_keep: usize,
    /// Interval between scrubs, each of which reads and verifies all stored data. Default one day;
    /// `None` disables them.
    pub scrub_every: Option<Duration>,
    /// Maximum time that a waiting run stays in memory. A run that is woken within it resumes
    /// without a replay. Default 10 s.
    pub keep_waiting: Duration,
    /// Maximum duration of a health check of a deployment. Default 5 s.
    pub health_check_max: Duration,
    /// Whether open findings about the ledger degrade the health of the host. Default false.
    pub findings_degrade_health: bool,
    /// What the host may do about unhealthy deployments. The more cautious of this and the mode of
    /// a deployment counts. Default: it repairs.
    pub healing: HealingMode,
    /// Maximum number of runs that wait in memory; the oldest make room for others. Default a
    /// quarter of the default `concurrency`.
    pub waiting_max: usize,
    /// How long ended runs, with everything that belongs to them, and unreferenced components are
    /// kept. Default 30 days; `None` keeps them for ever.
    pub retention: Option<Duration>,
    /// How long events are kept, whether or not they were delivered. Default 7 days; `None` keeps
    /// them for ever.
    pub event_retention: Option<Duration>,
    /// Maximum number of events that a topic keeps; the newest stay. Default 100,000; `None` keeps
    /// all.
    pub events_max: Option<u64>,
    /// The secrets of the store, and the vault that seals them and the bodies of deliveries. The
    /// engine has the same ones. Default: no master key, and no other source.
    pub secrets: Arc<StoredSecrets>,
    /// Sends the host's own requests to providers of webhooks. Default: it sends none.
    pub providers: Arc<dyn ProviderRequests>,
    /// The folder with PayPal's certificates; nothing is fetched then. Default: they are fetched.
    pub paypal_certs: Option<PathBuf>,
    /// The currencies and units that the host knows. A start without a unit of the ledger, or with
    /// another number of its decimal places, is refused. Default ISO 4217.
    pub currencies: Currencies,
    /// The rules, channels and routes of alerts. Default: the default rules, no channel.
    pub alerts: AlertsInForce,
    /// What the operator allows deployments to be granted and to use. Default everything.
    pub policy: PolicyInForce,
}

impl HostConfig {
    /// Returns the defaults for the node `node` whose components are in `components_dir`.
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
            health_check_max: Duration::from_secs(5),
            findings_degrade_health: false,
            healing: HealingMode::default(),
            waiting_max: 64,
            retention: Some(Duration::from_secs(30 * 86_400)),
            event_retention: Some(Duration::from_secs(7 * 86_400)),
            events_max: Some(100_000),
            secrets: Arc::new(StoredSecrets::new(
                Vault::without_key(),
                Arc::new(SystemClock),
                EnvironmentAndFiles::new(None),
            )),
            providers: Arc::new(NoProviders),
            paypal_certs: None,
            currencies: Currencies::default(),
            alerts: AlertsInForce::default(),
            policy: PolicyInForce::default(),
        }
    }
}
