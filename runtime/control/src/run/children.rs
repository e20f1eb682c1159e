//! Child runs of a run: what a start would run, and the request that the store receives.

use std::time::Duration;

use tidemill_core::flow::KEY_MILLIS;
use tidemill_core::run::{Export, Run, Trigger, TriggerKind};
use tidemill_core::{Code, DeploymentName, Failure, RunId};
use tidemill_engine::{StartRun, StartTarget};
use tidemill_store::records::{AdmissionTerms, NewRun};

use crate::deployment::exports;
use crate::error::ControlError;
use crate::run::request::RUN_LABELS;
use crate::state::HostState;

/// Maximum time that one start waits for the rate.
const START_DELAY: Duration = Duration::from_secs(10);

/// Returns the target of a run of `deployment` with that input that `parent` would start now.
///
/// # Errors
/// If there is no such deployment or export, its workflow rejects the input, its queue is full, or
/// the run would wait for a lane that its parent or another ancestor is in.
pub(crate) async fn target(
    host: &HostState,
    parent: RunId,
    deployment: &DeploymentName,
    export: Option<Export>,
    input: &[u8],
) -> Result<StartTarget, Failure> {
    let refused = |error: ControlError| {
        let code = error.code();
        code.failure(error.to_string())
    };
    let live = host.deployments.require(deployment).map_err(refused)?;
    let export = exports::of_call(&live.plan.exports, export).map_err(refused)?;
    if export == Export::Workflow
        && let Some(problem) = live.plan.input.iter().flat_map(|check| check.problems(input)).next()
    {
        let place = if problem.pointer.is_empty() { "the input" } else { problem.pointer.as_str() };
        return Err(Code::InputInvalid.failure(format!("{place} of a run of `{deployment}`: {}", problem.message)));
    }
    let queue_max = live.queue_max(host.config.queue_max);
    let queued = host.store.queue_length(deployment).await.map_err(|error| refused(error.into()))?;
    if queued >= queue_max {
        return Err(refused(ControlError::queue_full(deployment, queued, queue_max)));
    }
    let child_room = host.store.child_room(parent).await.map_err(|error| refused(error.into()))?;
    let lanes = live.lanes(input);
    if !lanes.is_empty()
        && let Some((lane, ancestor)) =
            host.store.lane_deadlock(parent, deployment, &lanes).await.map_err(|error| refused(error.into()))?
    {
        let message = format!("the run would wait for `{lane}` of `{deployment}`, which run {ancestor} above it holds");
        return Err(Code::WouldDeadlock.failure(message));
    }
    Ok(StartTarget {
        revision: live.deployment.revision,
        component: live.deployment.component,
        export,
        priority: live.plan.priority,
        queue_room: queue_max - queued,
        child_room: child_room.map(u64::from),
    })
}

/// Delays a start if the runs of a deployment start others faster than their rate.
pub(crate) async fn wait_for_rate(host: &HostState, starter: &DeploymentName) {
    let Some(live) = host.deployments.get(starter) else { return };
    let delay = live.start_delay(host.since.elapsed());
    if !delay.is_zero() {
        tokio::time::sleep(delay.min(START_DELAY)).await;
    }
}

/// Returns the requests for the runs that `parent` starts, with the labels of their deployments.
pub(crate) fn requests(host: &HostState, parent: &Run, starts: Vec<StartRun>) -> Vec<NewRun> {
    let request = |start: StartRun| {
        let live = host.deployments.get(&start.deployment);
        let lanes = live.as_ref().map(|live| live.lanes(&start.input)).unwrap_or_default();
        let key_millis = live.as_ref().map_or(KEY_MILLIS, |live| live.plan.flow.key_millis);
        let queue_max = live.as_ref().map_or(u64::MAX, |live| live.queue_max(host.config.queue_max));
        let customer = live.as_ref().and_then(|live| live.plan.fuel_customer(&start.input));
        let mut labels = match live {
            Some(live) => live.plan.labels_with(start.labels),
            None => start.labels,
        };
        labels.truncate(RUN_LABELS);
        NewRun {
            id: start.id,
            deployment: start.deployment,
            revision: start.revision,
            component: start.component,
            export: start.export,
            trigger: Trigger { kind: TriggerKind::Parent, parent: Some(parent.id), ..Trigger::default() },
            input: start.input,
            key: Some(start.key),
            labels,
            priority: start.priority,
            now: start.at,
            not_before: start.not_before,
            seed: start.seed,
            detached: start.detached,
            lanes,
            // A child is never debounced: it belongs to its parent.
            terms: AdmissionTerms { key_millis, queue_max, customer, ..AdmissionTerms::default() },
        }
    };
    starts.into_iter().map(request).collect()
}
