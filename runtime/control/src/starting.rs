//! Runs that other runs start, and signals that they send: from the engine's words into the store's.

use tidemill_core::run::{Export, Run, Trigger, TriggerKind};
use tidemill_core::{Code, DeploymentName, Failure};
use tidemill_engine::{SentSignal, StartRun, StartTarget};
use tidemill_store::records::{NewRun, SendSignal};

use crate::error::ControlError;
use crate::exports;
use crate::host::Inner;
use crate::runs::RUN_LABELS;

/// What a run of `deployment` would be, were it started now.
///
/// # Errors
/// Where there is no such deployment, it has no such export, or too many of its runs wait already.
pub(crate) fn target(
    host: &Inner,
    deployment: &DeploymentName,
    export: Option<Export>,
) -> Result<StartTarget, Failure> {
    let refused = |error: ControlError| {
        let code = error.code();
        code.failure(error.to_string())
    };
    let live = host.live(deployment).map_err(refused)?;
    let export = exports::of_call(&live.plan.exports, export).map_err(refused)?;
    if live.gate.queued() >= host.config.queue_max {
        let message = format!("{} runs of `{deployment}` wait already", live.gate.queued());
        return Err(Code::QueueFull.failure(message));
    }
    Ok(StartTarget {
        revision: live.deployment.revision,
        component: live.deployment.component,
        export,
        priority: live.plan.priority,
    })
}

/// The requests for the runs that `parent` starts, with the labels of their deployments.
pub(crate) fn requests(host: &Inner, parent: &Run, starts: Vec<StartRun>) -> Vec<NewRun> {
    let request = |start: StartRun| {
        let live = host.lives.get(&start.deployment);
        let mut labels = live.map(|live| live.plan.labels.clone()).unwrap_or_default();
        labels.retain(|(name, _)| !start.labels.iter().any(|(own, _)| own == name));
        labels.extend(start.labels);
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
            lanes: Vec::new(),
        }
    };
    starts.into_iter().map(request).collect()
}

/// A signal as it is sent.
pub(crate) fn signal(sent: SentSignal) -> SendSignal {
    SendSignal { to: sent.to, name: sent.name, payload: sent.payload, key: Some(sent.key) }
}

/// Counts runs that were started: they wait.
pub(crate) fn count(host: &Inner, started: Vec<DeploymentName>) {
    for live in started.iter().filter_map(|name| host.lives.get(name)) {
        live.gate.add_queued(1);
    }
}
