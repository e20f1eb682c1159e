//! The embedded store's deliveries.

use async_trait::async_trait;
use tidemill_core::run::Run;
use tidemill_core::{DeliveryId, DeploymentName, RunId, Timestamp};

use crate::embedded::deliveries::{backlog, backlog_length, body, expiry, list, receive, replay};
use crate::embedded::ledger::entries;
use crate::embedded::store::{EmbeddedStore, blocking};
use crate::embedded::value;
use crate::error::Result;
use crate::records::{
    DeliveryBody, DeliveryFilter, DeliveryPolicy, DeliveryReceipt, DeliveryRecord, DeliveryReplay,
    DeliveryReplayResult, ExpiredDeliveries, HookDelivery, NewDelivery, NewRun, Page, PageRequest,
};
use crate::traits::DeliveryStore;

#[async_trait]
impl DeliveryStore for EmbeddedStore {
    async fn receive_delivery(&self, new: NewDelivery) -> Result<DeliveryReceipt> {
        self.commit_with(value::long([&new.body.bytes]), move |c| receive::receive(c, &new)).await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRecord>> {
        list::get(self.latest(), id)
    }

    async fn delivery_body(&self, id: DeliveryId) -> Result<Option<DeliveryBody>> {
        let lease = self.lease();
        let Some((key, bytes)) = body::get(self.latest(), id)? else { return Ok(None) };
        Ok(Some(DeliveryBody { key, bytes: self.value(lease, bytes).await? }))
    }

    async fn deliveries(&self, filter: DeliveryFilter, page: PageRequest) -> Result<Page<DeliveryRecord>> {
        list::list(self.latest(), &filter, &page)
    }

    async fn delivery_runs(&self, id: DeliveryId) -> Result<Vec<RunId>> {
        replay::runs(self.latest(), id)
    }

    async fn delivery_entries(&self, id: DeliveryId, limit: usize) -> Result<Vec<String>> {
        let store = self.clone();
        blocking(move || {
            let mut found = Vec::new();
            for run in replay::runs(store.latest(), id)? {
                entries::of_run(store.latest(), run, |entry| {
                    found.push(entry.id);
                    Ok(found.len() < limit)
                })?;
            }
            found.truncate(limit);
            Ok(found)
        })
        .await
    }

    async fn backlogs(&self) -> Result<Vec<(DeploymentName, u64)>> {
        backlog_length::all(&self.snapshot())
    }

    async fn backlog(&self, deployment: &DeploymentName, limit: usize) -> Result<Vec<HookDelivery>> {
        backlog::first(&self.snapshot(), deployment, limit)
    }

    async fn admit_deliveries(&self, deployment: &DeploymentName, runs: Vec<(DeliveryId, NewRun)>) -> Result<Vec<Run>> {
        let deployment = deployment.clone();
        self.commit(move |c| backlog::admit(c, &deployment, &runs)).await
    }

    async fn drop_backlog(&self, deployment: &DeploymentName, now: Timestamp) -> Result<bool> {
        let deployment = deployment.clone();
        self.commit(move |c| backlog::drop_part(c, &deployment, now)).await
    }

    async fn replay_deliveries(&self, replay: DeliveryReplay) -> Result<DeliveryReplayResult> {
        self.commit(move |c| replay::replay(c, &replay)).await
    }

    async fn expire_deliveries(
        &self,
        policy: DeliveryPolicy,
        limit: usize,
        now: Timestamp,
    ) -> Result<ExpiredDeliveries> {
        expiry::expire(self, policy, limit, now).await
    }
}
