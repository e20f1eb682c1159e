//! `tidemill:guest/operator`: actions on other deployments, for runbooks. A note holds 1 KiB, a
//! call retries 100 parked runs, and a generation of a run acts 256 times.
//!
//! An action is like an unsafe request of `http`: everything recorded before it is committed first,
//! and its answer is saved at once. In addition, the store keeps the answer under the key of the
//! call together with what the action changed, so that a crash between the two does not act again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tidemill_core::journal::Kind;
use tidemill_core::manifest::OperatorGrant;
use tidemill_core::operator::{OperatorAction, note_problem, retry_limit_problem};
use tidemill_core::{Code, DeploymentName, Failure, Revision, Timestamp, failpoint};
use tidemill_store::records::{OperatorAnswer, OperatorCall};

use super::abi::{Contract, HostResult, Interface, answer};
use super::http::AbortOnDrop;
use crate::activation::channel::{ObservedHealth, OperatorRequest};
use crate::component::bindings::wit::operator::DeploymentHealth;
use crate::guest::GuestState;
use crate::guest::cancel::Urgency;
use crate::replay::state::hash;

pub(super) fn link(contract: &mut Contract) -> wasmtime::Result<()> {
    let mut operator = Interface::new(contract, "operator")?;
    operator.wait("health", |guest, (deployment,)| Box::pin(health(guest, deployment)))?;
    operator
        .wait("pause", |guest, (deployment, note)| Box::pin(done(guest, deployment, OperatorRequest::Pause, note)))?;
    operator
        .wait("resume", |guest, (deployment, note)| Box::pin(done(guest, deployment, OperatorRequest::Resume, note)))?;
    operator.wait("rollback", |guest, (deployment, revision, note)| {
        Box::pin(rollback(guest, deployment, revision, note))
    })?;
    operator.wait("retry-parked", |guest, (deployment, limit, note)| {
        Box::pin(retry_parked(guest, deployment, limit, note))
    })?;
    operator
        .wait("recycle", |guest, (deployment, note)| Box::pin(done(guest, deployment, OperatorRequest::Recycle, note)))
}

/// The health of a deployment, as it is recorded.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct RecordedHealth {
    status: String,
    since: Option<Timestamp>,
    reason: Option<String>,
    paused: bool,
}

impl From<ObservedHealth> for RecordedHealth {
    fn from(observed: ObservedHealth) -> Self {
        let ObservedHealth { state, paused } = observed;
        Self { status: state.status.as_str().to_owned(), since: state.since, reason: state.reason, paused }
    }
}

impl RecordedHealth {
    fn into_health(self) -> DeploymentHealth {
        let Self { status, since, reason, paused } = self;
        DeploymentHealth { status, since: since.map(Timestamp::as_millis), reason, paused }
    }
}

async fn health(guest: &mut GuestState, deployment: String) -> wasmtime::Result<HostResult<DeploymentHealth>> {
    let allowed = guest
        .check_cancelled()
        .and_then(|()| guest.not_in_health_check(Kind::OperatorHealth.name()))
        .and_then(|()| name_of(&deployment));
    let deployment = match allowed {
        Ok(deployment) => deployment,
        Err(failure) => return answer(Err(failure)),
    };
    let request = hash(&[deployment.as_str().as_bytes()]);
    if let Some(health) = guest.replay::<Result<RecordedHealth, Failure>>(Kind::OperatorHealth, request)? {
        return answer(health.map(RecordedHealth::into_health));
    }
    let health = match may_see(guest, &deployment) {
        Ok(()) => Arc::clone(&guest.channel).health_of(&deployment).await.map(RecordedHealth::from),
        Err(failure) => Err(failure),
    };
    guest.record(Kind::OperatorHealth, request, &health, Some(deployment.as_str().as_bytes()))?;
    answer(health.map(RecordedHealth::into_health))
}

