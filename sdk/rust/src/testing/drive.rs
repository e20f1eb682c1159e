//! Executes a run across crashes, failed attempts and generations, and its children, which run when
//! their parent waits.

use super::current::Current;
use super::failure::{of_module, with_no_answers};
use super::journal::Mismatch;
use super::run::{Exit, Fake, Snapshot};
use super::setup::Setup;
use super::world::{Child, ChildEnd, ChildOutcome};
use crate::bindings::imports::tidemill::guest::durable::WaitFor;
use crate::bindings::imports::tidemill::guest::types::Failure as WitFailure;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use tidemill_core::retry::{AfterFailure, FailedAttempt};
use tidemill_core::{Code, Failure};

/// A function in the form of an export: from JSON to JSON.
pub(super) type Function<'a> = &'a dyn Fn(&str) -> Result<String, WitFailure>;

/// How a run ended.
#[derive(Clone, Debug)]
pub(super) enum RunEnd {
    Succeeded(String),
    Failed(Failure),
    Cancelled,
    /// It continued as new more often than the harness allows.
    Continues(String),
    Waits(Vec<WaitFor>),
    Mismatch(Mismatch),
}

/// Executes the run to its end, from the current position of the fake.
pub(super) fn to_the_end(fake: &Rc<Fake>, input: &str, function: Function<'_>) -> RunEnd {
    let mut input = input.to_owned();
    let mut from = fake.run.borrow().durable.clone();
    loop {
        fake.begin(&from);
        let began = fake.run.borrow().attempt;
        match instance(fake, &input, function) {
            Err(Exit::Crash) => from = fake.crashed(),
            Err(Exit::ContinuesAsNew(next)) => {
                fake.commit();
                input = next;
                if fake.run.borrow().generation >= fake.setup.generations {
                    return RunEnd::Continues(input);
                }
                from = fake.run.borrow_mut().next_generation();
            }
            Err(Exit::WaitsForEver(waits)) => return RunEnd::Waits(waits),
            Err(Exit::Mismatch(mismatch)) => return RunEnd::Mismatch(mismatch),
            Err(Exit::Stopped(failed)) => match after_failure(fake, began, failed) {
                Ok(next) => from = next,
                Err(failed) => return RunEnd::Failed(failed),
            },
            Ok(returned) => {
                if let Some(mismatch) = fake.run.borrow().replay.left_over("the end of the run") {
                    return RunEnd::Mismatch(mismatch);
                }
                let notified = fake.run.borrow().notified;
                match returned {
                    Ok(output) => {
                        if let Err(failed) = fake.output(&output) {
                            match after_failure(fake, began, failed) {
                                Ok(next) => from = next,
                                Err(failed) => return RunEnd::Failed(failed),
                            }
                            continue;
                        }
                        fake.commit();
                        return if notified { RunEnd::Cancelled } else { RunEnd::Succeeded(output) };
                    }
                    Err(_) if notified => {
                        fake.commit();
                        return RunEnd::Cancelled;
                    }
                    Err(failed) => match after_failure(fake, began, failed) {
                        Ok(next) => from = next,
                        Err(failed) => return RunEnd::Failed(failed),
                    },
                }
            }
        }
    }
}

/// Returns the state from which the next attempt continues, or the failure of the run.
///
/// What a retry keeps takes effect in the commit that ends a failed attempt. The rest is dropped.
fn after_failure(fake: &Fake, attempt: u32, failed: Failure) -> Result<Snapshot, Failure> {
    // The same answers lead to the same failure.
    let nothing_again = {
        let run = fake.run.borrow();
        run.keep.journal.len() == run.replay.journal.len()
    };
    let now = fake.now();
    take_hold_of_what_is_kept(fake);
    let trap_or_limit = Code::parse(&failed.code).is_some_and(Code::is_trap_or_limit);
    let child = fake.parent.is_some();
    let failure = FailedAttempt { attempt, retryable: failed.retryable, trap_or_limit, child };
    match fake.setup.retry.after_failure(failure, 0) {
        AfterFailure::Retry { delay_millis } if !nothing_again => {
            let mut run = fake.run.borrow_mut();
            // Usage is counted per generation.
            let next = Snapshot { now: now.saturating_add(delay_millis), used: run.used, ..run.keep.clone() };
            run.attempt = attempt + 1;
            run.attempt_from(&next, &fake.world.borrow());
            Ok(next)
        }
        AfterFailure::GiveUp { exhausted: true, .. } if !nothing_again => Err(failed.exhausted(attempt)),
        _ => Err(failed),
    }
}

