//! `durable`: steps, other runs, signals, waits, continue-as-new.

use super::types::{Failure as WitFailure, RetryPolicy as WitRetryPolicy};
use super::{current, types};
use crate::Timestamp;
pub(crate) use crate::bindings::imports::tidemill::guest::durable::{
    Begun, Event, First, Outcome, StartOptions, Step, Target, Verdict, WaitFor,
};
use crate::testing::checks::stop_unless;
use crate::testing::failure::of_module;
use crate::testing::journal::StepEntry;
use crate::testing::limits;
use crate::testing::run::{Exit, Fake, hash, leave};
use crate::testing::wait::{RecordedOutcome, WaitResult};
use crate::testing::world::{SentSignal, StartedRun};
use tidemill_core::{Code, Failure};

pub(crate) fn begin_step(name: &str, retry: Option<WitRetryPolicy>) -> Result<Begun, WitFailure> {
    let fake = current();
    limits::step(name, fake.run.borrow().open_steps.len())?;
    let retry = retry.map_or(Ok(fake.setup.retry.policy), |retry| limits::retry(&retry))?;
    let attempt = match fake.begin_step(name) {
        StepEntry::Refused(failed) => {
            fake.hear(&failed);
            return Err(failed.into());
        }
        StepEntry::Done { outcome, at } => {
            fake.pass_to(at);
            return match outcome {
                Ok(record) => Ok(Begun { id: 0, step: Step::Completed(record) }),
                Err(failed) => {
                    fake.hear(&failed);
                    Err(failed.into())
                }
            };
        }
        StepEntry::Open { attempt, at } => {
            fake.pass_to(at);
            fake.opened(false);
            attempt
        }
        StepEntry::New => {
            if fake.must_be_notified() {
                // Recorded as a call, because no step began.
                fake.fallible::<()>("durable.begin-step", name, || Ok(())).map_err(WitFailure::from)?;
            }
            let now = fake.now();
            fake.run.borrow_mut().replay.open(name, now);
            fake.opened(true);
            fake.recorded();
            1
        }
    };
    let mut run = fake.run.borrow_mut();
    run.open_steps.push(retry);
    let id = u32::try_from(run.open_steps.len()).unwrap_or(u32::MAX);
    Ok(Begun { id, step: Step::Execute(attempt) })
}

pub(crate) fn end_step(id: u32, outcome: Result<&str, &WitFailure>) -> Result<Verdict, WitFailure> {
    let fake = current();
    let innermost = {
        let run = fake.run.borrow();
        run.open_steps.last().copied().filter(|_| run.open_steps.len() == id as usize)
    };
    let Some(retry) = innermost else {
        return Err(Code::StepOrder.failure("only the innermost open step can be ended").into());
    };
    if let Some(mismatch) = fake.run.borrow().replay.left_over("the end of the step") {
        leave(Exit::Mismatch(mismatch));
    }
    let failure = match outcome {
        Ok(record) => {
            limits::result(record).map_err(WitFailure::from)?;
            fake.end_step(Ok(record.to_owned()));
            fake.run.borrow_mut().open_steps.pop();
            return Ok(Verdict::Done);
        }
        Err(failure) => of_module(failure.clone()),
    };
    let attempt = fake.run.borrow_mut().replay.attempt();
    let gave_up = if failure.retryable && retry.has_another(attempt) {
        // The delay between attempts is allowed inside a step, unlike a wait. A cancellation ends
        // it.
        let due = fake.now().saturating_add(retry.delay_before(attempt + 1, 0));
        match fake.pass_unless_cancelled(due) {
            Ok(()) => {
                fake.attempt_again(attempt + 1);
                return Ok(Verdict::Again(attempt + 1));
            }
            Err(cancelled) => cancelled,
        }
    } else {
        // The enclosing step or run does not retry a step that failed finally.
        Failure { retryable: false, ..failure }
    };
    fake.hear(&gave_up);
    fake.end_step(Err(gave_up.clone()));
    fake.run.borrow_mut().open_steps.pop();
    Ok(Verdict::GiveUp(gave_up.into()))
}

#[allow(clippy::panic, reason = "a test without this deployment cannot continue")]
pub(crate) fn start(deployment: &str, input: &str, options: &StartOptions) -> Result<String, WitFailure> {
    let fake = current();
    let labels: Vec<(String, String)> =
        options.labels.iter().map(|types::Field { name, value }| (name.clone(), value.clone())).collect();
    let request = format!(
        "{deployment} {input} key {:?} delay {:?} priority {:?} export {:?} labels {labels:?} detached {}",
        options.idempotency_key, options.delay, options.priority, options.export, options.detached
    );
    let nth = fake.nth_started(&request);
    let id = match &options.idempotency_key {
        Some(key) => format!("{deployment}/{key}"),
        None => {
            let generation = fake.run.borrow().generation;
            format!("{}-{:016x}", fake.id, hash(&format!("{generation} {request} {nth}")))
        }
    };
    fake.fallible("durable.start", &request, || {
        limits::start(deployment, input, options)?;
        fake.may_start()?;
        fake.may_touch(deployment)?;
        fake.has_room()?;
        if !fake.setup.deployments.contains_key(deployment) {
            panic!("there is no deployment `{deployment}` in this test: add `Harness::deployment({deployment:?}, …)`");
        }
        let begins_at = Timestamp::from_millis(fake.now().saturating_add(options.delay.unwrap_or(0)));
        let input: serde_json::Value = serde_json::from_str(input).unwrap_or_default();
        match fake.started_input(&id) {
            Some(before) if before == input => return Ok(id),
            Some(_) => {
                let message = format!("`{id}` started a run with another input");
                return Err(Code::IdempotencyMismatch.failure(message));
            }
            None => {}
        }
        let (id, deployment, detached) = (id.clone(), deployment.to_owned(), options.detached);
        fake.write(|layer| {
            layer.starts.push(StartedRun { id: id.clone(), deployment, input, detached, labels, begins_at })
        });
        Ok(id)
    })
    .map_err(WitFailure::from)
}

