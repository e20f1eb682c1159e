//! Trying a run again: from its last step or from its start, on its own component or on another one, with a look before
//! whether that one can continue what is recorded.

use std::sync::Arc;

use tidemill_core::run::{Run, RunState};
use tidemill_core::{Code, ComponentDigest, DeploymentName, Revision, RunId};
use tidemill_engine::DryRun;
use tidemill_store::records::{PageRequest, RetryChange};

use crate::control_plane::{ControlPlane, run_to_completion};
use crate::error::ControlError;
use crate::run::resume;
use crate::run::{children, execution};

/// Revisions that are looked through for one that has a component.
const REVISIONS: usize = 200;

/// How a run is tried again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetryRequest {
    /// With nothing kept of what it recorded, instead of from where it stopped. Signals that it has not taken stay.
    pub from_start: bool,
    /// On this component, which some revision of its deployment has run.
    pub component: Option<ComponentDigest>,
    /// Only look whether the component can continue it.
    pub dry_run: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryResult {
    /// The run as it stands.
    pub run: Run,
    /// What a look at the journal showed; none where nothing was looked at.
    pub replay: Option<DryRun>,
}

impl ControlPlane {
    /// Tries a parked or failed run again, as the next attempt, and with it its children that failed or parked, so that the
    /// tree goes on at the leaf that failed. On another component it is tried only where that one can continue it.
    ///
    /// # Errors
    /// `host/run-not-found`; `host/run-state` where it is neither parked nor failed; `host/component-not-found` where no revision of
    /// the deployment has that component; `host/journal-mismatch` where it cannot continue the run.
    pub async fn retry(&self, id: RunId, ask: RetryRequest) -> Result<RetryResult, ControlError> {
        self.0.check_open()?;
        let run = self.0.store.run(id).await?.ok_or_else(|| ControlError::no_run(id))?;
        if !matches!(run.state, RunState::Parked(_) | RunState::Failed(_)) {
            return Err(ControlError::refused_with(
                Code::RunState,
                format!("the run is {}; only one that is parked or has failed can be tried again", run.state.name()),
                "Start a new run with the same input where this one has ended.",
            ));
        }
        let component = match ask.component {
            Some(component) => Some((self.revision_with(&run.deployment, component).await?, component)),
            None => None,
        };
        let looks = !ask.from_start && (ask.dry_run || component.is_some_and(|(_, it)| it != run.component));
        let replay = if looks { self.look(&run, component).await? } else { None };
        if ask.dry_run {
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
            let retry = RetryChange { component, from_start: ask.from_start, now: host.clock.now() };
            let (run, caused) = host.store.retry_run(id, retry).await?;
            children::count(&host, vec![run.deployment.clone()]);
            host.apply_effects(caused);
            Ok(RetryResult { run, replay })
        })
        .await
    }

    /// The newest revision that runs `component`.
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

    /// Replays what is recorded; none where that is nothing.
    async fn look(
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
        let live = self.0.live(&run.deployment)?;
        let plan = live.resolve_revision(&*self.0.store, revision).await?;
        let job = execution::dry_job(&self.0, &live, &plan, run, component, (journal, stored.head)).await?;
        Ok(Some(self.0.guests.dry_run(job).await))
    }
}
