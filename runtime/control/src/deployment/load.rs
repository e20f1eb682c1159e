//! Reads all deployments into memory when a host starts.

use std::sync::Arc;

use tidemill_core::Timestamp;
use tidemill_core::run::Export;
use tidemill_store::records::{PageRequest, RunFilter};

use crate::deployment::active::{ActiveDeployment, ResolvedRevision};
use crate::error::ControlError;
use crate::state::HostState;

/// Number of deployments or runs in one page of the store's lists.
const PAGE: usize = 500;

impl HostState {
    /// Reads all deployments into memory.
    pub(crate) async fn load(&self) -> Result<(), ControlError> {
        let decisions = self.store.breaker_decisions().await?.into_iter().collect();
        let mut page = PageRequest::first(PAGE);
        loop {
            let found = self.store.deployments(page).await?;
            let mut plans = Vec::with_capacity(found.items.len());
            for deployment in found.items {
                let plan = ResolvedRevision::load(&*self.store, &deployment).await?;
                plans.push((deployment, plan));
            }
            self.deployments.put_all(&self.metrics, plans, &decisions);
            match found.next {
                Some(cursor) => page = PageRequest { cursor: Some(cursor), limit: PAGE },
                None => break,
            }
        }
        for live in self.deployments.all().values().filter(|live| live.plan.exports.contains(&Export::RevenueStream)) {
            self.restore_stream_lock(live).await?;
        }
        self.deployments.recount(&*self.store, &self.metrics).await?;
        self.admission.note_due(&self.store.waiting_deployments(Timestamp::MAX).await?);
        Ok(())
    }

    /// Locks the stream again if one of its collections is suspended, because a collection keeps
    /// its stream over a restart.
    async fn restore_stream_lock(&self, live: &ActiveDeployment) -> Result<(), ControlError> {
        let deployment = Some(live.deployment.name.clone());
        let filter = RunFilter { deployment, states: vec!["suspended".to_owned()], ..RunFilter::default() };
        let mut page = PageRequest::first(PAGE);
        loop {
            let found = self.store.runs(filter.clone(), page).await?;
            if let Some(run) = found.items.iter().find(|run| run.export == Export::RevenueStream) {
                if let Ok(guard) = Arc::clone(&live.collecting).try_lock_owned() {
                    self.runs.collections.insert(run.id, guard);
                }
                return Ok(());
            }
            match found.next {
                Some(cursor) => page = PageRequest { cursor: Some(cursor), limit: PAGE },
                None => return Ok(()),
            }
        }
    }
}
