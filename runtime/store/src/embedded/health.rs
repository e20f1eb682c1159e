//! The health of deployments: adds changes of their status, and removes the oldest ones.

use async_trait::async_trait;
use tidemill_core::health::{HealthTransition, Outage};
use tidemill_core::{DeploymentName, Revision, Timestamp};

use crate::embedded::deployments;
use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::{HEALTH, HEALTHY_REVISIONS, META, name_key, time_key, time_of};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;
use crate::records::{FeedEvent, HealthyRevisions, Page, PageRequest};
use crate::traits::HealthStore;

/// The key of the time at which the host was last known to run.
const ALIVE: &[u8] = b"alive";
/// The key of the outages of the host.
const OUTAGES: &[u8] = b"outages";
/// Maximum number of changes of one deployment.
const TRANSITIONS_MAX: usize = 1_000;
/// Maximum number of outages.
const OUTAGES_MAX: usize = 1_000;
/// How long a change or an outage is kept, in milliseconds: 30 days. The last change before that
/// time is kept too, because the status since then is that of the change.
const RETENTION_MILLIS: u64 = 30 * 24 * 3_600_000;

#[async_trait]
impl HealthStore for EmbeddedStore {
    async fn record_health(&self, deployment: &DeploymentName, transition: HealthTransition) -> Result<()> {
        let deployment = deployment.clone();
        self.commit(move |c| record(c, &deployment, &transition)).await
    }

    async fn health_transitions(
        &self,
        deployment: &DeploymentName,
        page: PageRequest,
    ) -> Result<Page<HealthTransition>> {
        self.latest().record_page(HEALTH, &name_key(deployment.as_str(), &[]), true, &page)
    }

    async fn record_healthy_revision(&self, deployment: &DeploymentName, revision: Revision) -> Result<()> {
        let name = deployment.clone();
        self.commit(move |c| {
            let (key, exists) = (name.as_str().as_bytes(), deployments::get(c, &name)?.is_some());
            let known = c.record::<HealthyRevisions>(HEALTHY_REVISIONS, key)?;
            if !exists || known.is_some_and(|known| known.last >= revision) {
                return Ok(());
            }
            let revisions = HealthyRevisions { last: revision, before: known.map(|known| known.last) };
            c.put_record(HEALTHY_REVISIONS, key, &revisions)
        })
        .await
    }

    async fn healthy_revisions(&self) -> Result<Vec<(DeploymentName, HealthyRevisions)>> {
        self.latest().named_records(HEALTHY_REVISIONS)
    }

    async fn mark_alive(&self, now: Timestamp) -> Result<()> {
        self.commit(move |c| c.put_record(META, ALIVE, &now)).await
    }

    async fn record_outage(&self, now: Timestamp) -> Result<()> {
        self.commit(move |c| {
            if let Some(from) = c.record::<Timestamp>(META, ALIVE)?.filter(|from| *from < now) {
                let mut outages: Vec<Outage> = c.record(META, OUTAGES)?.unwrap_or_default();
                outages.push(Outage { from, to: now });
                outages.retain(|outage| now.millis_since(outage.to) <= RETENTION_MILLIS);
                let surplus = outages.len().saturating_sub(OUTAGES_MAX);
                outages.drain(..surplus);
                c.put_record(META, OUTAGES, &outages)?;
            }
            c.put_record(META, ALIVE, &now)
        })
        .await
    }

    async fn outages(&self) -> Result<Vec<Outage>> {
        Ok(self.latest().record(META, OUTAGES)?.unwrap_or_default())
    }
}

fn record(commit: &mut WriteTx<'_, '_>, deployment: &DeploymentName, transition: &HealthTransition) -> Result<()> {
    if deployments::get(commit, deployment)?.is_none() {
        return Ok(());
    }
    let prefix = name_key(deployment.as_str(), &[]);
    let kept: Vec<_> = commit.scan_prefix(HEALTH, &prefix, TRANSITIONS_MAX)?.into_iter().map(|(key, _)| key).collect();
    let end = transition.at.as_millis().saturating_sub(RETENTION_MILLIS);
    let time = |key: &[u8]| time_of(key.get(prefix.len()..)?);
    let is_old = |key: &[u8]| time(key).is_some_and(|at| at.as_millis() < end);
    // A change is of no use any more once the next one is old too.
    let old = kept.iter().take_while(|key| is_old(key)).count().saturating_sub(1);
    let surplus = (kept.len() + 1).saturating_sub(TRANSITIONS_MAX);
    for key in kept.iter().take(old.max(surplus)) {
        commit.delete(HEALTH, key);
    }
    // Two changes of one millisecond are in two commits, and keep their order.
    let key = name_key(deployment.as_str(), &time_key(transition.at, &commit.position().to_be_bytes()));
    commit.put_record(HEALTH, &key, transition)?;
    let HealthTransition { at, from, to, reason } = transition;
    commit.announce(
        *at,
        &FeedEvent::Health { deployment: deployment.clone(), from: *from, to: *to, reason: reason.clone() },
    )
}
