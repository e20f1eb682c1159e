//! Creates revisions of deployments, pauses and deletes deployments.

use async_trait::async_trait;
use tidemill_core::run::RunState;
use tidemill_core::{DeploymentName, Revision, RunId, Timestamp};

use crate::embedded::deliveries::backlog_length;
use crate::embedded::deployments::{breaker, operator};
use crate::embedded::runs::tree;
use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::{
    BREAKERS, COMPONENTS, DEPLOYMENTS, HEALTHY_REVISIONS, OPEN, PURGES, REVISIONS, TURNS, WATERMARKS, name_key,
    run_at_end, run_of,
};
use crate::embedded::throttle::{PIECE, paced};
use crate::embedded::topics::subscriptions;
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::embedded::{budgets, deployments, incidents, runs, schedules};
use crate::error::{Result, StoreError};
use crate::records::{
    BreakerDecision, CommitEffects, Deployment, FeedEvent, IncidentUpdate, Page, PageRequest, Pause, PutDeployment,
};
use crate::traits::DeploymentStore;

/// Maximum number of unended runs that a refusal counts.
const COUNT: usize = 1_000;

#[async_trait]
impl DeploymentStore for EmbeddedStore {
    async fn put_deployment(&self, put: PutDeployment) -> Result<Deployment> {
        if self.latest().bytes(PURGES, put.name.as_str().as_bytes())?.is_some() {
            deployments::purge(self, &put.name).await?;
        }
        self.commit(move |c| self::put(c, &put)).await
    }

    async fn deployment(&self, name: &DeploymentName) -> Result<Option<Deployment>> {
        deployments::get(self.latest(), name)
    }

    async fn revision(&self, name: &DeploymentName, revision: Revision) -> Result<Option<Deployment>> {
        self.latest().record(REVISIONS, &name_key(name.as_str(), &revision.get().to_be_bytes()))
    }

    async fn revisions(&self, name: &DeploymentName, page: PageRequest) -> Result<Page<Deployment>> {
        self.latest().record_page(REVISIONS, &name_key(name.as_str(), &[]), true, &page)
    }

    async fn deployments(&self, page: PageRequest) -> Result<Page<Deployment>> {
        self.latest().record_page(DEPLOYMENTS, &[], false, &page)
    }

    async fn pause_deployment(
        &self,
        name: &DeploymentName,
        pause: Option<Pause>,
        incident: Option<IncidentUpdate>,
        now: Timestamp,
    ) -> Result<Deployment> {
        let name = name.clone();
        self.commit(move |c| {
            if let Some(update) = &incident {
                incidents::update(c, update)?;
            }
            self::pause(c, &name, pause, now)
        })
        .await
    }

    async fn decide_breaker(&self, name: &DeploymentName, decision: BreakerDecision) -> Result<()> {
        let name = name.clone();
        self.commit(move |c| breaker::decide(c, &name, &decision)).await
    }

    async fn breaker_decisions(&self) -> Result<Vec<(DeploymentName, BreakerDecision)>> {
        breaker::decisions(self.latest())
    }

    async fn end_waiting(
        &self,
        name: &DeploymentName,
        after: Option<RunId>,
        now: Timestamp,
    ) -> Result<(Option<RunId>, CommitEffects)> {
        let name = name.clone();
        paced(self.commit(move |c| end_waiting(c, &name, after, now))).await
    }

    async fn delete_deployment(&self, name: &DeploymentName, now: Timestamp) -> Result<()> {
        let deleted = name.clone();
        self.commit(move |c| delete(c, &deleted, now)).await?;
        deployments::purge(self, name).await
    }
}

pub(super) fn put(commit: &mut WriteTx<'_, '_>, put: &PutDeployment) -> Result<Deployment> {
    let present = deployments::get(commit, &put.name)?;
    let revision = present.as_ref().map(|present| present.revision);
    if put.expected.is_some_and(|expected| expected != revision) {
        return Err(StoreError::RevisionChanged { present: revision });
    }
    if commit.bytes(COMPONENTS, put.component.as_bytes())?.is_none() {
        return Err(StoreError::NotFound { kind: "component", name: put.component.to_string() });
    }
    if let Some(present) = &present
        && present.component == put.component
        && present.manifest == put.manifest
    {
        return Ok(present.clone());
    }
    let deployment = Deployment {
        name: put.name.clone(),
        revision: Revision::new(revision.map_or(1, |revision| revision.get() + 1)),
        component: put.component,
        manifest: put.manifest.clone(),
        paused: present.as_ref().and_then(|present| present.paused.clone()),
        created_at: present.as_ref().map_or(put.now, |present| present.created_at),
        updated_at: put.now,
    };
    write(commit, &deployment)?;
    let key = name_key(put.name.as_str(), &deployment.revision.get().to_be_bytes());
    commit.put_record(REVISIONS, &key, &deployment)?;
    schedules::replace(commit, &deployment, &put.schedules, put.now)?;
    subscriptions::replace(commit, &deployment, &put.subscriptions, put.now)?;
    budgets::define::replace(commit, &deployment, &put.budgets, put.now)?;
    if let Some(update) = &put.incident {
        incidents::update(commit, update)?;
    }
    announce(commit, &deployment, "put", put.now)?;
    Ok(deployment)
}

