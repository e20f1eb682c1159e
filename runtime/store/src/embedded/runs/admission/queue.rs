//! The runs that wait to execute: claims, takeovers and queries.

use async_trait::async_trait;
use tidemill_core::ids::Owner;
use tidemill_core::lane::Lane;
use tidemill_core::run::{Run, RunEvent};
use tidemill_core::{DeploymentName, RunId, Timestamp};

use crate::embedded::blobs::ReadLease;
use crate::embedded::runs::admission::{claim, lanes, position};
use crate::embedded::runs::{self, index, record, transition};
use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::{self, DELAYED, READY, RUNNING, name_key, time_key};
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::embedded::value::ValueRef;
use crate::error::Result;
use crate::records::{AdmissionLimits, AdmissionResult, ClaimedRun, QueuePosition, RecoveryFilter};
use crate::traits::AdmissionStore;

#[async_trait]
impl AdmissionStore for EmbeddedStore {
    async fn admit(
        &self,
        owner: &Owner,
        deployment: &DeploymentName,
        limit: usize,
        limits: AdmissionLimits,
        now: Timestamp,
    ) -> Result<AdmissionResult> {
        let (owner, deployment, lease) = (owner.clone(), deployment.clone(), self.lease());
        let (claimed, next) = self.commit(move |c| claim::admit(c, &owner, &deployment, limit, limits, now)).await?;
        Ok(AdmissionResult { claimed: with_inputs(self, lease, claimed).await?, next })
    }

    async fn take_over(
        &self,
        owner: &Owner,
        of: RecoveryFilter,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<ClaimedRun>> {
        let (owner, lease) = (owner.clone(), self.lease());
        let taken = self.commit(move |c| take_over(c, &owner, of, limit, now)).await?;
        with_inputs(self, lease, taken).await
    }

    async fn waiting_deployments(&self, now: Timestamp) -> Result<Vec<DeploymentName>> {
        let store = self.latest();
        let mut names = Vec::new();
        let mut range = prefix_range(&[]);
        // One read for each deployment, regardless of its number of runs.
        while let Some((key, _)) = store.range(READY, range.clone(), false, 1)?.first() {
            let Some(name) = tables::name_of(key) else { break };
            range.start = prefix_range(&name_key(name.as_str(), &[])).end;
            names.push(name);
        }
        for (_, ready) in store.range(DELAYED, Vec::new()..time_key(now.plus_millis(1), &[]), false, claim::PROMOTE)? {
            names.extend(tables::name_of(&ready));
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    async fn next_delayed(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        let range = time_key(now.plus_millis(1), &[])..prefix_range(&[]).end;
        Ok(self.latest().range(DELAYED, range, false, 1)?.first().and_then(|(key, _)| tables::time_of(key)))
    }

    async fn queue_length(&self, deployment: &DeploymentName) -> Result<u64> {
        index::queued(self.latest(), deployment)
    }

    async fn oldest_ready(&self, deployment: &DeploymentName) -> Result<Option<Timestamp>> {
        position::oldest_ready(&self.snapshot(), deployment)
    }

    async fn queue_position(&self, id: RunId, max: usize) -> Result<Option<QueuePosition>> {
        position::of(&self.snapshot(), id, max)
    }

    async fn lane_deadlock(
        &self,
        parent: RunId,
        deployment: &DeploymentName,
        lanes: &[Lane],
    ) -> Result<Option<(String, RunId)>> {
        lanes::lane_deadlock(&self.snapshot(), parent, deployment, lanes)
    }
}

fn take_over(
    commit: &mut WriteTx<'_, '_>,
    owner: &Owner,
    which: RecoveryFilter,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<(Run, ValueRef)>> {
    let mut taken = Vec::new();
    // The folder belongs to one process, so a run under another epoch belongs to a dead process.
    for (key, epoch) in commit.range(RUNNING, prefix_range(&[]), false, usize::MAX)? {
        if taken.len() == limit {
            break;
        }
        if epoch.as_ref() == owner.epoch.get().to_be_bytes() {
            continue;
        }
        let before = record::get(commit, runs::run_in_key(RUNNING, &key)?)?;
        if !which.fits(before.run.takeovers.saturating_add(1)) {
            continue;
        }
        let mut after = before.after(RunEvent::TakenOver(owner.clone()))?;
        after.run.takeovers = after.run.takeovers.saturating_add(1);
        transition::write(commit, Some(&before.run), &after, now)?;
        let input = runs::input(commit, after.run.id)?.unwrap_or(ValueRef::EMPTY);
        taken.push((after.run, input));
    }
    Ok(taken)
}

/// Reads the inputs of claimed runs.
async fn with_inputs(store: &EmbeddedStore, lease: ReadLease, runs: Vec<(Run, ValueRef)>) -> Result<Vec<ClaimedRun>> {
    let (runs, inputs): (Vec<_>, Vec<_>) = runs.into_iter().unzip();
    let inputs = store.values(lease, inputs).await?;
    Ok(runs.into_iter().zip(inputs).map(|(run, input)| ClaimedRun { run, input }).collect())
}
