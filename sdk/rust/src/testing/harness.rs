//! The initial world of a test, and its runs. A run never changes a harness: each run starts in the
//! same world.

use super::drive::{RunEnd, to_the_end};
use super::grants::Grants;
use super::journal::{Mismatch, Recording};
use super::limits::{self, Limits};
use super::run::{Crash, Fake};
use super::run_result::{End, RunResult};
use super::setup::{DeployedFunction, Setup};
use super::web::{Answer, Handler, Route, SentRequest};
use super::world::{InInbox, OperatedDeployment, World};
use crate::bindings::imports::tidemill::guest::durable::WaitFor as WitWaitFor;
use crate::context::Trigger;
use crate::durable::WaitFor;
use crate::time::to_millis;
use crate::{Error, Result, Retry, Timestamp, export};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use tidemill_core::Failure;
use tidemill_core::manifest::LedgerPolicy;
use tidemill_core::retry::RunRetry;

/// 2026-01-01T00:00:00Z.
const BEGINNING: u64 = 1_767_225_600_000;
const RUN: &str = "run-in-a-test";

/// A simulated host in which a module's function runs.
#[derive(Clone)]
#[must_use = "a harness does nothing until a function runs in it"]
pub struct Harness {
    setup: Rc<Setup>,
}

impl Default for Harness {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Harness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Harness").field("name", &self.setup.name).finish_non_exhaustive()
    }
}

impl Harness {
    /// Creates a deployment `test` with an empty configuration and state, at the start of 2026, in
    /// a world without servers.
    pub fn new() -> Self {
        let trigger =
            Trigger { kind: "manual".to_owned(), name: None, id: None, at: None, parent: None, details: json!({}) };
        let setup = Setup {
            name: "test".to_owned(),
            config: json!({}),
            trigger,
            retry: RunRetry::default(),
            ledger: LedgerPolicy::default(),
            grants: None,
            limits: Limits::default(),
            begins_at: BEGINNING,
            state: BTreeMap::new(),
            routes: Vec::new(),
            signals: Vec::new(),
            deployments: BTreeMap::new(),
            operated: BTreeMap::new(),
            sign: None,
            cancel_at: None,
            cancel_after: None,
            generations: 10,
        };
        Self { setup: Rc::new(setup) }
    }

    fn with(mut self, change: impl FnOnce(&mut Setup)) -> Self {
        change(Rc::make_mut(&mut self.setup));
        self
    }

    /// Sets the name of the deployment.
    pub fn name(self, name: impl Into<String>) -> Self {
        self.with(|setup| setup.name = name.into())
    }

    /// Sets the deployment's `[config]`, as JSON.
    #[track_caller]
    pub fn config(self, config: impl Serialize) -> Self {
        self.with(|setup| setup.config = as_json(&config))
    }

    /// Sets the trigger of the run. The default is manual.
    pub fn triggered_by(self, trigger: Trigger) -> Self {
        self.with(|setup| setup.trigger = trigger)
    }

    /// Triggers the run by an event of this topic and the subscription `subscription`. The payload
    /// of the event is the run's input.
    pub fn event(self, topic: impl Into<String>) -> Self {
        self.with(|setup| {
            setup.trigger = Trigger {
                kind: "event".to_owned(),
                name: Some(topic.into()),
                id: Some("01kakq3vj6x0cm4kd9be2f7h1n".to_owned()),
                at: Some(Timestamp::from_millis(setup.begins_at)),
                parent: None,
                details: serde_json::json!({ "subscription": "subscription" }),
            };
        })
    }

    /// Sets the deployment's `[retry]`. The default is five attempts, as on a host.
    pub fn retry(self, retry: Retry) -> Self {
        self.run_retry(RunRetry { policy: limits::policy(&retry.to_policy()), ..RunRetry::default() })
    }

    pub(super) fn run_retry(self, retry: RunRetry) -> Self {
        self.with(|setup| setup.retry = retry)
    }

    pub(super) fn ledger(self, ledger: LedgerPolicy) -> Self {
        self.with(|setup| setup.ledger = ledger)
    }

    /// Sets the deployment's `[grants]`. By default everything is granted.
    pub fn grants(self, grants: Grants) -> Self {
        self.with(|setup| setup.grants = Some(grants))
    }

