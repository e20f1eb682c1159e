//! Recovers the runs that a previous epoch left running, at the start and periodically.
//!
//! A run that was active in each of the last crashes and made no progress between them is suspected
//! of crashing the host. Suspects are retried one after another, alongside normal work. At most one
//! of them is active, so that a crash is attributed to the right one. The host is ready before the
//! first suspect starts. Suspects that wait for their turn stay as the previous epoch left them, so
//! that no takeover of them is counted. If the host crashes again, the active suspect is parked
//! (`host/crash-suspect`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidemill_core::ids::Owner;
use tidemill_core::{Code, Timestamp, failpoint};
use tidemill_store::Store;
use tidemill_store::records::{ClaimedRun, RecoveryFilter};
use tokio_util::sync::CancellationToken;

use crate::deployment::active::DeploymentRegistry;
use crate::error::ControlError;
use crate::metrics::Metrics;
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::run::admission::Admission;
use crate::run::resume::RunLauncher;
use crate::state::HostState;

/// Maximum number of runs that one commit recovers.
const BATCH: usize = 256;
/// Interval between two looks for runs to recover, in milliseconds.
const INTERVAL: u64 = 10_000;
/// Maximum number of recovered runs that a log line names.
const NAMED: usize = 20;
/// How long a suspect runs in isolation before the next one starts. After that it continues like
/// any run.
const ISOLATION: Duration = Duration::from_secs(30);
/// Number of crashes after which a run that was active in all of them is a suspect.
const SUSPECT_CRASHES: u32 = 3;

/// The loop that recovers runs.
pub(crate) struct RecoveryReconciler {
    store: Arc<dyn Store>,
    owner: Owner,
    deployments: Arc<DeploymentRegistry>,
    admission: Arc<Admission>,
    metrics: Arc<Metrics>,
    launcher: RunLauncher,
    closing: CancellationToken,
}

impl RecoveryReconciler {
    pub(crate) fn new(host: &Arc<HostState>) -> Self {
        Self {
            store: Arc::clone(&host.store),
            owner: host.owner.clone(),
            deployments: Arc::clone(&host.deployments),
            admission: Arc::clone(&host.admission),
            metrics: Arc::clone(&host.metrics),
            launcher: RunLauncher::new(host),
            closing: host.shutdown.closing.clone(),
        }
    }

    /// Recovers all runs that are not suspects, and parks each suspect that crashed the host during
    /// its retry.
    async fn recover_runs(&self, now: Timestamp) -> Result<usize, ControlError> {
        let (mut plain, mut parked) = (Vec::new(), 0);
        loop {
            let taken = self.store.take_over(&self.owner, RecoveryFilter::Except(SUSPECT_CRASHES), BATCH, now).await?;
            let last = taken.len() < BATCH;
            for claimed in taken {
                self.metrics.taken_over.inc();
                if claimed.run.takeovers > SUSPECT_CRASHES {
                    parked += 1;
                    let crashes = claimed.run.takeovers;
                    let failure = Code::CrashSuspect
                        .failure(format!("the host crashed {crashes} times while it executed this run"));
                    self.launcher.park(claimed.run, failure).await;
                } else {
                    plain.push(claimed);
                }
            }
            if last {
                break;
            }
        }
        let found = plain.len() + parked;
        if found > 0 {
            let runs = named(plain.iter());
            tracing::info!(found, parked, runs, "recovered runs of a previous process");
        }
        failpoint::hit("run/taken-over");
        for claimed in plain {
            match self.deployments.get(&claimed.run.deployment) {
                Some(live) => {
                    let permit = self.admission.node.admit_beyond(&live.limiter);
                    self.launcher.spawn(live, claimed, permit);
                }
                None => self.without_deployment(claimed).await,
            }
        }
        Ok(found)
    }

    async fn without_deployment(&self, claimed: ClaimedRun) {
        let failure = Code::DeploymentNotFound.failure("the run's deployment no longer exists");
        self.launcher.park(claimed.run, failure).await;
    }

