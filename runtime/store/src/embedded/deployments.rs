//! Deployments: creates revisions, pauses and deletes.

use tidemill_core::run::RunState;
use tidemill_core::{DeploymentName, Revision, RunId, Timestamp};

use super::codec::decode;
use super::read_tx::{ReadTx, prefix_range};
use super::runs::{self, no_deployment};
use super::tables::{
    COMPONENTS, CURSORS, DEPLOYMENTS, FIRING_LIST, OPEN, PURGES, REVISIONS, STARTS, STATE, TURNS, WATERMARKS,
    run_at_end, run_of, under,
};
use super::throttle::PIECE;
use super::write_tx::WriteTx;
use crate::embedded::runs::tree;
use crate::embedded::topics::subscriptions;
use crate::embedded::{EmbeddedStore, schedules};
use crate::error::StoreError;
use crate::records::{CommitEffects, Deployment, FeedEvent, Page, PageRequest, Pause, PutDeployment};

type Result<T> = std::result::Result<T, StoreError>;

/// Maximum number of unended runs that a refusal counts.
const COUNT: usize = 1_000;

pub(super) fn read(bytes: &[u8]) -> Result<Deployment> {
    decode(DEPLOYMENTS, bytes)
}

pub(super) fn put(commit: &mut WriteTx<'_, '_>, put: &PutDeployment) -> Result<Deployment> {
    let present = get(commit, &put.name)?;
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
    let key = under(put.name.as_str(), &deployment.revision.get().to_be_bytes());
    commit.put_record(REVISIONS, &key, &deployment)?;
    schedules::replace(commit, &deployment, &put.schedules, put.now)?;
    subscriptions::replace(commit, &deployment, &put.subscriptions, put.now)?;
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

pub(super) fn get(store: &impl ReadTx, name: &DeploymentName) -> Result<Option<Deployment>> {
    store.record(DEPLOYMENTS, name.as_str().as_bytes())
}

pub(super) fn revision(store: &impl ReadTx, name: &DeploymentName, number: Revision) -> Result<Option<Deployment>> {
    store.record(REVISIONS, &under(name.as_str(), &number.get().to_be_bytes()))
}

pub(super) fn revisions(store: &impl ReadTx, name: &DeploymentName, page: &PageRequest) -> Result<Page<Deployment>> {
    let found = store.page(REVISIONS, &under(name.as_str(), &[]), true, page)?;
    found.try_map(|(_, bytes)| decode(REVISIONS, &bytes))
}

pub(super) fn list(store: &impl ReadTx, page: &PageRequest) -> Result<Page<Deployment>> {
    store.page(DEPLOYMENTS, &[], false, page)?.try_map(|(_, bytes)| read(&bytes))
}

pub(super) fn pause(
    commit: &mut WriteTx<'_, '_>,
    name: &DeploymentName,
    pause: Option<Pause>,
    now: Timestamp,
) -> Result<Deployment> {
    let mut deployment = get(commit, name)?.ok_or_else(|| no_deployment(name))?;
    if deployment.paused.is_some() == pause.is_some() && pause.is_none() {
        return Ok(deployment);
    }
    let change = if pause.is_some() { "paused" } else { "resumed" };
    deployment.paused = pause;
    write(commit, &deployment)?;
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
pub(super) fn end_waiting(
    commit: &mut WriteTx<'_, '_>,
    name: &DeploymentName,
    after: Option<RunId>,
    now: Timestamp,
) -> Result<(Option<RunId>, CommitEffects)> {
    let mut range = prefix_range(&under(name.as_str(), &[]));
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
    Ok((last, tree::caused(commit, now)?))
}

/// Deletes a deployment, and then its state.
pub(super) async fn delete_with_state(store: &EmbeddedStore, name: &DeploymentName, now: Timestamp) -> Result<()> {
    let whole = name.clone();
    store.commit(move |c| delete(c, &whole, now)).await?;
    store.purge(name).await
}

pub(super) fn delete(commit: &mut WriteTx<'_, '_>, name: &DeploymentName, now: Timestamp) -> Result<()> {
    let deployment = get(commit, name)?.ok_or_else(|| no_deployment(name))?;
    let unended = commit.scan_prefix(OPEN, &under(name.as_str(), &[]), COUNT)?.len();
    if unended > 0 {
        return Err(StoreError::RunsGoing { unended });
    }
    for schedule in schedules::of(commit, name)? {
        schedules::remove(commit, &schedule);
    }
    subscriptions::remove_all(commit, name)?;
    commit.delete(DEPLOYMENTS, name.as_str().as_bytes());
    commit.delete(WATERMARKS, name.as_str().as_bytes());
    commit.delete(TURNS, name.as_str().as_bytes());
    // State and revisions may be many: they are removed later, and before a deployment of the same
    // name is created.
    commit.put(PURGES, name.as_str().as_bytes(), &[]);
    announce(commit, &deployment, "deleted", now)
}

/// Removes one part of the data of a deleted deployment. Returns whether all is removed.
pub(super) fn purge(commit: &mut WriteTx<'_, '_>, name: &DeploymentName) -> Result<bool> {
    let mark = name.as_str().as_bytes();
    if commit.bytes(PURGES, mark)?.is_none() {
        return Ok(true);
    }
    for table in [STATE, REVISIONS, STARTS, FIRING_LIST, CURSORS] {
        let left = commit.scan_prefix(table, &under(name.as_str(), &[]), PIECE)?;
        for (key, _) in &left {
            if table == STATE { commit.delete_held(Some(name), table, key)? } else { commit.delete(table, key) }
        }
        if !left.is_empty() {
            return Ok(false);
        }
    }
    commit.delete(PURGES, mark);
    Ok(true)
}

pub(super) fn purges(store: &impl ReadTx) -> Result<Vec<DeploymentName>> {
    let marks = store.range(PURGES, prefix_range(&[]), false, usize::MAX)?;
    Ok(marks.iter().filter_map(|(key, _)| std::str::from_utf8(key).ok()?.parse().ok()).collect())
}
