//! Applies the effects of a commit on other runs in memory: to the dispatcher, to resident runs and
//! to waiting callers.

use std::sync::Arc;

use tidemill_core::RunId;
use tidemill_core::run::Run;
use tidemill_store::records::{CommitEffects, FiringCommitResult, PageRequest};
use tidemill_store::{Store, StoreError};

use crate::deployment::active::ActiveDeployment;
use crate::run::admission::Admission;
use crate::run::local::LocalRuns;
use crate::run::registry::RunHandle;
use crate::store_failures::StoreFailures;
use crate::topic::deliveries::Deliveries;

/// Number of children per page.
const PAGE: usize = 500;

/// What a commit can affect besides its own run.
pub(crate) struct EffectHandler {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) runs: Arc<LocalRuns>,
    pub(crate) deliveries: Arc<Deliveries>,
    pub(crate) store_failures: Arc<StoreFailures>,
}

impl EffectHandler {
    /// Applies all effects of a commit. If the host crashes first, nothing is lost: they are in the
    /// store, and the next epoch reads them.
    pub(crate) fn apply(self: &Arc<Self>, caused: CommitEffects) {
        let CommitEffects { ready, delayed, cancelling, settled, undelivered, published, paused } = caused;
        self.admission.note_due(&ready);
        if let Some(at) = delayed {
            self.admission.note_delayed(at);
        }
        for run in settled {
            self.runs.on_settled_elsewhere(&run);
        }
        for lost in undelivered {
            tracing::info!(run = %lost.to, signal = lost.name, "dropped a signal to a run that had ended");
        }
        for (deployment, schedule, note) in paused {
            tracing::info!(%deployment, %schedule, note, "paused schedule");
        }
        if !published.is_empty() {
            self.deliveries.note_published(published);
        }
        if !cancelling.is_empty() {
            let handler = Arc::clone(self);
            tokio::spawn(async move { handler.notify_cancelled(cancelling).await });
        }
    }

    /// Counts the new runs of a schedule, and applies the other effects of the commit.
    pub(crate) fn on_runs_created(self: &Arc<Self>, live: &ActiveDeployment, fired: FiringCommitResult) {
        live.limiter.add_queued(i64::try_from(fired.fired.len()).unwrap_or(0));
        self.apply(fired.caused);
    }

    /// Notifies running runs of their cancellation.
    async fn notify_cancelled(&self, runs: Vec<RunId>) {
        for id in runs {
            // A run that is not registered yet checks for itself; see `resume`.
            let Some(handle) = self.runs.registry.get(id) else { continue };
            match self.store.run(id).await {
                Ok(Some(run)) if !run.state.has_ended() => {
                    handle.request_stop(run.cancel.is_some_and(|cancel| cancel.terminate))
                }
                Ok(_) => {}
                // It must end in either case. Whether it may use its grace period is unknown.
                Err(error) => {
                    self.store_failures.record(&error);
                    handle.request_stop(false);
                }
            }
        }
    }

    /// Notifies a run that was just claimed of an earlier cancel request. If it has open children,
    /// the end of the last one notifies it instead.
    pub(crate) async fn notify_claimed(&self, run: &Run, handle: &RunHandle) -> Result<(), StoreError> {
        let Some(cancel) = run.cancel else { return Ok(()) };
        if cancel.terminate || !self.has_open_children(run.id).await? {
            handle.request_stop(cancel.terminate);
        }
        Ok(())
    }

    async fn has_open_children(&self, id: RunId) -> Result<bool, StoreError> {
        let mut page = PageRequest::first(PAGE);
        loop {
            let children = self.store.children(id, page).await?;
            if children.items.iter().any(|child| !child.detached && !child.state.has_ended()) {
                return Ok(true);
            }
            match children.next {
                Some(cursor) => page = PageRequest { cursor: Some(cursor), limit: PAGE },
                None => return Ok(false),
            }
        }
    }
}
