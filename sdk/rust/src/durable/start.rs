//! Other runs: starting them, naming them, asking them to end. Waiting for them is in `wait`, typed handles in `children`.

use super::children::Run;
use crate::host::durable as host;
use crate::host::types::Field;
use crate::time::to_millis;
use crate::{Error, Result, json};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Names one run, for ever. Ids sort by the time at which their runs were made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    /// The run of that id, as another run or a person wrote it down.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    pub(crate) fn from_host(id: String) -> Self {
        Self(id)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Starts a run of another deployment, which must be granted. Shorter, where nothing more is to be said: [`spawn`](super::spawn).
pub fn start(deployment: impl Into<String>, input: &(impl Serialize + ?Sized)) -> Start {
    Start {
        deployment: deployment.into(),
        input: json::encode(input),
        options: host::StartOptions {
            idempotency_key: None,
            delay: None,
            priority: None,
            export: None,
            labels: Vec::new(),
            detached: false,
        },
    }
}

/// A run about to be started.
#[must_use = "a run begins with `send` or `spawn`"]
#[derive(Clone, Debug)]
pub struct Start {
    deployment: String,
    input: Result<String>,
    options: host::StartOptions,
}

impl Start {
    /// Two starts with the same key are one run. By default the host derives one from this run and call.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.options.idempotency_key = Some(key.into());
        self
    }

    /// How long to wait before it is started.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.options.delay = Some(to_millis(delay));
        self
    }

    /// 1…9; higher goes first.
    pub fn priority(mut self, priority: u8) -> Self {
        self.options.priority = Some(priority);
        self
    }

    /// Which export, where the deployment has more than one that fits.
    pub fn export(mut self, export: impl Into<String>) -> Self {
        self.options.export = Some(export.into());
        self
    }

    /// A label by which people find the run.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.labels.push(Field { name: name.into(), value: value.into() });
        self
    }

    /// Goes on when this run ends; otherwise it is cancelled with it.
    pub fn detached(mut self) -> Self {
        self.options.detached = true;
        self
    }

    /// How long its input is, in bytes; 0 where it does not serialise.
    pub(super) fn input_bytes(&self) -> usize {
        self.input.as_ref().map_or(0, String::len)
    }

    /// Starts it, and gives its id.
    ///
    /// # Errors
    /// `host/not-granted` without the grant, `host/wait-in-step` inside a step, `host/cancelled` once this run is to end, `not-json` for an input that
    /// does not serialise, `host/not-available` where the host does not do this yet.
    pub fn send(self) -> Result<RunId> {
        host::start(&self.deployment, &self.input?, &self.options).map(RunId::from_host).map_err(Error::from_failure)
    }

    /// Starts it, and gives a handle by which this run waits for its output.
    ///
    /// # Errors
    /// As [`Start::send`].
    pub fn spawn<T>(self) -> Result<Run<T>> {
        self.send().map(Run::of)
    }
}

/// A run to signal or cancel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// By its id.
    Run(RunId),
    /// By its deployment and idempotency key.
    Key {
        /// The deployment's name.
        deployment: String,
        /// The key that the run was started with.
        key: String,
    },
}

impl From<RunId> for Target {
    fn from(run: RunId) -> Self {
        Self::Run(run)
    }
}

impl From<&RunId> for Target {
    fn from(run: &RunId) -> Self {
        Self::Run(run.clone())
    }
}

impl<T> From<&Run<T>> for Target {
    fn from(run: &Run<T>) -> Self {
        Self::Run(run.id().clone())
    }
}

impl Target {
    pub(super) fn into_host(self) -> host::Target {
        match self {
            Self::Run(run) => host::Target::Run(run.0),
            Self::Key { deployment, key } => host::Target::Key((deployment, key)),
        }
    }
}

/// Asks a run to end.
///
/// # Errors
/// `host/not-granted` without a grant for its deployment, `host/not-available` where the host does not do this yet.
pub fn cancel(run: impl Into<Target>) -> Result<()> {
    host::cancel(&run.into().into_host()).map_err(Error::from_failure)
}