fn write(commit: &mut WriteTx<'_, '_>, deployment: &Deployment) -> Result<()> {
    commit.put_record(DEPLOYMENTS, deployment.name.as_str().as_bytes(), deployment)
}

fn announce(commit: &mut WriteTx<'_, '_>, deployment: &Deployment, change: &str, now: Timestamp) -> Result<()> {
    let (name, revision) = (deployment.name.clone(), deployment.revision);
    commit.announce(now, &FeedEvent::Deployment { name, revision, change: change.into() })
}

/// Pauses or resumes a deployment for a person.
pub(super) fn pause(
    commit: &mut WriteTx<'_, '_>,
    name: &DeploymentName,
    pause: Option<Pause>,
    now: Timestamp,
) -> Result<Deployment> {
    let mut deployment = deployments::get(commit, name)?.ok_or_else(|| deployments::no_deployment(name))?;
    if deployment.paused.is_some() == pause.is_some() && pause.is_none() {
        return Ok(deployment);
    }
    let change = if pause.is_some() { "paused" } else { "resumed" };
    deployment.paused = pause;
    write(commit, &deployment)?;
    operator::forget_pausing_run(commit, name);
    // A paused schedule is not in the list of due times, so the scheduler reads only the start of
    // one list.
    for schedule in schedules::of(commit, name)? {
        schedules::place(commit, &deployment, &schedule);
    }
    announce(commit, &deployment, change, now)?;
    Ok(deployment)
}

/// Ends one batch of runs that are not running. Returns the last run of the batch if there may be
/// more.
fn end_waiting(
    commit: &mut WriteTx<'_, '_>,
    name: &DeploymentName,
    after: Option<RunId>,
    now: Timestamp,
) -> Result<(Option<RunId>, CommitEffects)> {
    let mut range = prefix_range(&name_key(name.as_str(), &[]));
    if let Some(after) = after {
        range.start = [run_of(name, after).as_slice(), &[0]].concat();
    }
    let open = commit.range(OPEN, range, false, PIECE)?;
    for (key, _) in &open {
        let Some(id) = run_at_end(key) else { continue };
        // It may have ended together with a run before it.
        let waits = runs::run(commit, id)?
            .is_some_and(|run| !run.state.has_ended() && !matches!(run.state, RunState::Running { .. }));
        if waits {
            tree::end(commit, id, now)?;
        }
    }
    let last = open.last().filter(|_| open.len() == PIECE).and_then(|(key, _)| run_at_end(key));
    Ok((last, tree::effects(commit, now)?))
}

fn delete(commit: &mut WriteTx<'_, '_>, name: &DeploymentName, now: Timestamp) -> Result<()> {
    let deployment = deployments::get(commit, name)?.ok_or_else(|| deployments::no_deployment(name))?;
    let waiting = usize::try_from(backlog_length::get(commit, name)?).unwrap_or(COUNT);
    let unended = commit.scan_prefix(OPEN, &name_key(name.as_str(), &[]), COUNT)?.len() + waiting.min(COUNT);
    if unended > 0 {
        return Err(StoreError::UnendedRuns { unended });
    }
    for schedule in schedules::of(commit, name)? {
        schedules::remove(commit, &schedule);
    }
    subscriptions::remove_all(commit, name)?;
    budgets::define::remove_all(commit, name, now)?;
    commit.delete(DEPLOYMENTS, name.as_str().as_bytes());
    commit.delete(WATERMARKS, name.as_str().as_bytes());
    commit.delete(TURNS, name.as_str().as_bytes());
    commit.delete(BREAKERS, name.as_str().as_bytes());
    commit.delete(HEALTHY_REVISIONS, name.as_str().as_bytes());
    incidents::on_deletion(commit, name, now)?;
    operator::forget_pausing_run(commit, name);
    // State and revisions may be many: they are removed later, and before a deployment of the same
    // name is created.
    commit.put(PURGES, name.as_str().as_bytes(), &[]);
    announce(commit, &deployment, "deleted", now)
}
