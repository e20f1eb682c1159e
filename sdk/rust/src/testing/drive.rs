//! Executes a run across crashes, failed attempts and generations, and its children, which run when
//! their parent waits.

use super::harness::Setup;
use super::host::{Current, durable::close_all};
use super::journal::{Failed, Mismatch, with_no_answers};
use super::run::{Fake, Left};
use super::wait::delay;
use super::world::{Child, Ended, Outcome};
use crate::bindings::imports::tidemill::guest::durable::WaitFor;
use crate::bindings::imports::tidemill::guest::types::Failure;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

/// A function in the form of an export: from JSON to JSON.
pub(super) type Function<'a> = &'a dyn Fn(&str) -> Result<String, Failure>;

/// How a run ended.
#[derive(Clone, Debug)]
pub(super) enum Finish {
    Succeeded(String),
    Failed(Failed),
    Cancelled,
    /// It continued as new more often than the harness allows.
    Continues(String),
    Waits(Vec<WaitFor>),
    Mismatch(Mismatch),
}

/// Executes the run to its end, from the current position of the fake.
pub(super) fn to_the_end(fake: &Rc<Fake>, input: &str, function: Function<'_>) -> Finish {
    let mut input = input.to_owned();
    let mut from = fake.run.borrow().durable.clone();
    loop {
        fake.begin(&from);
        let began = fake.run.borrow().attempt;
        match instance(fake, &input, function) {
            Err(Left::Crash) => from = fake.crashed(),
            Err(Left::ContinuesAsNew(next)) => {
                fake.commit();
                input = next;
                if fake.run.borrow().generation >= fake.setup.generations {
                    return Finish::Continues(input);
                }
                from = fake.run.borrow_mut().next_generation();
            }
            Err(Left::WaitsForEver(waits)) => return Finish::Waits(waits),
            Err(Left::Mismatch(mismatch)) => return Finish::Mismatch(mismatch),
            Err(Left::Stopped(failed)) => {
                // Traps and limits are not retried.
                take_hold_of_what_is_kept(fake);
                return Finish::Failed(failed);
            }
            Ok(returned) => {
                if let Some(mismatch) = fake.run.borrow().replay.left_over("the end of the run") {
                    return Finish::Mismatch(mismatch);
                }
                let told = fake.run.borrow().told;
                match returned {
                    Ok(output) => {
                        if let Err(failed) = fake.output(&output) {
                            take_hold_of_what_is_kept(fake);
                            return Finish::Failed(failed);
                        }
                        fake.commit();
                        return if told { Finish::Cancelled } else { Finish::Succeeded(output) };
                    }
                    Err(_) if told => {
                        fake.commit();
                        return Finish::Cancelled;
                    }
                    Err(failed) => {
                        let nothing_new = {
                            let run = fake.run.borrow();
                            run.keep.journal.len() == run.replay.journal.len()
                        };
                        let policy = fake.setup.retry;
                        let exhausted = policy.max_attempts != 0 && began >= policy.max_attempts;
                        let now = fake.now();
                        // What a retry keeps takes effect in the commit that ends a failed attempt.
                        // The rest is dropped.
                        take_hold_of_what_is_kept(fake);
                        if !failed.retryable || exhausted || nothing_new {
                            return Finish::Failed(failed);
                        }
                        from = fake.run.borrow().keep.clone();
                        from.now = now.saturating_add(delay(&policy, began));
                        // Usage is counted per generation.
                        from.used = fake.run.borrow().used;
                        let mut run = fake.run.borrow_mut();
                        run.attempt = began + 1;
                        run.attempt_from(&from, &fake.world.borrow());
                    }
                }
            }
        }
    }
}

fn take_hold_of_what_is_kept(fake: &Fake) {
    let mut run = fake.run.borrow_mut();
    let layer = run.keep.layers.first_mut().map(std::mem::take).unwrap_or_default();
    fake.world.borrow_mut().commit(&fake.id, &fake.deployment, run.now, layer);
}

/// Executes one guest: returns its result, or the reason why it left.
fn instance(fake: &Rc<Fake>, input: &str, function: Function<'_>) -> Result<Result<String, Failed>, Left> {
    with_no_answers(|| called(fake, input, function).map(|returned| returned.map_err(Failed::of_module)))
}

fn called(fake: &Rc<Fake>, input: &str, function: Function<'_>) -> Result<Result<String, Failure>, Left> {
    let _aside = crate::durable::set_aside();
    close_all();
    let current = Current::of(Rc::clone(fake));
    let ended = catch_unwind(AssertUnwindSafe(|| function(input)));
    drop(current);
    close_all();
    match ended {
        Ok(returned) => Ok(returned),
        Err(payload) => match payload.downcast::<Left>() {
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

fn run_child(parent: &Fake, child: &Child) -> Ended {
    let begins_at = child.started.begins_at.as_millis();
    if child.cancelled {
        return Ended { at: begins_at, outcome: Outcome::Cancelled };
    }
    let setup: Rc<Setup> = Rc::clone(&parent.setup);
    let Some(function) = setup.deployments.get(&child.started.deployment).cloned() else {
        return Ended { at: begins_at, outcome: Outcome::Never };
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
        Finish::Succeeded(output) => Outcome::Succeeded(output),
        Finish::Failed(failed) => Outcome::Failed(failed),
        Finish::Cancelled => Outcome::Cancelled,
        Finish::Continues(_) | Finish::Waits(_) => Outcome::Never,
        Finish::Mismatch(mismatch) => Outcome::Failed(Failed::host("journal-mismatch", mismatch.to_string())),
    };
    Ended { at: fake.now(), outcome }
}
