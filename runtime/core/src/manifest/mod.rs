//! The manifest of a deployment: what a module needs to run.
//!
//! A manifest arrives as JSON over HTTP, or as a module folder's `tidemill.toml`, which is
//! converted to the same JSON. Reading reports every problem at once. [`Manifest::to_json`] writes
//! all fields, defaults included, so that a revision is complete and a later change of a default
//! does not affect it.

mod breaker;
#[cfg(feature = "host")]
mod budgets;
#[cfg(feature = "host")]
mod changes;
#[cfg(feature = "host")]
mod compact;
mod file;
mod flow;
mod grants;
#[cfg(feature = "host")]
mod healing;
#[cfg(feature = "host")]
pub mod hooks;
mod ledger;
#[cfg(feature = "host")]
mod lines;
mod operator;
mod read;
mod reference;
#[cfg(feature = "host")]
mod schedules;
mod slo;
mod subscriptions;
#[cfg(feature = "host")]
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use breaker::BreakerSettings;
#[cfg(feature = "host")]
pub use changes::ManifestChange;
#[cfg(feature = "host")]
pub use compact::CompactSchedules;
pub use file::{MODULE_FILE_BYTES, ModuleFile, ModuleSection};
pub use grants::{Grants, OperatorGrant, SecretGrant};
pub use ledger::{LedgerFloors, LedgerPolicy};
#[cfg(feature = "host")]
pub use lines::line_of;
pub use reference::{ModuleRef, ModuleVersion, Source};
pub use slo::{Objective, ServiceLevel, ServiceObjective};

#[cfg(feature = "host")]
use crate::budget::BudgetSpec;
use crate::codes::Code;
use crate::flow::Flow;
#[cfg(feature = "host")]
use crate::healing::HealingPolicy;
#[cfg(feature = "host")]
use crate::hook::HookSpec;
use crate::ids::{DeploymentName, Timestamp};
use crate::limits::Limits;
#[cfg(feature = "host")]
use crate::money::Currencies;
use crate::retry::RunRetry;
#[cfg(feature = "host")]
use crate::schedule::Schedule;
use crate::topics::Subscription;
use crate::wire::{InputProblem, ObjectReader, json};

/// Maximum size of a manifest, in bytes.
pub const MANIFEST_BYTES: usize = 256 * 1024;
/// Maximum size of the config, as JSON without spaces, in bytes.
pub const CONFIG_BYTES: usize = 64 * 1024;
/// Maximum number of labels.
pub const LABELS: usize = 32;
/// Maximum number of schedules.
pub const SCHEDULES: usize = 32;
/// Maximum number of subscriptions.
pub const SUBSCRIPTIONS: usize = 32;
/// Maximum number of budgets.
pub const BUDGETS: usize = 16;
/// Maximum number of concurrent runs of one deployment.
pub const CONCURRENCY_MAX: u32 = 10_000;
/// Default of the maximum number of concurrent runs of one deployment.
pub const CONCURRENCY: u32 = 16;
/// The default priority.
pub const PRIORITY: u8 = 5;

/// The desired state of a deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Its name, if the manifest has one.
    pub name: Option<DeploymentName>,
    /// The component that runs.
    pub source: Source,
    /// Whether new runs are admitted.
    pub enabled: bool,
    /// Priority from 1 (lowest) to 9 (highest).
    pub priority: u8,
    /// Maximum number of concurrent runs: 1 to [`CONCURRENCY_MAX`].
    pub concurrency: u32,
    /// Further rules of admission.
    pub flow: Flow,
    /// Names and values for filters; its runs carry them too.
    pub labels: BTreeMap<String, String>,
    /// Configuration that the module sees: the text of one JSON value of at most [`CONFIG_BYTES`].
    pub config: String,
    /// What it may reach.
    pub grants: Grants,
    /// What one run may use.
    pub limits: Limits,
    /// How its runs are retried.
    pub retry: RunRetry,
    /// Times at which it runs; names are unique.
    #[cfg(feature = "host")]
    pub schedules: Vec<Schedule>,
    /// Events for which it runs; names are unique.
    pub subscriptions: Vec<Subscription>,
    /// Its endpoints for webhooks; names are unique.
    #[cfg(feature = "host")]
    pub hooks: Vec<HookSpec>,
    /// What it may use in each period; names are unique.
    #[cfg(feature = "host")]
    pub budgets: Vec<BudgetSpec>,
    /// When its runs are held back because its attempts fail.
    pub breaker: BreakerSettings,
    /// How its health is checked.
    pub health: HealthPolicy,
    /// How the host repairs it.
    #[cfg(feature = "host")]
    pub healing: HealingPolicy,
    /// What its callers can expect.
    pub slo: ServiceLevel,
    /// How the ledger treats its entries.
    pub ledger: LedgerPolicy,
    /// Start of a stream's first collection; `None` means the deployment's creation.
    pub since: Option<Timestamp>,
}

