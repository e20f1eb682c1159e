//! `operator`: an action changes another deployment of the world at once, and the world keeps the
//! answer for a repetition of the call.

use super::current;
use super::types::Failure as WitFailure;
use crate::Timestamp;
pub(crate) use crate::bindings::imports::tidemill::guest::operator::DeploymentHealth;
use crate::testing::limits;
use crate::testing::run::{Fake, hash};
use crate::testing::world::{OperatedDeployment, OperatorCall, PersonDecision};
use serde::{Deserialize, Serialize};
use tidemill_core::operator::{OPERATOR_ACTIONS_MAX, OperatorAction};
use tidemill_core::{Code, DeploymentName, Failure};

/// The health of a deployment as the journal records it.
#[derive(Serialize, Deserialize)]
struct RecordedHealth {
    status: String,
    since: Option<u64>,
    reason: Option<String>,
    paused: bool,
}

pub(crate) fn health(deployment: &str) -> Result<DeploymentHealth, WitFailure> {
    let fake = current();
    let name = limits::deployment_name(deployment)?;
    let health = fake.fallible("operator.health", deployment, || {
        fake.may_operate(None, &name)?;
        let world = fake.world.borrow();
        let operated = world.operated.get(deployment).ok_or_else(|| no_deployment(&name))?;
        let OperatedDeployment { status, since, reason, paused, .. } = operated.clone();
        Ok(RecordedHealth {
            status: status.as_str().to_owned(),
            since: since.map(Timestamp::as_millis),
            reason,
            paused,
        })
    });
    let RecordedHealth { status, since, reason, paused } = health.map_err(WitFailure::from)?;
    Ok(DeploymentHealth { status, since, reason, paused })
}

pub(crate) fn pause(deployment: &str, note: &str) -> Result<(), WitFailure> {
    act(OperatorAction::Pause, deployment, Argument::None, note).map(drop)
}

pub(crate) fn resume(deployment: &str, note: &str) -> Result<(), WitFailure> {
    act(OperatorAction::Resume, deployment, Argument::None, note).map(drop)
}

pub(crate) fn rollback(deployment: &str, revision: Option<u64>, note: &str) -> Result<u64, WitFailure> {
    act(OperatorAction::Rollback, deployment, Argument::Revision(revision), note)
}

pub(crate) fn retry_parked(deployment: &str, limit: u32, note: &str) -> Result<u32, WitFailure> {
    let retried = act(OperatorAction::Retry, deployment, Argument::Limit(limit), note)?;
    Ok(u32::try_from(retried).unwrap_or(limit))
}

pub(crate) fn recycle(deployment: &str, note: &str) -> Result<(), WitFailure> {
    act(OperatorAction::Recycle, deployment, Argument::None, note).map(drop)
}

/// What an action needs besides the deployment.
#[derive(Clone, Copy, Debug)]
enum Argument {
    None,
    Revision(Option<u64>),
    Limit(u32),
}

/// Acts once, and returns the revision, the number of runs, or 0.
fn act(action: OperatorAction, deployment: &str, argument: Argument, note: &str) -> Result<u64, WitFailure> {
    let fake = current();
    let limit = if let Argument::Limit(limit) = argument { Some(limit) } else { None };
    let name = limits::operator(deployment, note, limit)?;
    let kind = match action {
        OperatorAction::Retry => "operator.retry-parked".to_owned(),
        action => format!("operator.{action}"),
    };
    let key = key(&fake, action, &format!("{kind} {name} {argument:?}"));
    let acted = fake.fallible(&kind, &format!("{name} {argument:?}: {note}"), || {
        fake.may_operate(Some(action), &name)?;
        claim_in_step(&fake, &kind)?;
        fake.commit();
        perform(&fake, key, action, &name, argument, note)
    });
    if acted.is_ok() {
        fake.keep();
    }
    fake.save();
    acted.map_err(WitFailure::from)
}

/// Returns the key of a call, as a host derives it: an action that moves on is one in all attempts
/// of a step, and one that sets a state is repeated by the next attempt.
fn key(fake: &Fake, action: OperatorAction, call: &str) -> String {
    let moves_on = matches!(action, OperatorAction::Rollback | OperatorAction::Retry);
    let call = match moves_on {
        true => call.to_owned(),
        false => format!("{call} {:?}", fake.run.borrow().replay.attempts()),
    };
    let nth = fake.nth_sent(&call);
    let run = fake.run.borrow();
    let place = format!("{:?} {nth} {call}", run.replay.path());
    format!("{} {} {:016x}", fake.id, run.generation, hash(&place))
}

fn claim_in_step(fake: &Fake, kind: &str) -> Result<(), Failure> {
    if fake.run.borrow().layers.iter().skip(1).any(|layer| layer.claimed) {
        let message =
            format!("`{kind}` follows a compare-and-set or a reservation in the same step: claim before the step");
        return Err(Code::ClaimInStep.failure(message));
    }
    Ok(())
}

fn no_deployment(name: &DeploymentName) -> Failure {
    Code::DeploymentNotFound.failure(format!("there is no deployment `{name}`; add `Harness::operated` to the test"))
}

fn perform(
    fake: &Fake,
    key: String,
    action: OperatorAction,
    name: &DeploymentName,
    argument: Argument,
    note: &str,
) -> Result<u64, Failure> {
    let mut world = fake.world.borrow_mut();
    if let Some(answer) = world.operator_answers.get(&key) {
        return Ok(*answer);
    }
    let generation = format!("{} {} ", fake.id, fake.run.borrow().generation);
    let acted = world.operator_answers.keys().filter(|key| key.starts_with(&generation)).count();
    let operated = world.operated.get_mut(name.as_str()).ok_or_else(|| no_deployment(name))?;
    if let Some((decision, note)) = &operated.decision {
        let what = match decision {
            PersonDecision::Paused => format!("a person has paused `{name}`, with the note {note:?}"),
            PersonDecision::ForcedBreaker => format!("a person has forced the circuit breaker of `{name}`: {note}"),
        };
        return Err(Code::OperatorRefused.failure(what));
    }
    if acted >= OPERATOR_ACTIONS_MAX {
        let message = format!("the run has acted on other deployments {OPERATOR_ACTIONS_MAX} times");
        return Err(Code::OperatorRefused.failure(message));
    }
    let answer = match argument {
        Argument::Revision(to) => roll_back(operated, name, to)?,
        Argument::Limit(limit) => {
            let retried = limit.min(operated.parked);
            operated.parked -= retried;
            retried.into()
        }
        Argument::None => {
            match action {
                OperatorAction::Pause => operated.paused = true,
                OperatorAction::Resume => operated.paused = false,
                _ => {}
            }
            0
        }
    };
    world.operator_answers.insert(key, answer);
    let (deployment, note) = (name.to_string(), note.to_owned());
    world.operator_calls.push(OperatorCall { action: action.to_string(), deployment, note });
    Ok(answer)
}

/// Each revision of the world has a content of its own, except that a rollback repeats one.
fn roll_back(operated: &mut OperatedDeployment, name: &DeploymentName, to: Option<u64>) -> Result<u64, Failure> {
    let present = operated.revision;
    let to = to.unwrap_or(present.saturating_sub(1));
    if to == 0 || to > present {
        let message = format!("`{name}` has no revision {to}; its present revision is {present}");
        return Err(Code::RevisionNotFound.failure(message));
    }
    if to != present {
        operated.revision += 1;
    }
    Ok(operated.revision)
}
