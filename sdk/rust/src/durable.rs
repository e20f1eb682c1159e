//! What makes an ordinary function a durable workflow: steps, other runs, signals, waiting.
//!
//! A host without a journal refuses all that waits or remembers with `host/not-available`.

use crate::bindings::imports::tidemill::guest::durable as host;
use crate::bindings::imports::tidemill::guest::types::Field;
use crate::retry::Retry;
use crate::time::to_millis;
use crate::{Error, Result, json};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
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

/// Carries out a named part of the run that is retried by the deployment's policy and remembered as a whole: when the run is brought
/// back, a completed step is skipped and its result taken from the record.
///
/// **Only its result leaves a step**, which is why it takes `Fn`: what it would change around it is not there again when it is skipped.
/// The result is what was recorded, also the first time.
///
/// # Errors
/// What the work failed with once its retries are exhausted, or at once where that is not retryable; `host/not-available` where the host
/// does not do this yet.
pub fn step<T, E>(name: &str, work: impl Fn() -> std::result::Result<T, E>) -> Result<T>
where
    T: Serialize + DeserializeOwned,
    E: Into<Error>,
{
    run_step(name, None, &|_| work().map_err(Into::into))
}

/// As [`step`], with a retry policy of its own; the work is told which attempt it is, counting from 1.
///
/// # Errors
/// As [`step`].
pub fn step_with<T, E>(name: &str, retry: Retry, work: impl Fn(u32) -> std::result::Result<T, E>) -> Result<T>
where
    T: Serialize + DeserializeOwned,
    E: Into<Error>,
{
    run_step(name, Some(retry), &|attempt| work(attempt).map_err(Into::into))
}

fn run_step<T>(name: &str, retry: Option<Retry>, work: &dyn Fn(u32) -> Result<T>) -> Result<T>
where
    T: Serialize + DeserializeOwned,
{
    let policy = retry.map(Retry::to_policy);
    let begun = host::begin_step(name, policy).map_err(Error::from_failure)?;
    let mut attempt = match begun.step {
        host::Step::Completed(record) => return recorded(name, &record),
        host::Step::Execute(attempt) => attempt,
    };
    loop {
        let outcome = work(attempt).and_then(|value| json::encode(&value)).map_err(Error::into_failure);
        let verdict = host::end_step(begun.id, outcome.as_deref()).map_err(Error::from_failure)?;
        match (verdict, outcome) {
            (host::Verdict::Again(next), _) => attempt = next,
            (host::Verdict::GiveUp(failure), _) | (host::Verdict::Done, Err(failure)) => {
                return Err(Error::from_failure(failure));
            }
            (host::Verdict::Done, Ok(record)) => return recorded(name, &record),
        }
    }
}

fn recorded<T: DeserializeOwned>(name: &str, record: &str) -> Result<T> {
    json::decode(record).map_err(|why| Error::new("bad-step", format!("the result of step `{name}`: {why}")))
}

/// Starts a run of another deployment, which must be granted.
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
#[must_use = "a run begins with `send`"]
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

    /// Starts it.
    ///
    /// # Errors
    /// `host/not-granted` without the grant, `not-json` for an input that does not serialise, `host/not-available` where the
    /// host does not do this yet.
    pub fn send(self) -> Result<RunId> {
        host::start(&self.deployment, &self.input?, &self.options).map(RunId::from_host).map_err(Error::from_failure)
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

impl Target {
    fn into_host(self) -> host::Target {
        match self {
            Self::Run(run) => host::Target::Run(run.0),
            Self::Key { deployment, key } => host::Target::Key((deployment, key)),
        }
    }
}

/// Sends a signal to a run, which is kept until that run asks for it.
///
/// # Errors
/// `host/not-granted` without a grant for its deployment, `host/not-available` where the host does not do this yet.
pub fn signal(to: impl Into<Target>, name: &str, payload: &(impl Serialize + ?Sized)) -> Result<()> {
    host::signal(&to.into().into_host(), name, &json::encode(payload)?).map_err(Error::from_failure)
}

/// Asks a run to end.
///
/// # Errors
/// As [`signal`].
pub fn cancel(run: impl Into<Target>) -> Result<()> {
    host::cancel(&run.into().into_host()).map_err(Error::from_failure)
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// With this output.
    Succeeded(Value),
    /// With this failure.
    Failed(Error),
    /// It was cancelled.
    Cancelled,
}

impl Outcome {
    fn from_host(outcome: host::Outcome) -> Self {
        match outcome {
            host::Outcome::Succeeded(output) => Self::Succeeded(value(output)),
            host::Outcome::Failed(failure) => Self::Failed(Error::from_failure(failure)),
            host::Outcome::Cancelled => Self::Cancelled,
        }
    }

    /// The output read as JSON.
    ///
    /// # Errors
    /// The run's own failure, `cancelled`, or `bad-output` where the output does not have the shape of `T`.
    pub fn output<T: DeserializeOwned>(self) -> Result<T> {
        match self {
            Self::Succeeded(output) => serde_path_to_error::deserialize(output)
                .map_err(|why| Error::new("bad-output", format!("the run's output: {why}"))),
            Self::Failed(error) => Err(error),
            Self::Cancelled => Err(Error::new("cancelled", "the run was cancelled")),
        }
    }
}

/// Something to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// The next signal of that name sent to this run.
    Signal(String),
    /// The end of a run that this run started.
    Run(RunId),
}

