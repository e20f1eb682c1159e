//! Actions of runs on other deployments: the change, the answer for a repetition of the call, and
//! the announcement are one commit.

use async_trait::async_trait;
use tidemill_core::operator::{OPERATOR_ACTIONS_MAX, paused_by_person};
use tidemill_core::run::{Run, RunState};
use tidemill_core::{Code, DeploymentName, RunId, Timestamp};

use crate::embedded::deployments;
use crate::embedded::deployments::revisions;
use crate::embedded::runs::{self, tree};
use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::{OPERATOR_CALLS, PAUSING_RUNS};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::{Result, StoreError};
use crate::records::{
    CommitEffects, Deployment, FeedEvent, OperatorAnswer, OperatorCall, OperatorChange, OperatorResult, Pause,
    RetryChange,
};
use crate::traits::OperatorStore;

#[async_trait]
impl OperatorStore for EmbeddedStore {
    async fn operate(&self, call: OperatorCall, change: OperatorChange, now: Timestamp) -> Result<OperatorResult> {
        self.commit(move |c| operate(c, &call, &change, now)).await
    }

    async fn operator_answer(&self, call: &OperatorCall) -> Result<Option<OperatorAnswer>> {
        answer(self.latest(), call)
    }

    async fn paused_by(&self, deployment: &DeploymentName) -> Result<Option<RunId>> {
        paused_by(self.latest(), deployment)
    }
}

/// Records that no run paused the deployment: it is resumed, deleted, or paused by a person.
pub(super) fn forget_pausing_run(commit: &mut WriteTx<'_, '_>, deployment: &DeploymentName) {
    commit.delete(PAUSING_RUNS, deployment.as_str().as_bytes());
}

fn paused_by(store: &impl ReadTx, deployment: &DeploymentName) -> Result<Option<RunId>> {
    store.record(PAUSING_RUNS, deployment.as_str().as_bytes())
}

fn answer(store: &impl ReadTx, call: &OperatorCall) -> Result<Option<OperatorAnswer>> {
    store.record(OPERATOR_CALLS, &key(call))
}

fn key(call: &OperatorCall) -> Vec<u8> {
    [&call.run.to_bytes()[..], &call.generation.to_be_bytes(), &call.key].concat()
}

fn operate(
    commit: &mut WriteTx<'_, '_>,
    call: &OperatorCall,
    change: &OperatorChange,
    now: Timestamp,
) -> Result<OperatorResult> {
    if let Some(answer) = answer(commit, call)? {
        return Ok(OperatorResult { answer, deployment: None, caused: CommitEffects::default() });
    }
    let name = &call.deployment;
    let before = deployments::get(commit, name)?.ok_or_else(|| deployments::no_deployment(name))?;
    check_person(commit, &before)?;
    make_room(commit, call)?;
    let mut caused = CommitEffects::default();
    let (deployment, answer, acted) = match change {
        OperatorChange::Pause => {
            let paused = Some(Pause { since: now, note: call.note.clone() });
            let deployment = revisions::pause(commit, name, paused, now)?;
            commit.put_record(PAUSING_RUNS, name.as_str().as_bytes(), &call.run)?;
            (deployment, OperatorAnswer::Done, true)
        }
        OperatorChange::Resume => {
            let deployment = revisions::pause(commit, name, None, now)?;
            (deployment, OperatorAnswer::Done, before.paused.is_some())
        }
        OperatorChange::Put(put) => {
            let deployment = revisions::put(commit, put)?;
            let acted = deployment.revision != before.revision;
            let answer = OperatorAnswer::Revision(deployment.revision);
            (deployment, answer, acted)
        }
        OperatorChange::Retry(runs) => {
            let count = retry(commit, name, runs, now)?;
            caused = tree::effects(commit, now)?;
            (before, OperatorAnswer::Runs(count), count > 0)
        }
        OperatorChange::Nothing => (before, OperatorAnswer::Done, true),
    };
    commit.put_record(OPERATOR_CALLS, &key(call), &answer)?;
    if acted {
        announce(commit, call, &deployment, answer, now)?;
    }
    Ok(OperatorResult { answer, deployment: Some(deployment), caused })
}

/// Refuses to act on a deployment that a person has paused.
fn check_person(store: &impl ReadTx, deployment: &Deployment) -> Result<()> {
    let Some(pause) = &deployment.paused else { return Ok(()) };
    if paused_by(store, &deployment.name)?.is_some() {
        return Ok(());
    }
    let detail = paused_by_person(&deployment.name, pause.since, &pause.note);
    Err(StoreError::EffectImpossible { code: Code::OperatorRefused, detail })
}

/// Removes the calls of earlier generations, which no replay repeats, and refuses a call beyond the
/// maximum of the present one.
fn make_room(commit: &mut WriteTx<'_, '_>, call: &OperatorCall) -> Result<()> {
    let (run, own) = (call.run.to_bytes(), [&call.run.to_bytes()[..], &call.generation.to_be_bytes()].concat());
    // An earlier generation has at most as many.
    let calls = commit.scan_prefix(OPERATOR_CALLS, &run, 2 * OPERATOR_ACTIONS_MAX)?;
    let (present, earlier): (Vec<_>, Vec<_>) = calls.into_iter().partition(|(key, _)| key.starts_with(&own));
    for (key, _) in &earlier {
        commit.delete(OPERATOR_CALLS, key);
    }
    if present.len() < OPERATOR_ACTIONS_MAX {
        return Ok(());
    }
    let detail = format!("the run has acted on other deployments {OPERATOR_ACTIONS_MAX} times, which is the maximum");
    Err(StoreError::OverBound { code: Code::OperatorRefused, detail })
}

/// Retries runs of a deployment that are still parked, with their failed descendants, up to the
/// number of runs that one commit covers. Returns how many of `runs`.
fn retry(commit: &mut WriteTx<'_, '_>, name: &DeploymentName, runs: &[RunId], now: Timestamp) -> Result<u32> {
    let is_parked = |run: &Run| run.deployment == *name && matches!(run.state, RunState::Parked(_));
    let (mut count, mut tried) = (0, 0);
    for id in runs {
        if tried >= tree::RETRIED {
            break;
        }
        if !runs::run(commit, *id)?.is_some_and(|run| is_parked(&run)) {
            continue;
        }
        tried += tree::retry(commit, *id, &RetryChange { component: None, from_start: false, now })?;
        count += 1;
    }
    Ok(count)
}

fn announce(
    commit: &mut WriteTx<'_, '_>,
    call: &OperatorCall,
    deployment: &Deployment,
    answer: OperatorAnswer,
    now: Timestamp,
) -> Result<()> {
    let runs = match answer {
        OperatorAnswer::Runs(runs) => Some(runs),
        OperatorAnswer::Done | OperatorAnswer::Revision(_) => None,
    };
    let event = FeedEvent::Operator {
        deployment: deployment.name.clone(),
        revision: deployment.revision,
        action: call.action,
        by: call.by.clone(),
        run: call.run,
        note: call.note.clone(),
        runs,
    };
    commit.announce(now, &event)
}
