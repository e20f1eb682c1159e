//! Starts, identifies and cancels other runs. Waits are in `wait`, typed handles in `children`.

use super::children::Run;
use crate::host::durable as host;
use crate::host::types::Field;
use crate::time::to_millis;
use crate::{Error, Result, json};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// The id of a run. It is never used again. Ids sort by the creation time of their runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    /// Creates an id from the text that another run or a person stored.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    pub(crate) fn from_host(id: String) -> Self {
        Self(id)
    }

    /// Returns the id as text.
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

/// Starts a run of another deployment, which needs a grant. [`spawn`](super::spawn) is shorter if
/// no options are needed.
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

/// A run that has not been started yet.
#[must_use = "a run starts with `send` or `spawn`"]
#[derive(Clone, Debug)]
pub struct Start {
    deployment: String,
    input: Result<String>,
    options: host::StartOptions,
}

impl Start {
    /// Sets the idempotency key. Two starts with the same key are one run. By default the host
    /// derives a key from this run and call.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.options.idempotency_key = Some(key.into());
        self
    }

    /// Sets the delay before the start.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.options.delay = Some(to_millis(delay));
        self
    }

    /// Sets the priority, from 1 to 9. Higher priorities start first.
    pub fn priority(mut self, priority: u8) -> Self {
        self.options.priority = Some(priority);
        self
    }

    /// Sets the export to run. Needed if several exports of the deployment fit.
    pub fn export(mut self, export: impl Into<String>) -> Self {
        self.options.export = Some(export.into());
        self
    }

    /// Adds a label, by which operators can find the run.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.labels.push(Field { name: name.into(), value: value.into() });
        self
    }

    /// Lets the run continue after this run ends. Otherwise the host then cancels it.
    pub fn detached(mut self) -> Self {
        self.options.detached = true;
        self
    }

    /// Returns the length of the input in bytes, or 0 if it does not serialize.
    pub(super) fn input_bytes(&self) -> usize {
        self.input.as_ref().map_or(0, String::len)
    }

    /// Starts the run and returns its id.
    ///
    /// # Errors
    /// `host/not-granted` without the grant, `host/wait-in-step` inside a step, `host/cancelled` if
    /// this run is being cancelled, `not-json` for an input that does not serialize,
    /// `host/not-available` if the host does not implement it.
    pub fn send(self) -> Result<RunId> {
        host::start(&self.deployment, &self.input?, &self.options).map(RunId::from_host).map_err(Error::from_failure)
    }

    /// Starts the run and returns a handle to wait for its output.
    ///
    /// # Errors
    /// As [`Start::send`].
    pub fn spawn<T>(self) -> Result<Run<T>> {
        self.send().map(Run::of)
    }
}

/// A run to send a signal to or to cancel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A run by its id.
    Run(RunId),
    /// A run by its deployment and idempotency key.
    Key {
        /// The name of the deployment.
        deployment: String,
        /// The idempotency key of the run.
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

/// Cancels a run.
///
/// # Errors
/// `host/not-granted` without a grant for the run's deployment, `host/not-available` if the host
/// does not implement it.
pub fn cancel(run: impl Into<Target>) -> Result<()> {
    host::cancel(&run.into().into_host()).map_err(Error::from_failure)
}