/// Performs an action whose answer has no value.
async fn done(
    guest: &mut GuestState,
    deployment: String,
    request: OperatorRequest,
    note: String,
) -> wasmtime::Result<HostResult<()>> {
    answer(act(guest, &deployment, request, note).await?.map(|_| ()))
}

async fn rollback(
    guest: &mut GuestState,
    deployment: String,
    revision: Option<u64>,
    note: String,
) -> wasmtime::Result<HostResult<u64>> {
    let request = OperatorRequest::Rollback(revision.map(Revision::new));
    answer(act(guest, &deployment, request, note).await?.and_then(|answer| match answer {
        OperatorAnswer::Revision(revision) => Ok(revision.get()),
        other => Err(misplaced(other)),
    }))
}

async fn retry_parked(
    guest: &mut GuestState,
    deployment: String,
    limit: u32,
    note: String,
) -> wasmtime::Result<HostResult<u32>> {
    answer(act(guest, &deployment, OperatorRequest::Retry(limit), note).await?.and_then(|answer| match answer {
        OperatorAnswer::Runs(runs) => Ok(runs),
        other => Err(misplaced(other)),
    }))
}

fn misplaced(answer: OperatorAnswer) -> Failure {
    Code::Internal.failure(format!("the answer {answer:?} belongs to another call"))
}

/// Performs an action once, and records its answer.
async fn act(
    guest: &mut GuestState,
    deployment: &str,
    request: OperatorRequest,
    note: String,
) -> wasmtime::Result<Result<OperatorAnswer, Failure>> {
    let kind = kind_of(request);
    let allowed = guest
        .check_cancelled()
        .and_then(|()| guest.not_in_health_check(kind.name()))
        .and_then(|()| name_of(deployment))
        .and_then(|deployment| check_bounds(request, &note).map(|()| deployment));
    let deployment = match allowed {
        Ok(deployment) => deployment,
        Err(failure) => return Ok(Err(failure)),
    };
    let key = key_of(guest, &deployment, request);
    let request_hash = hash(&[deployment.as_str().as_bytes(), &argument(request), note.as_bytes()]);
    if let Some(answer) = guest.replay::<Result<OperatorAnswer, Failure>>(kind, request_hash)? {
        return Ok(answer);
    }
    let shown = format!("{deployment}: {note}");
    let action = action_of(request);
    if let Err(failure) = may_act(guest, action, &deployment).and_then(|()| no_claim(guest, kind)) {
        let refused = Err(failure);
        guest.record::<Result<OperatorAnswer, Failure>>(kind, request_hash, &refused, Some(shown.as_bytes()))?;
        return Ok(refused);
    }
    guest.commit_before_request().await?;
    failpoint::hit("operator/act");
    let run = &guest.run;
    let (id, generation, by) = (run.id, run.generation, run.deployment.clone());
    let call = OperatorCall { run: id, generation, key, by, deployment, action, note };
    let acted = perform(guest, call, request).await?;
    failpoint::hit("operator/acted");
    guest.record(kind, request_hash, &acted, Some(shown.as_bytes()))?;
    // The answer is saved now, so that no replay calls again, and a retry of the run keeps it.
    if acted.is_ok() {
        guest.keep();
    }
    guest.begin_here();
    guest.save().await?;
    failpoint::hit("operator/recorded");
    Ok(acted)
}

/// Waits for the answer, unless the run is stopped. A notified run waits too, so that it knows what
/// to undo.
async fn perform(
    guest: &mut GuestState,
    call: OperatorCall,
    request: OperatorRequest,
) -> wasmtime::Result<Result<OperatorAnswer, Failure>> {
    let (channel, cancel) = (Arc::clone(&guest.channel), guest.cancel().clone());
    // On the host's own threads, so that a spinning guest delays no action.
    let acted = guest.io.spawn(async move { channel.operate(call, request).await });
    let _give_up = AbortOnDrop(acted.abort_handle());
    tokio::select! {
        biased;
        acted = acted => Ok(acted.unwrap_or_else(|_| {
            Err(Code::Internal.failure("the host failed while it acted; the host's log has the cause"))
        })),
        () = cancel.reached(Urgency::Now) => Err(crate::guest::cancelled().into()),
    }
}