fn take_hold_of_what_is_kept(fake: &Fake) {
    let mut run = fake.run.borrow_mut();
    let layer = run.keep.layers.first_mut().map(std::mem::take).unwrap_or_default();
    fake.world.borrow_mut().commit(&fake.id, &fake.deployment, run.now, layer);
}

/// Executes one guest: returns its result, or the reason why it left.
fn instance(fake: &Rc<Fake>, input: &str, function: Function<'_>) -> Result<Result<String, Failure>, Exit> {
    with_no_answers(|| called(fake, input, function).map(|returned| returned.map_err(of_module)))
}

fn called(fake: &Rc<Fake>, input: &str, function: Function<'_>) -> Result<Result<String, WitFailure>, Exit> {
    let _aside = crate::durable::set_aside();
    let current = Current::of(Rc::clone(fake));
    let ended = catch_unwind(AssertUnwindSafe(|| function(input)));
    drop(current);
    match ended {
        Ok(returned) => Ok(returned),
        Err(payload) => match payload.downcast::<Exit>() {
            Ok(left) => Err(*left),
            // A panic of the module or of the test itself.
            Err(panic) => resume_unwind(panic),
        },
    }
}

/// Runs all children that were started and have not run, in the order of their start times.
pub(super) fn children(parent: &Fake) {
    loop {
        let next = {
            let world = parent.world.borrow();
            let waiting = world.children.iter().filter(|child| child.parent == parent.id && child.ended.is_none());
            waiting.min_by_key(|child| child.started.begins_at).cloned()
        };
        let Some(child) = next else { return parent.asked_by_others() };
        let ended = run_child(parent, &child);
        let mut world = parent.world.borrow_mut();
        if let Some(child) = world.children.iter_mut().find(|it| it.started.id == child.started.id) {
            child.ended = Some(ended);
        }
    }
}

fn run_child(parent: &Fake, child: &Child) -> ChildEnd {
    let begins_at = child.started.begins_at.as_millis();
    if child.cancelled {
        return ChildEnd { at: begins_at, outcome: ChildOutcome::Cancelled };
    }
    let setup: Rc<Setup> = Rc::clone(&parent.setup);
    let Some(function) = setup.deployments.get(&child.started.deployment).cloned() else {
        return ChildEnd { at: begins_at, outcome: ChildOutcome::Never };
    };
    let fake = Rc::new(Fake::new(
        setup,
        Rc::clone(&parent.world),
        child.started.id.clone(),
        child.started.deployment.clone(),
        Some(parent.id.clone()),
        begins_at,
    ));
    let finish = to_the_end(&fake, &child.started.input.to_string(), &*function);
    let outcome = match finish {
        RunEnd::Succeeded(output) => ChildOutcome::Succeeded(output),
        RunEnd::Failed(failed) => ChildOutcome::Failed(failed),
        RunEnd::Cancelled => ChildOutcome::Cancelled,
        RunEnd::Continues(_) | RunEnd::Waits(_) => ChildOutcome::Never,
        RunEnd::Mismatch(mismatch) => ChildOutcome::Failed(Code::JournalMismatch.failure(mismatch.to_string())),
    };
    ChildEnd { at: fake.now(), outcome }
}