/// What was waited for.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A signal's payload.
    Signal(Value),
    /// A run's end.
    Ended(Outcome),
}

/// Waits for whichever comes first: its place in the list, and what it was. `None` where the timeout came before.
///
/// # Errors
/// `host/wait-in-step` inside a step, `host/cancelled` once this run is to end, `host/not-available` where the host does
/// not do this yet.
pub fn await_first(any_of: &[WaitFor], timeout: Option<Duration>) -> Result<Option<(usize, Event)>> {
    let any_of: Vec<host::WaitFor> = any_of
        .iter()
        .map(|wait| match wait {
            WaitFor::Signal(name) => host::WaitFor::Signal(name.clone()),
            WaitFor::Run(run) => host::WaitFor::Run(run.0.clone()),
        })
        .collect();
    let first = host::await_first(&any_of, timeout.map(to_millis)).map_err(Error::from_failure)?;
    Ok(first.map(|host::First { index, event }| {
        let event = match event {
            host::Event::Signal(payload) => Event::Signal(value(payload)),
            host::Event::Ended(outcome) => Event::Ended(Outcome::from_host(outcome)),
        };
        (index as usize, event)
    }))
}

/// Waits for the next signal of that name; `None` where the timeout came before.
///
/// # Errors
/// As [`await_first`]; `bad-signal` where the payload does not have the shape of `T`.
pub fn await_signal<T: DeserializeOwned>(name: &str, timeout: Option<Duration>) -> Result<Option<T>> {
    match await_first(&[WaitFor::Signal(name.to_owned())], timeout)? {
        Some((_, Event::Signal(payload))) => serde_path_to_error::deserialize(payload)
            .map(Some)
            .map_err(|why| Error::new("bad-signal", format!("the payload of signal `{name}`: {why}"))),
        _ => Ok(None),
    }
}

/// Waits for all of these runs, which this run started: their outcomes in that order. `None` where the timeout came before the last.
///
/// # Errors
/// As [`await_first`].
pub fn await_all(runs: &[RunId], timeout: Option<Duration>) -> Result<Option<Vec<Outcome>>> {
    let runs: Vec<String> = runs.iter().map(|run| run.0.clone()).collect();
    let outcomes = host::await_all(&runs, timeout.map(to_millis)).map_err(Error::from_failure)?;
    Ok(outcomes.map(|outcomes| outcomes.into_iter().map(Outcome::from_host).collect()))
}

/// Shows people how far the run is.
pub fn set_progress(done: u64, total: Option<u64>, note: &str) {
    host::set_progress(done, total, note);
}

/// Shows people and programs a status of your own while the run goes on.
///
/// # Errors
/// `not-json` where it does not serialise.
pub fn set_status(status: &(impl Serialize + ?Sized)) -> Result<()> {
    host::set_status(&json::encode(status)?);
    Ok(())
}

/// Goes on as the same run with this input, an empty journal and the deployment's current revision. Returns only where that is refused,
/// with the reason: `return Err(continue_as_new(&next))`.
pub fn continue_as_new(input: &(impl Serialize + ?Sized)) -> Error {
    match json::encode(input) {
        Ok(input) => Error::from_failure(host::continue_as_new(&input)),
        Err(error) => error,
    }
}

/// The host sends JSON text; what were not JSON is better kept as text than lost.
fn value(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}