const fn kind_of(request: OperatorRequest) -> Kind {
    match request {
        OperatorRequest::Pause => Kind::OperatorPause,
        OperatorRequest::Resume => Kind::OperatorResume,
        OperatorRequest::Rollback(_) => Kind::OperatorRollback,
        OperatorRequest::Retry(_) => Kind::OperatorRetry,
        OperatorRequest::Recycle => Kind::OperatorRecycle,
    }
}

const fn action_of(request: OperatorRequest) -> OperatorAction {
    match request {
        OperatorRequest::Pause => OperatorAction::Pause,
        OperatorRequest::Resume => OperatorAction::Resume,
        OperatorRequest::Rollback(_) => OperatorAction::Rollback,
        OperatorRequest::Retry(_) => OperatorAction::Retry,
        OperatorRequest::Recycle => OperatorAction::Recycle,
    }
}

/// The argument of an action as bytes: each has its own.
fn argument(request: OperatorRequest) -> Vec<u8> {
    match request {
        OperatorRequest::Pause | OperatorRequest::Resume | OperatorRequest::Recycle => Vec::new(),
        OperatorRequest::Rollback(None) => vec![0],
        OperatorRequest::Rollback(Some(revision)) => [&[1][..], &revision.get().to_le_bytes()].concat(),
        OperatorRequest::Retry(limit) => limit.to_le_bytes().to_vec(),
    }
}

/// Returns the key of a call: the same in every recovery, and another for each of several equal
/// calls. The note does not count.
///
/// An action that moves on (a rollback, a retry) is one action in all attempts of a step. An action
/// that sets a state is repeated by the next attempt, because the attempt before may have set
/// another one.
fn key_of(guest: &mut GuestState, deployment: &DeploymentName, request: OperatorRequest) -> [u8; 16] {
    let (run, generation) = (guest.run.id.to_bytes(), guest.run.generation.to_le_bytes());
    let moves_on = matches!(request, OperatorRequest::Rollback(_) | OperatorRequest::Retry(_));
    let mut content = Sha256::new();
    content.update(b"tidemill operator");
    for part in [kind_of(request).name().as_bytes(), deployment.as_str().as_bytes(), &argument(request)] {
        content.update((part.len() as u64).to_le_bytes());
        content.update(part);
    }
    if !moves_on {
        for frame in &guest.history.frames {
            content.update(frame.attempt.to_le_bytes());
        }
    }
    let content: [u8; 32] = content.finalize().into();
    let frame = guest.history.frame();
    let ordinal = frame.sent.entry(content).or_default();
    let mut key = Sha256::new();
    for part in [&run[..], &generation, &frame.path, &ordinal.to_le_bytes(), &content] {
        key.update(part);
    }
    *ordinal += 1;
    let key: [u8; 32] = key.finalize().into();
    key.first_chunk().copied().unwrap_or_default()
}

fn name_of(deployment: &str) -> Result<DeploymentName, Failure> {
    deployment.parse().map_err(|_| Code::BadArgument.failure("the deployment's name is not valid"))
}

fn check_bounds(request: OperatorRequest, note: &str) -> Result<(), Failure> {
    let limit = match request {
        OperatorRequest::Retry(limit) => retry_limit_problem(limit),
        _ => None,
    };
    let problem = note_problem(note).or(limit);
    problem.map_or(Ok(()), |problem| Err(Code::BadArgument.failure(problem)))
}

