//! Retries a run: from its last step or from its start, on its own component or another one, after
//! a check that the component can replay its journal.

use std::sync::Arc;

use tidemill_core::run::{Run, RunState, TriggerKind};
use tidemill_core::{Code, ComponentDigest, DeploymentName, Revision, RunId};
use tidemill_engine::DryRun;
use tidemill_store::records::{PageRequest, RetryChange};

use crate::error::ControlError;
use crate::run::execution;
use crate::run::resume;
use crate::run_to_completion::run_to_completion;
use crate::state::ControlPlane;

/// Maximum number of revisions that are searched for a component.
const REVISIONS: usize = 200;

/// How to retry a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetryRequest {
    /// Whether to discard its journal instead of resuming. Signals in its inbox stay.
    pub from_start: bool,
    /// The component to retry on, which a revision of its deployment must have run.
    pub component: Option<ComponentDigest>,
    /// Whether to only check that the component can continue the run.
    pub dry_run: bool,
}

/// The result of a retry.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryResult {
    /// The run in its present state.
    pub run: Run,
    /// The result of the replay check; `None` if there was none.
    pub replay: Option<DryRun>,
}

impl ControlPlane {
    /// Retries a parked or failed run as its next attempt, together with its failed or parked
    /// children, so that the tree resumes at the leaf that failed. Another component is used only
    /// if it can continue the run.
    ///
    /// # Errors
    /// `host/run-not-found`; `host/run-state` if it is neither parked nor failed;
    /// `host/component-not-found` if no revision of the deployment has that component;
    /// `host/journal-mismatch` if it cannot continue the run.
    pub async fn retry(&self, id: RunId, request: RetryRequest) -> Result<RetryResult, ControlError> {
        self.0.shutdown.check_open()?;
        let run = self.stored_run(id).await?;
        if !matches!(run.state, RunState::Parked(_) | RunState::Failed(_)) {
            return Err(ControlError::refused_with(
                Code::RunState,
                format!("the run is {}; only one that is parked or has failed can be tried again", run.state.name()),
                "If this run has ended, start a new one with the same input.",
            ));
        }
        self.check_delivery(&run).await?;
        let component = match request.component {
            Some(component) => Some((self.revision_with(&run.deployment, component).await?, component)),
            None => None,
        };
        let checks = !request.from_start && (request.dry_run || component.is_some_and(|(_, it)| it != run.component));
        let replay = if checks { self.check_replay_of(&run, component).await? } else { None };
        if request.dry_run {
            return Ok(RetryResult { run, replay });
        }
        if let Some(DryRun::Mismatch(failure) | DryRun::Failed(failure)) = &replay {
            return Err(ControlError::refused_with(
                Code::JournalMismatch,
                format!("the component cannot continue the run: {}", failure.message),
                "Try it on its own component, or from its start.",
            ));
        }
        let host = Arc::clone(&self.0);
        run_to_completion(async move {
            let retry = RetryChange { component, from_start: request.from_start, now: host.clock.now() };
            let (run, caused) = host.store.retry_run(id, retry).await?;
            host.admission.count_queued(std::slice::from_ref(&run.deployment));
            host.effects.apply(caused);
            Ok(RetryResult { run, replay })
        })
        .await
    }

    /// Refuses to retry a run whose delivery is gone.
    ///
    /// # Errors
    /// `host/delivery-not-found`; errors of the store.
    pub(crate) async fn check_delivery(&self, run: &Run) -> Result<(), ControlError> {
        if let Some(id) = run.trigger.id.as_ref().filter(|_| run.trigger.kind == TriggerKind::Webhook)
            && let Ok(id) = id.parse()
            && self.0.store.delivery(id).await?.is_none()
        {
            return Err(ControlError::no_delivery(id));
        }
        Ok(())
    }

    /// Returns the newest revision that runs `component`.
    async fn revision_with(&self, name: &DeploymentName, component: ComponentDigest) -> Result<Revision, ControlError> {
        let page = self.0.store.revisions(name, PageRequest::first(REVISIONS)).await?;
        let found = page.items.iter().find(|revision| revision.component == component);
        found.map(|revision| revision.revision).ok_or_else(|| {
            ControlError::refused_with(
                Code::ComponentNotFound,
                format!("no revision of `{name}` runs the component {component}"),
                "Deploy it first; a run continues on what its deployment has run.",
            )
        })
    }

    /// Replays the journal without continuing; `None` if it is empty.
    async fn check_replay_of(
        &self,
        run: &Run,
        component: Option<(Revision, ComponentDigest)>,
    ) -> Result<Option<DryRun>, ControlError> {
        let stored = self.0.store.journal(run.id).await?;
        if stored.chunks.is_empty() {
            return Ok(None);
        }
        let journal = resume::load(run.id, stored.chunks)?;
        let (revision, component) = component.unwrap_or((run.revision, run.component));
        let live = self.0.deployments.require(&run.deployment)?;
        let plan = live.resolve_revision(&*self.0.store, revision).await?;
        let activation =
            execution::dry_activation(&self.0, &live, &plan, run, component, (journal, stored.snapshot)).await?;
        Ok(Some(self.0.guests.dry_run(activation).await))
    }
}