    /// Retries the next suspect until it ends, waits, or has run for [`ISOLATION`]. Returns whether
    /// there was one.
    async fn retry_suspect(&self, now: Timestamp) -> Result<bool, ControlError> {
        let mut taken = self.store.take_over(&self.owner, RecoveryFilter::Only(SUSPECT_CRASHES), 1, now).await?;
        let Some(claimed) = taken.pop() else { return Ok(false) };
        self.metrics.taken_over.inc();
        let run = &claimed.run;
        let Some(live) = self.deployments.get(&run.deployment) else {
            self.without_deployment(claimed).await;
            return Ok(true);
        };
        tracing::warn!(run = %run.id, deployment = %run.deployment, "run was active in 3 crashes; retrying it in isolation");
        let mut permit = self.admission.node.admit_beyond(&live.limiter);
        let released = permit.watch();
        // No run of a previous epoch is resident, so it is executed on a task of its own.
        let Some(task) = self.launcher.spawn(live, claimed, permit) else { return Ok(true) };
        // A waiting run has returned its permit and did not crash the host.
        let over = async {
            tokio::select! {
                _ = task => {}
                () = released.released() => {}
                () = self.closing.cancelled() => {}
            }
        };
        if tokio::time::timeout(ISOLATION, over).await.is_err() {
            tracing::info!("crash suspect survived its isolation; it now runs alongside others");
        }
        Ok(true)
    }
}

#[async_trait]
impl Reconciler for RecoveryReconciler {
    fn name(&self) -> &'static str {
        "take-over"
    }

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        let found = self.recover_runs(now).await?;
        self.admission.end_recovery(&self.closing);
        let tried = !self.closing.is_cancelled() && self.retry_suspect(now).await?;
        let found = found + usize::from(tried);
        let next = if tried { NextTick::Now } else { NextTick::At(now.plus_millis(INTERVAL)) };
        Ok(TickReport { found, done: found, failed: 0, next })
    }
}

/// Joins the ids of the first runs with commas.
fn named<'a>(claimed: impl Iterator<Item = &'a ClaimedRun>) -> String {
    let ids: Vec<_> = claimed.take(NAMED).map(|claimed| claimed.run.id.to_string()).collect();
    ids.join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidemill_core::run::RunState;

    use tidemill_store::records::AdmissionLimits;

    use super::*;
    use crate::fixture::{LoopFixture, START};

    #[tokio::test]
    async fn a_tick_recovers_the_runs_of_the_previous_epoch_and_opens_admission() {
        let mut fixture = LoopFixture::with(json!({})).await;
        let run = fixture.queue().await;
        let owner = fixture.host.owner.clone();
        let claimed =
            fixture.store.admit(&owner, &run.deployment, 1, AdmissionLimits::default(), START).await.unwrap().claimed;
        assert_eq!(claimed.len(), 1);
        fixture.next_epoch().await;
        let recovery = RecoveryReconciler::new(&fixture.host);
        assert!(fixture.host.admission.is_recovering());
        let report = recovery.tick(START).await.unwrap();
        let next = NextTick::At(START.plus_millis(INTERVAL));
        assert_eq!(report, TickReport { found: 1, done: 1, failed: 0, next });
        assert!(!fixture.host.admission.is_recovering() && fixture.host.admission.node.is_open());
        let run = fixture.settled(run.id).await;
        assert_eq!((run.state, fixture.host.metrics.taken_over.get()), (RunState::Succeeded, 1));
    }

    #[tokio::test]
    async fn a_tick_of_a_closing_host_keeps_admission_closed() {
        let fixture = LoopFixture::with(json!({})).await;
        fixture.host.shutdown.closing.cancel();
        RecoveryReconciler::new(&fixture.host).tick(START).await.unwrap();
        assert!(!fixture.host.admission.node.is_open());
    }
}