/// Checks that the deployment has the grant for an action, and that the policy allows it.
fn may_act(guest: &GuestState, action: OperatorAction, on: &DeploymentName) -> Result<(), Failure> {
    check_other(guest, on)?;
    let grants = guest.grants();
    if !grants.operator.as_ref().is_some_and(|grant| grant.allows(action, on)) {
        let line = OperatorGrant::line_with(grants.operator.as_ref(), Some(action), on);
        let message = format!("the deployment may not {action} `{on}`; add to `[grants]`: {line}");
        return Err(Code::NotGranted.failure(message));
    }
    if !guest.services.operator.now().may_operate(guest.run.deployment.as_str(), action, on.as_str()) {
        let message = format!("the operator's policy does not allow `{}` to {action} `{on}`", guest.run.deployment);
        return Err(Code::PolicyDenied.failure(message));
    }
    Ok(())
}

/// Checks that the deployment has a grant for any action on another one.
fn may_see(guest: &GuestState, on: &DeploymentName) -> Result<(), Failure> {
    check_other(guest, on)?;
    let grants = guest.grants();
    if grants.operator.as_ref().is_some_and(|grant| grant.deployments.contains(on)) {
        return Ok(());
    }
    let line = OperatorGrant::line_with(grants.operator.as_ref(), None, on);
    let message = format!("the deployment may not see the health of `{on}`; add to `[grants]`: {line}");
    Err(Code::NotGranted.failure(message))
}

/// Refuses a run that operates its own deployment, which no grant allows.
fn check_other(guest: &GuestState, on: &DeploymentName) -> Result<(), Failure> {
    if guest.run.deployment == *on {
        let message = "a deployment may not operate itself: let another deployment be its runbook";
        return Err(Code::NotGranted.failure(message));
    }
    Ok(())
}

/// Refuses an action after a claim in the same step, as an unsafe request.
fn no_claim(guest: &GuestState, kind: Kind) -> Result<(), Failure> {
    if guest.transaction.has_claim_in_step() {
        return Err(Code::ClaimInStep.failure(format!(
            "`{}` follows a `compare-and-set`, a reservation or a draw in the same step: claim before the step",
            kind.name()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tidemill_artifacts::golden::{check, hex};
    use tidemill_core::health::{HealthState, HealthStatus};

    use super::*;

    #[test]
    fn recorded_answers_keep_their_bytes() {
        let failure = Code::OperatorRefused.failure("a person has paused it");
        let state = HealthState {
            status: HealthStatus::Unhealthy,
            since: Some(Timestamp::from_millis(300)),
            reason: Some("no answer".to_owned()),
            failures: 3,
        };
        let health = [
            Ok(RecordedHealth::from(ObservedHealth { state, paused: true })),
            Ok(RecordedHealth::from(ObservedHealth { state: HealthState::default(), paused: false })),
            Err(failure.clone()),
        ];
        let answers = [
            Ok(OperatorAnswer::Done),
            Ok(OperatorAnswer::Revision(Revision::new(300))),
            Ok(OperatorAnswer::Runs(300)),
            Err(failure),
        ];
        let mut text = String::new();
        for health in &health {
            let bytes = postcard::to_stdvec(health).unwrap();
            assert_eq!(postcard::from_bytes::<Result<RecordedHealth, Failure>>(&bytes).as_ref(), Ok(health));
            text += &format!("health: {}\n", hex(&bytes));
        }
        for answer in &answers {
            let bytes = postcard::to_stdvec(answer).unwrap();
            assert_eq!(postcard::from_bytes::<Result<OperatorAnswer, Failure>>(&bytes).as_ref(), Ok(answer));
            text += &format!("answer: {}\n", hex(&bytes));
        }
        check(env!("CARGO_MANIFEST_DIR"), "operator-answers.txt", &text);
    }

    #[test]
    fn arguments_of_different_calls_differ() {
        let revisions =
            [None, Some(0), Some(1), Some(u64::MAX)].map(|it| OperatorRequest::Rollback(it.map(Revision::new)));
        let limits = [0, 1, u32::MAX].map(OperatorRequest::Retry);
        for requests in [&revisions[..], &limits] {
            let mut arguments: Vec<_> = requests.iter().map(|request| argument(*request)).collect();
            arguments.sort();
            arguments.dedup();
            assert_eq!(arguments.len(), requests.len());
        }
    }
}
