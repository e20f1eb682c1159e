//! The manifest of a deployment: everything that makes a module run.
//!
//! It comes as JSON over HTTP, or as a module folder's `tidemill.toml`, which is turned into the same JSON. Reading it
//! reports every problem at once. [`Manifest::to_json`] writes it out in full, defaults included, so that a revision
//! says all there is to say and a later default changes nothing.

mod changes;
mod compact;
mod file;
mod flow;
mod grants;
mod lines;
mod read;
mod reference;
mod schedules;
mod subscriptions;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use changes::ManifestChange;
pub use compact::CompactSchedules;
pub use file::{MODULE_FILE_BYTES, ModuleFile, ModuleSection};
pub use grants::{Grants, HttpGrant, SecretGrant};
pub use lines::line_of;
pub use reference::{ModuleRef, ModuleVersion, Source};

use crate::codes::Code;
use crate::flow::Flow;
use crate::ids::{DeploymentName, Timestamp};
use crate::limits::Limits;
use crate::retry::RunRetry;
use crate::schedule::Schedule;
use crate::topics::Subscription;
use crate::wire::{InputProblem, ObjectReader, json};

/// The longest manifest, in bytes.
pub const MANIFEST_BYTES: usize = 256 * 1024;
/// The longest config, as JSON without spaces, in bytes.
pub const CONFIG_BYTES: usize = 64 * 1024;
/// The most labels.
pub const LABELS: usize = 32;
/// The most schedules.
pub const SCHEDULES: usize = 32;
/// The most subscriptions.
pub const SUBSCRIPTIONS: usize = 32;
/// The most runs of one deployment at a time.
pub const CONCURRENCY_MAX: u32 = 10_000;
/// The default number of runs of one deployment at a time.
pub const CONCURRENCY: u32 = 16;
/// The default priority.
pub const PRIORITY: u8 = 5;

/// What a deployment is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Its name, where the manifest gives one.
    pub name: Option<DeploymentName>,
    /// What runs.
    pub source: Source,
    /// Whether anything new is admitted.
    pub enabled: bool,
    /// 1 (last) to 9 (first).
    pub priority: u8,
    /// Runs at a time: 1 to [`CONCURRENCY_MAX`].
    pub concurrency: u32,
    /// How its runs are let in, beside that.
    pub flow: Flow,
    /// Names and values to find it by; its runs carry them too.
    pub labels: BTreeMap<String, String>,
    /// What the module sees as its configuration: the text of one JSON value of at most [`CONFIG_BYTES`].
    pub config: String,
    /// What it may reach.
    pub grants: Grants,
    /// What one run may use.
    pub limits: Limits,
    /// How its runs are tried again.
    pub retry: RunRetry,
    /// When it runs by itself; names are unique.
    pub schedules: Vec<Schedule>,
    /// Which events it runs for; names are unique.
    pub subscriptions: Vec<Subscription>,
    /// How it is watched.
    pub health: HealthPolicy,
    /// Where a stream's first collection begins; none means at the deployment's creation.
    pub since: Option<Timestamp>,
}

/// How a deployment is watched. Only one whose component exports `health` is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthPolicy {
    /// Whether it is asked at all.
    pub enabled: bool,
    /// How often, in milliseconds: 1 s to 1 h.
    pub every_millis: u64,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self { enabled: true, every_millis: 15_000 }
    }
}

impl Manifest {
    /// A manifest with every default.
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
            schedules: Vec::new(),
            subscriptions: Vec::new(),
            health: HealthPolicy::default(),
            since: None,
        }
    }

    /// Reads the JSON of a manifest.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with a pointer and how to mend it.
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

    /// The whole manifest as JSON, defaults included. Reads back to an equal one.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        write::manifest(self)
    }

    /// Schedules whose jitter is longer than half the shortest distance of two of their firings after `now`, without `long_jitter`.
    #[must_use]
    pub fn long_jitters(&self, now: Timestamp) -> Vec<InputProblem> {
        schedules::long_jitters(&self.schedules, now)
    }

    /// Schedules in a time zone that this process does not know.
    #[must_use]
    pub fn unknown_zones(&self) -> Vec<InputProblem> {
        schedules::unknown_zones(&self.schedules)
    }

    /// What differs from `before`, field by field.
    #[must_use]
    pub fn changes_from(&self, before: &Self) -> Vec<ManifestChange> {
        changes::changes(&before.to_json(), &self.to_json())
    }
}
