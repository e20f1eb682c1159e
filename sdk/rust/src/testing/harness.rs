//! What a test says of the world before a run, and the runs themselves. A harness is never changed by a run: each begins in the same world.

use super::drive::{Finish, to_the_end};
use super::grants::Grants;
use super::journal::{Failed, Mismatch, Recording};
use super::limits::Limits;
use super::ran::{End, Ran};
use super::run::{Crash, Fake};
use super::web::{Answer, Handler, Route, Sent};
use super::world::{InInbox, World};
use crate::bindings::imports::tidemill::guest::durable::WaitFor as WitWaitFor;
use crate::bindings::imports::tidemill::guest::types::{Failure, RetryPolicy};
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

/// 2026-01-01T00:00:00Z.
const BEGINNING: u64 = 1_767_225_600_000;
const RUN: &str = "run-in-a-test";

pub(super) type Deployed = Rc<dyn Fn(&str) -> Result<String, Failure>>;
type Sign = Rc<dyn Fn(&str, &str, &[u8]) -> Vec<u8>>;

/// A world without a server, in which a module's function runs.
#[derive(Clone)]
#[must_use = "a harness does nothing until something runs in it"]
pub struct Harness {
    setup: Rc<Setup>,
}

/// What was said of the world.
#[derive(Clone)]
pub(super) struct Setup {
    pub(super) name: String,
    pub(super) config: Value,
    pub(super) trigger: Trigger,
    pub(super) retry: RetryPolicy,
    /// None where everything is granted.
    pub(super) grants: Option<Grants>,
    pub(super) limits: Limits,
    pub(super) begins_at: u64,
    pub(super) state: BTreeMap<String, Vec<u8>>,
    pub(super) routes: Vec<Route>,
    pub(super) signals: Vec<(u64, String, Value)>,
    pub(super) deployments: BTreeMap<String, Deployed>,
    pub(super) sign: Option<Sign>,
    pub(super) cancel_at: Option<u64>,
    pub(super) cancel_after: Option<u64>,
    pub(super) generations: u32,
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
    /// A deployment `test` with an empty configuration and state, at the beginning of 2026, in a world where nobody answers.
    pub fn new() -> Self {
        let trigger =
            Trigger { kind: "manual".to_owned(), name: None, id: None, at: None, parent: None, details: json!({}) };
        let setup = Setup {
            name: "test".to_owned(),
            config: json!({}),
            trigger,
            retry: Retry::default().to_policy(),
            grants: None,
            limits: Limits::default(),
            begins_at: BEGINNING,
            state: BTreeMap::new(),
            routes: Vec::new(),
            signals: Vec::new(),
            deployments: BTreeMap::new(),
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

    /// The deployment's name.
    pub fn name(self, name: impl Into<String>) -> Self {
        self.with(|setup| setup.name = name.into())
    }

    /// The deployment's `[config]`, as JSON.
    #[track_caller]
    pub fn config(self, config: impl Serialize) -> Self {
        self.with(|setup| setup.config = as_json(&config))
    }

    /// What started the run; by hand if not said.
    pub fn triggered_by(self, trigger: Trigger) -> Self {
        self.with(|setup| setup.trigger = trigger)
    }

    /// The run is made for an event of that topic by the subscription `subscription`; what it says is the run's input.
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

    /// The deployment's `[retry]`: five attempts, as a host has it, if not said.
    pub fn retry(self, retry: Retry) -> Self {
        self.with(|setup| setup.retry = retry.to_policy())
    }

    /// The deployment's `[grants]`; everything is granted if not said.
    pub fn grants(self, grants: Grants) -> Self {
        self.with(|setup| setup.grants = Some(grants))
    }

    /// The deployment's `[limits]`, those that a test can count; a host's own if not said.
    pub fn limits(self, limits: Limits) -> Self {
        self.with(|setup| setup.limits = limits)
    }

    /// What time it is when the run begins.
    pub fn begins_at(self, at: Timestamp) -> Self {
        self.with(|setup| setup.begins_at = at.as_millis())
    }

    /// A value in the deployment's state before the run.
    #[track_caller]
    pub fn state(self, key: impl Into<String>, value: impl Serialize) -> Self {
        self.with(|setup| {
            setup.state.insert(key.into(), as_json(&value).to_string().into_bytes());
        })
    }

    /// Who answers requests: `method`, `*` for any, to `url`, which may end in `*` for any rest. Of several that fit, what was said first counts.
    ///
    /// Let the answer depend on the request alone, [`Sent::nth`] included: a test with crashes runs many times, each in a world that begins anew.
    pub fn http<A: Into<Answer>>(
        self,
        method: impl Into<String>,
        url: impl Into<String>,
        answer: impl Fn(&Sent) -> A + 'static,
    ) -> Self {
        let answer: Handler = Rc::new(move |sent| answer(sent).into());
        self.with(|setup| setup.routes.push(Route { method: method.into(), url: url.into(), answer }))
    }

    /// A signal that is sent to the run so long after it began.
    #[track_caller]
    pub fn signal(self, after: Duration, name: impl Into<String>, payload: impl Serialize) -> Self {
        self.with(|setup| setup.signals.push((to_millis(after), name.into(), as_json(&payload))))
    }

    /// Another deployment, whose runs are calls of this function. It may do what any module may, in a state of its own.
    pub fn deployment<I, O, E>(self, name: impl Into<String>, function: impl Fn(I) -> Result<O, E> + 'static) -> Self
    where
        I: DeserializeOwned,
        O: Serialize,
        E: Into<Error>,
    {
        let deployed: Deployed = Rc::new(move |input| export::workflow(input, &function));
        self.with(|setup| {
            setup.deployments.insert(name.into(), deployed);
        })
    }

    /// What secrets sign: given the secret's name, the algorithm and the message.
    pub fn sign(self, sign: impl Fn(&str, &str, &[u8]) -> Vec<u8> + 'static) -> Self {
        self.with(|setup| setup.sign = Some(Rc::new(sign)))
    }

    /// Somebody cancels the run so long after it began.
    pub fn cancel(self, after: Duration) -> Self {
        self.with(|setup| setup.cancel_at = Some(setup.begins_at.saturating_add(to_millis(after))))
    }

    /// Somebody cancels the run when it has so many entries in its journal.
    pub fn cancel_after_entries(self, entries: u64) -> Self {
        self.with(|setup| setup.cancel_after = Some(entries))
    }

    /// How many generations of a run are carried out that goes on as new for ever; ten if not said.
    pub fn generations(self, most: u32) -> Self {
        self.with(|setup| setup.generations = most.max(1))
    }

    /// Runs a function to its end, with an input that it reads as from a host.
    ///
    /// # Panics
    /// Where the function does, or asks for what the world does not have: the test fails.
    #[track_caller]
    pub fn run<I, O, E>(&self, function: impl Fn(I) -> Result<O, E>, input: impl Serialize) -> Ran<O>
    where
        I: DeserializeOwned,
        O: Serialize,
        E: Into<Error>,
    {
        fails_with(self.attempt(&function, &as_json(&input), None, None))
    }

    /// Runs a function from a recording of a run, as a host does where that run goes on with changed code. Its state is this harness'.
    ///
    /// # Errors
    /// Where it calls something else than was recorded.
    pub fn replay<I, O, E>(
        &self,
        recording: &Recording,
        function: impl Fn(I) -> Result<O, E>,
    ) -> Result<Ran<O>, Mismatch>
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
    ) -> Result<Ran<O>, Mismatch>
    where
        I: DeserializeOwned,
        O: Serialize,
        E: Into<Error>,
    {
        let setup = &self.setup;
        let fake = Rc::new(self.fake(crash, recording));
        // The output leaves as it is; beside it the host's text, so that what does not serialise fails here too.
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
            Finish::Succeeded(_) => match output.take() {
                Some(output) => End::Succeeded(output),
                None => End::Failed(Error::new("bad-output", "the function gave no output")),
            },
            Finish::Failed(failed) => End::Failed(error(failed)),
            Finish::Cancelled => End::Cancelled,
            Finish::Continues(input) => End::Continues(serde_json::from_str(&input).unwrap_or_default()),
            Finish::Waits(waits) => End::Waits(waits.into_iter().map(wait_for).collect()),
            Finish::Mismatch(mismatch) => return Err(mismatch),
        };
        let input = serde_json::from_str(&input_text.borrow()).unwrap_or_default();
        let run = fake.run.borrow();
        Ok(Ran {
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

/// A test fails where its subject cannot be written as JSON.
#[track_caller]
#[allow(clippy::panic, reason = "a test fails so")]
fn as_json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_else(|why| panic!("cannot be written as JSON: {why}"))
}

/// A run without a recording that does not match itself has changed something outside of a step from within one, or asked the machine.
#[track_caller]
#[allow(clippy::panic, reason = "a test fails so")]
pub(super) fn fails_with<T>(ran: Result<T, Mismatch>) -> T {
    ran.unwrap_or_else(|mismatch| panic!("brought back from its journal, the run did something else: {mismatch}"))
}

fn error(failed: Failed) -> Error {
    Error::from_failure(failed.into())
}

fn wait_for(wait: WitWaitFor) -> WaitFor {
    match wait {
        WitWaitFor::Signal(name) => WaitFor::Signal(name),
        WitWaitFor::Run(id) => WaitFor::Run(crate::durable::RunId::from_host(id)),
    }
}