    /// Sets those `[limits]` of the deployment that a test can count. The defaults are those of a
    /// host.
    pub fn limits(self, limits: Limits) -> Self {
        self.with(|setup| setup.limits = limits)
    }

    /// Sets the start time of the run.
    pub fn begins_at(self, at: Timestamp) -> Self {
        self.with(|setup| setup.begins_at = at.as_millis())
    }

    /// Sets a value in the deployment's state before the run.
    #[track_caller]
    pub fn state(self, key: impl Into<String>, value: impl Serialize) -> Self {
        self.with(|setup| {
            setup.state.insert(key.into(), as_json(&value).to_string().into_bytes());
        })
    }

    /// Sets the function that answers requests with `method` (`*` for any) to `url` (a final `*`
    /// matches any rest). The first matching route answers.
    ///
    /// The answer must depend only on the request, including [`SentRequest::nth`]: a test with
    /// crashes runs many times, each in a new world.
    pub fn http<A: Into<Answer>>(
        self,
        method: impl Into<String>,
        url: impl Into<String>,
        answer: impl Fn(&SentRequest) -> A + 'static,
    ) -> Self {
        let answer: Handler = Rc::new(move |sent| answer(sent).into());
        self.with(|setup| setup.routes.push(Route { method: method.into(), url: url.into(), answer }))
    }

    /// Sends a signal to the run this long after its start.
    #[track_caller]
    pub fn signal(self, after: Duration, name: impl Into<String>, payload: impl Serialize) -> Self {
        self.with(|setup| setup.signals.push((to_millis(after), name.into(), as_json(&payload))))
    }

