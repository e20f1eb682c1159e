//! Admits waiting deliveries into the queue of their deployment, in order of arrival, as far as it
//! has room.

use std::sync::Arc;

use async_trait::async_trait;
use tidemill_core::{Clock, DeploymentName, Timestamp, failpoint};
use tidemill_store::Store;

use crate::deployment::active::{ActiveDeployment, DeploymentRegistry};
use crate::error::ControlError;
use crate::hook::delivery_runs;
use crate::random;
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::run::admission::Admission;
use crate::state::HostState;
use crate::store_failures::StoreFailures;
use crate::topic::event_runs::{SOON, queue_room};

/// Maximum number of deliveries of one deployment that one commit admits.
const BATCH: usize = 256;
/// Maximum interval between two looks for waiting deliveries, in milliseconds.
const SWEEP: u64 = 30_000;

/// The result for one deployment.
enum BacklogResult {
    /// No delivery is left that could enter now.
    Done,
    /// More deliveries can enter.
    More,
    /// The queue is full.
    NoRoom,
}

/// The loop that admits waiting deliveries.
pub(crate) struct BacklogReconciler {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    deployments: Arc<DeploymentRegistry>,
    admission: Arc<Admission>,
    store_failures: Arc<StoreFailures>,
    queue_max: u64,
}

impl BacklogReconciler {
    pub(crate) fn new(host: &HostState) -> Self {
        Self {
            store: Arc::clone(&host.store),
            clock: Arc::clone(&host.clock),
            deployments: Arc::clone(&host.deployments),
            admission: Arc::clone(&host.admission),
            store_failures: Arc::clone(&host.store_failures),
            queue_max: host.config.queue_max,
        }
    }

    /// Admits one batch of a deployment.
    async fn admit(&self, deployment: &DeploymentName, waiting: u64) -> Result<BacklogResult, ControlError> {
        let Some(live) = self.deployments.get(deployment) else { return Ok(BacklogResult::Done) };
        if !ActiveDeployment::is_open(&live.deployment, &live.plan) {
            return Ok(BacklogResult::Done);
        }
        let room = queue_room(&*self.store, &live, self.queue_max).await?;
        if room == 0 {
            return Ok(BacklogResult::NoRoom);
        }
        let found = self.store.backlog(deployment, room.min(BATCH)).await?;
        let now = self.clock.now();
        let mut id = random::run_id(now);
        let runs: Vec<_> = found
            .iter()
            .map(|delivery| {
                id = id.next();
                (delivery.id, delivery_runs::request(&live, delivery, id, None, self.queue_max, now))
            })
            .collect();
        let wanted = runs.len();
        failpoint::hit("hook/admit");
        let admitted = self.store.admit_deliveries(deployment, runs).await;
        let admitted = admitted.inspect_err(|error| self.store_failures.record(error))?.len();
        failpoint::hit("hook/admitted");
        for _ in 0..admitted {
            self.admission.note_queued(&live, now);
        }
        let left = waiting.saturating_sub(admitted as u64);
        Ok(match left {
            0 => BacklogResult::Done,
            _ if admitted < wanted || admitted == 0 => BacklogResult::NoRoom,
            _ => BacklogResult::More,
        })
    }
}

#[async_trait]
impl Reconciler for BacklogReconciler {
    fn name(&self) -> &'static str {
        "backlog"
    }

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        let signal = &self.admission.deliveries;
        signal.clear();
        let backlogs = self.store.backlogs().await.inspect_err(|_| signal.keep())?;
        if !backlogs.is_empty() {
            signal.keep();
        }
        let (found, mut done, mut failed) = (backlogs.len(), 0, 0);
        let (mut more, mut soon) = (false, false);
        for (deployment, waiting) in backlogs {
            match self.admit(&deployment, waiting).await {
                Ok(BacklogResult::Done) => done += 1,
                Ok(BacklogResult::More) => (done, more) = (done + 1, true),
                Ok(BacklogResult::NoRoom) => (done, soon) = (done + 1, true),
                Err(error) => {
                    (failed, soon) = (failed + 1, true);
                    tracing::warn!(%deployment, %error, "could not admit waiting deliveries; will retry");
                }
            }
        }
        let next = match (more, soon) {
            (true, _) => NextTick::Now,
            (false, soon) => NextTick::At(now.plus_millis(if soon { SOON } else { SWEEP })),
        };
        Ok(TickReport { found, done, failed, next })
    }

    async fn woken(&self) {
        self.admission.deliveries.woken().await;
    }
}
