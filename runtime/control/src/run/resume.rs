//! Resumes a claimed run: in its resident execution, or in a new one with its revision, its journal
//! and the number of its next log line.

use std::sync::Arc;

use tidemill_core::journal::Journal;
use tidemill_core::run::{Run, RunEvent};
use tidemill_core::{Failure, RunId};
use tidemill_store::records::{ClaimedRun, FailedPart, FailureRecord, RunCommit, StoredJournal};
use tidemill_store::{Store, StoreError};
use tokio::task::JoinHandle;

use crate::deployment::active::ActiveDeployment;
use crate::deployment::limiter::Permit;
use crate::error::ControlError;
use crate::run::execution::{Execution, StoredProgress};
use crate::run::registry::RunHandle;
use crate::run::resident::ResumedRun;
use crate::state::HostState;

/// Executes claimed runs on this node.
#[derive(Clone)]
pub(crate) struct RunLauncher {
    host: Arc<HostState>,
}

impl RunLauncher {
    pub(crate) fn new(host: &Arc<HostState>) -> Self {
        Self { host: Arc::clone(host) }
    }

    /// Executes a claimed run in the background, and returns the task. If its guest waits in
    /// memory, that guest resumes, and there is no task. The run can be cancelled from here on.
    pub(crate) fn spawn(
        &self,
        live: Arc<ActiveDeployment>,
        claimed: ClaimedRun,
        permit: Permit,
    ) -> Option<JoinHandle<()>> {
        let ClaimedRun { run, input } = claimed;
        let resumed = self.host.runs.resident.resume(Box::new(ResumedRun { run, live, permit })).err()?;
        let ResumedRun { run, live, permit } = *resumed;
        let handle = RunHandle::new();
        self.host.runs.registry.add(run.id, Arc::clone(&handle));
        Some(tokio::spawn(self.clone().execute(live, ClaimedRun { run, input }, permit, handle)))
    }

    /// Executes a claimed run that is not in memory, until it ends.
    async fn execute(self, live: Arc<ActiveDeployment>, claimed: ClaimedRun, permit: Permit, handle: Arc<RunHandle>) {
        let mut failures = 0;
        let stored = loop {
            match prepare(&self.host, &live, &claimed.run, &handle).await {
                Ok(stored) => break stored,
                Err(ControlError::Store(error)) if error.is_transient() && !self.host.shutdown.is_closing() => {
                    failures += 1;
                    self.host.store_failures.record(&error);
                    self.host.shutdown.back_off(failures).await;
                }
                Err(error) => {
                    self.host.runs.registry.remove(claimed.run.id, &handle);
                    let failure = error.code().failure(format!("cannot read the run's stored state: {error}"));
                    return self.park(claimed.run, failure).await;
                }
            }
        };
        Box::pin(Box::new(Execution::claimed(self.host, live, permit, claimed, stored, handle)).drive()).await;
    }

    /// Parks a run that cannot be executed here. Its journal stays.
    pub(crate) async fn park(&self, mut run: Run, failure: Failure) {
        let (id, now) = (run.id, self.host.clock.now());
        let record =
            FailureRecord { at: now, attempt: run.attempt, part: FailedPart::Attempt, failure: failure.clone() };
        match run.state.next(RunEvent::Parked(failure)) {
            Ok(state) => run.state = state,
            Err(error) => {
                tracing::error!(run = %id, %error, "cannot park run: illegal state transition");
                return;
            }
        }
        let committed = async {
            let snapshot = self.host.store.journal(id).await?.snapshot;
            let failures = vec![record.bounded()];
            let commit = RunCommit { snapshot, failures, ..RunCommit::of(self.host.owner.clone(), run.clone(), now) };
            self.host.store.commit_run(commit).await
        };
        match committed.await {
            Ok(_) => self.host.runs.completions.settle(&run, None),
            Err(error) => {
                self.host.store_failures.record(&error);
                tracing::error!(run = %id, %error, "could not park run; the next start recovers it");
            }
        }
    }
}

async fn prepare(
    host: &HostState,
    live: &ActiveDeployment,
    run: &Run,
    handle: &RunHandle,
) -> Result<StoredProgress, ControlError> {
    let plan = live.resolve_revision(&*host.store, run.revision).await?;
    // A cancel that arrived after the claim but before the handle was registered reached no one;
    // check again.
    if let Some(run) = host.store.run(run.id).await? {
        host.effects.notify_claimed(&run, handle).await?;
    }
    let StoredJournal { chunks, snapshot } = host.store.journal(run.id).await?;
    // A run has no log lines only if it has never run and recorded nothing.
    let begun = !chunks.is_empty() || snapshot.is_some() || run.attempt > 1 || run.takeovers > 0 || run.generation > 1;
    let next_seq = if begun { next_seq(&*host.store, run.id).await? } else { 0 };
    let journal = if chunks.is_empty() { None } else { Some(load(run.id, chunks)?) };
    Ok(StoredProgress { plan, journal, snapshot, next_seq })
}

/// Parses a stored journal.
///
/// # Errors
/// If it is not a journal: the store is damaged.
pub(crate) fn load(id: RunId, chunks: Vec<bytes::Bytes>) -> Result<Journal, ControlError> {
    Journal::load(chunks)
        .map_err(|error| ControlError::Store(StoreError::Damaged { what: format!("the journal of run {id}: {error}") }))
}

/// Returns the number after the last stored log line. Lines are numbered without gaps, so a binary
/// search finds it.
async fn next_seq(store: &dyn Store, id: RunId) -> Result<u64, StoreError> {
    let has = async |seq: u64| Ok::<_, StoreError>(!store.logs(id, seq, 1).await?.lines.is_empty());
    let mut beyond = 1u64;
    while has(beyond - 1).await? {
        beyond = beyond.saturating_mul(2);
    }
    // Every line before `low` exists, and none from `high` on.
    let (mut low, mut high) = (beyond / 2, beyond - 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if has(middle).await? { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}