    /// Adds another deployment, whose runs call this function. It has its own state, and everything
    /// is granted to it.
    pub fn deployment<I, O, E>(self, name: impl Into<String>, function: impl Fn(I) -> Result<O, E> + 'static) -> Self
    where
        I: DeserializeOwned,
        O: Serialize,
        E: Into<Error>,
    {
        let deployed: DeployedFunction = Rc::new(move |input| export::workflow(input, &function));
        self.with(|setup| {
            setup.deployments.insert(name.into(), deployed);
        })
    }

    /// Adds a deployment that the run can act on through [`operator`](crate::operator).
    pub fn operated(self, name: impl Into<String>, deployment: OperatedDeployment) -> Self {
        self.with(|setup| {
            setup.operated.insert(name.into(), deployment);
        })
    }

    /// Sets the function that signs. It receives the secret's name, the algorithm and the message.
    pub fn sign(self, sign: impl Fn(&str, &str, &[u8]) -> Vec<u8> + 'static) -> Self {
        self.with(|setup| setup.sign = Some(Rc::new(sign)))
    }

    /// Cancels the run this long after its start.
    pub fn cancel(self, after: Duration) -> Self {
        self.with(|setup| setup.cancel_at = Some(setup.begins_at.saturating_add(to_millis(after))))
    }

    /// Cancels the run when its journal has this number of entries.
    pub fn cancel_after_entries(self, entries: u64) -> Self {
        self.with(|setup| setup.cancel_after = Some(entries))
    }

    /// Sets the maximum number of generations of a run that continues as new without end. The
    /// default is ten.
    pub fn generations(self, most: u32) -> Self {
        self.with(|setup| setup.generations = most.max(1))
    }

    /// Runs a function to its end, with an input that it decodes as on a host.
    ///
    /// # Panics
    /// If the function panics, or uses something that the world does not have. The test fails.
    #[track_caller]
    pub fn run<I, O, E>(&self, function: impl Fn(I) -> Result<O, E>, input: impl Serialize) -> RunResult<O>
    where
        I: DeserializeOwned,
        O: Serialize,
        E: Into<Error>,
    {
        fails_with(self.attempt(&function, &as_json(&input), None, None))
    }

    /// Replays a recording of a run with a function, like a host that continues the run with
    /// changed code. The state is that of this harness.
    ///
    /// # Errors
    /// The function makes a call that differs from the recording.
    pub fn replay<I, O, E>(
        &self,
        recording: &Recording,
        function: impl Fn(I) -> Result<O, E>,
    ) -> Result<RunResult<O>, Mismatch>
    where
        I: DeserializeOwned,
        O: Serialize,
        E: Into<Error>,
    {
        self.attempt(&function, &recording.input, None, Some(recording))
    }

    pub(super) fn attempt<I, O, E>(
        &self,
        function: &dyn Fn(I) -> Result<O, E>,
        input: &Value,
        crash: Option<Crash>,
        recording: Option<&Recording>,
    ) -> Result<RunResult<O>, Mismatch>
    where
        I: DeserializeOwned,
        O: Serialize,
        E: Into<Error>,
    {
        let setup = &self.setup;
        let fake = Rc::new(self.fake(crash, recording));
        // The output is returned as a value. The host's text is created too, so that a value that
        // does not serialize fails here.
        let output = RefCell::new(None);
        let input_text = RefCell::new(input.to_string());
        let exported = |input: &str| {
            *input_text.borrow_mut() = input.to_owned();
            let slot = &output;
            export::workflow(input, |input: I| {
                let value = function(input).map_err(Into::<Error>::into)?;
                let shown = serde_json::to_value(&value).map_err(Error::from)?;
                *slot.borrow_mut() = Some(value);
                Ok::<_, Error>(shown)
            })
        };
        let finish = to_the_end(&fake, &input.to_string(), &exported);
        let end = match finish {
            RunEnd::Succeeded(_) => match output.take() {
                Some(output) => End::Succeeded(output),
                None => End::Failed(Error::new("bad-output", "the function returned no output")),
            },
            RunEnd::Failed(failed) => End::Failed(error(failed)),
            RunEnd::Cancelled => End::Cancelled,
            RunEnd::Continues(input) => End::Continues(serde_json::from_str(&input).unwrap_or_default()),
            RunEnd::Waits(waits) => End::Waits(waits.into_iter().map(wait_for).collect()),
            RunEnd::Mismatch(mismatch) => return Err(mismatch),
        };
        let input = serde_json::from_str(&input_text.borrow()).unwrap_or_default();
        let run = fake.run.borrow();
        Ok(RunResult {
            end,
            deployment: setup.name.clone(),
            began: setup.begins_at,
            ended: run.now,
            attempts: run.attempt,
            generation: run.generation,
            entries: run.recorded,
            recording: Recording { input, generation: run.generation, journal: run.replay.journal.clone() },
            world: std::mem::take(&mut *fake.world.borrow_mut()),
        })
    }

    fn fake(&self, crash: Option<Crash>, recording: Option<&Recording>) -> Fake {
        let setup = &self.setup;
        let mut world = World::default();
        world.state.insert(setup.name.clone(), setup.state.clone());
        world.operated = setup.operated.clone();
        let inbox = setup.signals.iter().map(|(after, name, payload)| InInbox {
            at: setup.begins_at.saturating_add(*after),
            name: name.clone(),
            payload: payload.to_string(),
            taken: false,
        });
        world.inboxes.insert(RUN.to_owned(), inbox.collect());
        let world = Rc::new(RefCell::new(world));
        let mut fake = Fake::new(Rc::clone(setup), world, RUN.to_owned(), setup.name.clone(), None, setup.begins_at);
        fake.cancel_at.set(setup.cancel_at);
        fake.cancel_after = setup.cancel_after;
        let mut run = fake.run.borrow_mut();
        run.crash = crash;
        if let Some(recording) = recording {
            run.generation = recording.generation;
            run.durable.journal = recording.journal.clone();
        }
        drop(run);
        fake
    }
}

/// Fails the test if its subject cannot be written as JSON.
#[track_caller]
#[allow(clippy::panic, reason = "it fails the test")]
fn as_json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_else(|why| panic!("cannot be written as JSON: {why}"))
}

/// Fails the test if a run without a recording diverges from its own journal. Such a run has
/// changed something outside a step from inside it, or has used the machine directly.
#[track_caller]
#[allow(clippy::panic, reason = "it fails the test")]
pub(super) fn fails_with<T>(ran: Result<T, Mismatch>) -> T {
    ran.unwrap_or_else(|mismatch| panic!("replay diverged from the journal: {mismatch}"))
}

fn error(failed: Failure) -> Error {
    Error::from_failure(failed.into())
}

fn wait_for(wait: WitWaitFor) -> WaitFor {
    match wait {
        WitWaitFor::Signal(name) => WaitFor::Signal(name),
        WitWaitFor::Run(id) => WaitFor::Run(crate::durable::RunId::from_host(id)),
    }
}