fn named(target: &Target) -> String {
    match target {
        Target::Run(id) => id.clone(),
        Target::Key((deployment, key)) => format!("{deployment}/{key}"),
    }
}

/// A run by key belongs to its deployment. A run by id is this run's child or parent, or unknown to
/// the test.
fn may_reach(fake: &Fake, target: &Target) -> Result<(), Failure> {
    match target {
        Target::Key((deployment, key)) if !fake.starts(&format!("{deployment}/{key}")) => fake.may_touch(deployment),
        Target::Key(_) | Target::Run(_) => Ok(()),
    }
}

pub(crate) fn signal(target: &Target, name: &str, payload: &str) -> Result<(), WitFailure> {
    let fake = current();
    let to = named(target);
    fake.fallible("durable.signal", &format!("{to} {name} {payload}"), || {
        limits::payload(payload)?;
        limits::signal(name)?;
        fake.has_room()?;
        may_reach(&fake, target)?;
        let payload = serde_json::from_str(payload).unwrap_or_default();
        let signal = SentSignal { to: to.clone(), name: name.to_owned(), payload };
        fake.write(|layer| layer.signals.push(signal));
        Ok(())
    })
    .map_err(WitFailure::from)
}

pub(crate) fn cancel(target: &Target) -> Result<(), WitFailure> {
    let fake = current();
    let run = named(target);
    fake.fallible("durable.cancel", &run, || {
        fake.has_room()?;
        may_reach(&fake, target)?;
        fake.write(|layer| layer.cancels.push(run.clone()));
        Ok(())
    })
    .map_err(WitFailure::from)
}

pub(crate) fn await_first(any_of: &[WaitFor], timeout: Option<u64>) -> Result<Option<First>, WitFailure> {
    let fake = current();
    let names: Vec<String> = any_of
        .iter()
        .map(|wait| match wait {
            WaitFor::Signal(name) => format!("signal {name}"),
            WaitFor::Run(id) => format!("run {id}"),
        })
        .collect();
    let request = format!("{} within {timeout:?}", names.join(", "));
    let came = fake.fallible("durable.await-first", &request, || {
        let signals = any_of.iter().filter_map(|wait| if let WaitFor::Signal(name) = wait { Some(name) } else { None });
        let count = signals.clone().count();
        limits::waits(count, any_of.len() - count, timeout.is_some())?;
        signals.into_iter().try_for_each(|name| limits::signal(name))?;
        fake.await_first(any_of, timeout)
    });
    if matches!(came, Ok(WaitResult::Timeout)) {
        fake.keep();
    }
    Ok(match came.map_err(WitFailure::from)? {
        WaitResult::Signal(index, payload) => Some(First { index, event: Event::Signal(payload) }),
        WaitResult::Outcome(index, how) => Some(First { index, event: Event::Ended(outcome(how)) }),
        WaitResult::Timeout => None,
    })
}

pub(crate) fn await_all(runs: &[String], timeout: Option<u64>) -> Result<Option<Vec<Outcome>>, WitFailure> {
    let fake = current();
    let request = format!("{} within {timeout:?}", runs.join(", "));
    let outcomes = fake.fallible("durable.await-all", &request, || {
        limits::waits(0, runs.len(), true)?;
        fake.await_all(runs, timeout)
    });
    if matches!(outcomes, Ok(None)) {
        fake.keep();
    }
    Ok(outcomes.map_err(WitFailure::from)?.map(|outcomes| outcomes.into_iter().map(outcome).collect()))
}

fn outcome(how: RecordedOutcome) -> Outcome {
    match how {
        RecordedOutcome::Succeeded(output) => Outcome::Succeeded(output),
        RecordedOutcome::Failed(failed) => Outcome::Failed(failed.into()),
        RecordedOutcome::Cancelled => Outcome::Cancelled,
    }
}

pub(crate) fn set_progress(done: u64, total: Option<u64>, note: &str) {
    current().world.borrow_mut().progress = Some((done, total, limits::note(note).to_owned()));
}

pub(crate) fn set_status(status: &str) {
    stop_unless(limits::status(status));
    current().world.borrow_mut().status = serde_json::from_str(status).ok();
}

pub(crate) fn continue_as_new(input: &str) -> WitFailure {
    let fake = current();
    let refused = fake.fallible("durable.continue-as-new", input, || {
        limits::input(input)?;
        fake.may_start()?;
        leave(Exit::ContinuesAsNew(input.to_owned()))
    });
    match refused {
        Ok(()) => leave(Exit::ContinuesAsNew(input.to_owned())),
        Err(failed) => failed.into(),
    }
}