/// How a deployment's health is checked. Only a component that exports `health` is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthPolicy {
    /// Whether the health is checked.
    pub enabled: bool,
    /// Interval between checks, in milliseconds: 1 s to 1 h.
    pub every_millis: u64,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self { enabled: true, every_millis: 15_000 }
    }
}

impl Manifest {
    /// Returns a manifest with all defaults.
    #[must_use]
    pub fn new(source: Source) -> Self {
        Self {
            name: None,
            source,
            enabled: true,
            priority: PRIORITY,
            concurrency: CONCURRENCY,
            flow: Flow::default(),
            labels: BTreeMap::new(),
            config: "{}".to_owned(),
            grants: Grants::default(),
            limits: Limits::default(),
            retry: RunRetry::default(),
            #[cfg(feature = "host")]
            schedules: Vec::new(),
            subscriptions: Vec::new(),
            #[cfg(feature = "host")]
            hooks: Vec::new(),
            #[cfg(feature = "host")]
            budgets: Vec::new(),
            breaker: BreakerSettings::default(),
            health: HealthPolicy::default(),
            #[cfg(feature = "host")]
            healing: HealingPolicy::default(),
            slo: ServiceLevel::default(),
            ledger: LedgerPolicy::default(),
            since: None,
        }
    }

    /// Reads the JSON of a manifest.
    ///
    /// # Errors
    /// All problems of the manifest, each with a pointer and a fix.
    pub fn parse_json(bytes: &[u8]) -> Result<Self, Vec<InputProblem>> {
        let value = json::parse(bytes, MANIFEST_BYTES).map_err(|bad| {
            let code =
                if matches!(bad, json::InvalidJson::TooLarge { .. }) { Code::BodyTooLarge } else { Code::BadJson };
            vec![InputProblem::field("", bad.to_string(), code.fix()).with_code(code)]
        })?;
        let serde_json::Value::Object(fields) = value else {
            let fix = "Send an object, such as {\"module\": \"hello@0.1.0\"}.";
            return Err(vec![InputProblem::field("", "a manifest is a JSON object", fix)]);
        };
        let mut problems = Vec::new();
        let manifest = read::manifest(ObjectReader::new(String::new(), fields), &mut problems);
        match manifest {
            Some(manifest) if problems.is_empty() => Ok(manifest),
            _ => Err(problems),
        }
    }
}

#[cfg(feature = "host")]
impl Manifest {
    /// Writes the whole manifest as JSON, defaults included. Reading it returns an equal manifest.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        write::manifest(self)
    }

    /// Schedules without `long_jitter` whose jitter is longer than half the shortest distance
    /// between two firings after `now`.
    #[must_use]
    pub fn long_jitters(&self, now: Timestamp) -> Vec<InputProblem> {
        schedules::long_jitters(&self.schedules, now)
    }

    /// Schedules and budgets in a time zone that this process does not know.
    #[must_use]
    pub fn unknown_zones(&self) -> Vec<InputProblem> {
        let mut unknown = schedules::unknown_zones(&self.schedules);
        unknown.extend(budgets::unknown_zones(&self.budgets));
        unknown
    }

    /// Budgets whose limits a host with these currencies cannot use, with the reason.
    #[must_use]
    pub fn unusable_budgets(&self, currencies: &Currencies) -> Vec<InputProblem> {
        budgets::problems(&self.budgets, currencies)
    }

    /// What `[healing]` names although it is the deployment `name` itself.
    #[must_use]
    pub fn self_repairs(&self, name: &DeploymentName) -> Vec<InputProblem> {
        healing::problems(&self.healing, name)
    }

    /// The differences from `before`, field by field.
    #[must_use]
    pub fn changes_from(&self, before: &Self) -> Vec<ManifestChange> {
        changes::changes(&before.to_json(), &self.to_json())
    }
}
