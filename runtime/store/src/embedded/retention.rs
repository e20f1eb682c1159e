//! Retention: finds expired data outside of the committer, and deletes a bounded part in each
//! commit.

use std::collections::BTreeSet;

use async_trait::async_trait;
use tidemill_core::run::Run;
use tidemill_core::{ComponentDigest, RunId, Timestamp};

use crate::embedded::codec::decode;
use crate::embedded::ledger::evidence;
use crate::embedded::runs::record::RunRecord;
use crate::embedded::runs::{keys, record};
use crate::embedded::store::{EmbeddedStore, blocking};
use crate::embedded::tables::{
    CANCELS, CHILDREN, COMPONENTS, FAILURES, FEED, FUEL_RUNS, INBOX, INPUTS, JOURNAL, LOGS, OPEN_CHILDREN, OPERATIONS,
    OPERATOR_CALLS, OUTPUTS, PARKED, REPLAY_SNAPSHOTS, REVISIONS, RUNS, RUNS_BY_DEPLOYMENT, SIGNAL_KEYS, UNNAMED, pair,
    run_of,
};
use crate::embedded::throttle::{PIECE, paced};
use crate::embedded::topics::expiry;
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::embedded::usage::{UsageDelta, signed};
use crate::embedded::{blobs, feed, modules, operations, topics};
use crate::error::{Result, StoreError};
use crate::records::{
    Component, Deployment, EventPolicy, ExpiredEvents, ExpiredEvidence, RetentionPolicy, RetentionResult,
};
use crate::traits::RetentionStore;

/// Maximum number of runs that one call reads, which bounds its duration if few of many are old
/// enough.
const LOOK_AT: usize = 50_000;

#[async_trait]
impl RetentionStore for EmbeddedStore {
    async fn trim(&self, keep: usize, now: Timestamp) -> Result<()> {
        let keys = move |c: &mut WriteTx<'_, '_>| Ok(keys::forget_keys(c, now)? + topics::forget_keys(c, now)?);
        while paced(self.commit(keys)).await? > 0 {}
        let mut surplus = self.count(FEED).saturating_sub(keep as u64);
        while surplus > 0 {
            let max = usize::try_from(surplus).unwrap_or(usize::MAX);
            let forgotten = paced(self.commit(move |c| feed::forget(c, max))).await?;
            if forgotten == 0 {
                break;
            }
            surplus = surplus.saturating_sub(forgotten as u64);
        }
        sweep(self, now).await
    }

    async fn expire(&self, policy: RetentionPolicy, limit: usize) -> Result<RetentionResult> {
        let limit = limit.max(1);
        let mut expired = RetentionResult::default();
        if let Some(before) = policy.ended_before {
            let reader = self.clone();
            let (mut runs, more) = blocking(move || ended_runs(&reader, before, limit)).await?;
            expired.more = more;
            while !runs.is_empty() {
                let part = runs.clone();
                let forgotten = paced(self.commit(move |c| forget_runs(c, &part, before))).await?;
                runs.drain(..forgotten);
                expired.runs += forgotten;
            }
            let old = operations::all(self.latest())?
                .into_iter()
                .filter(|one| one.ended_at.is_some_and(|ended| ended < before));
            let old: Vec<_> = old.take(limit).map(|operation| operation.id).collect();
            if !old.is_empty() {
                self.commit(move |c| forget_operations(c, &old)).await?;
            }
        }
        if let Some(before) = policy.uploaded_before.filter(|_| !expired.more) {
            let reader = self.clone();
            for digest in blocking(move || unnamed_components(&reader.snapshot(), before, limit)).await? {
                match self.commit(move |c| modules::delete(c, &digest)).await {
                    Ok(()) => expired.components.push(digest),
                    // A deployment started to use it, or it was deleted, since the search.
                    Err(StoreError::InUse { .. } | StoreError::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(expired)
    }

    async fn expire_evidence(&self, now: Timestamp, limit: usize) -> Result<ExpiredEvidence> {
        let mut removed = 0;
        while removed < limit && evidence::is_due(self.latest(), now)? {
            removed += paced(self.commit(move |c| evidence::remove_due(c, now, PIECE))).await?;
        }
        Ok(ExpiredEvidence { removed, more: evidence::is_due(self.latest(), now)? })
    }

    async fn expire_events(&self, policy: EventPolicy, limit: usize, now: Timestamp) -> Result<ExpiredEvents> {
        expiry::expire_events(self, policy, limit, now).await
    }
}

fn forget_operations(commit: &mut WriteTx<'_, '_>, ids: &[String]) -> Result<()> {
    for id in ids {
        operations::delete_replay(commit, id)?;
        commit.delete(OPERATIONS, id.as_bytes());
    }
    Ok(())
}

/// Returns runs that may be deleted, continuing where the last call stopped, and whether there may
/// be more.
fn ended_runs(store: &EmbeddedStore, before: Timestamp, limit: usize) -> Result<(Vec<RunId>, bool)> {
    let mut found = Vec::new();
    let mut looked_at = 0;
    let mut range = prefix_range(&[]);
    if let Some(last) = *store.last_expired.lock() {
        range.start = [last.to_bytes().as_slice(), &[0]].concat();
    }
    // Runs sort by creation time: after the first run that is too new, there are only newer ones.
    range.end = RunId::new(before, 0).to_bytes().to_vec();
    let mut stopped_at = None;
    store.latest().each_while(RUNS, range, |_, bytes| {
        let run = decode::<RunRecord>(RUNS, bytes)?.run;
        looked_at += 1;
        if is_expired(store.latest(), &run, before)? {
            found.push(run.id);
        }
        stopped_at = (found.len() == limit || looked_at == LOOK_AT).then_some(run.id);
        Ok(stopped_at.is_none())
    })?;
    *store.last_expired.lock() = stopped_at;
    Ok((found, stopped_at.is_some()))
}

/// Returns whether a run has ended before `before`, and no unended parent can ask for its outcome.
fn is_expired(store: &impl ReadTx, run: &Run, before: Timestamp) -> Result<bool> {
    if !run.state.has_ended() || run.ended_at.is_none_or(|ended| ended >= before) {
        return Ok(false);
    }
    let Some(parent) = run.trigger.parent else { return Ok(true) };
    Ok(record::find(store, parent)?.is_none_or(|parent| parent.run.state.has_ended()))
}

/// Deletes runs with all their rows, within the limits of a commit. Returns how many are gone. A
/// partly deleted run keeps its record, so it is found again.
fn forget_runs(commit: &mut WriteTx<'_, '_>, ids: &[RunId], before: Timestamp) -> Result<usize> {
    let mut left = PIECE;
    for (done, id) in ids.iter().enumerate() {
        let Some(record) = record::find(commit, *id)? else { continue };
        // It may have been retried since the search.
        if is_expired(commit, &record.run, before)? && !forget(commit, &record, &mut left)? {
            return Ok(done);
        }
    }
    Ok(ids.len())
}

fn forget(commit: &mut WriteTx<'_, '_>, record: &RunRecord, left: &mut usize) -> Result<bool> {
    let run = &record.run;
    let id = run.id.to_bytes();
    let keeps_journal = evidence::keep_journal(commit, run.id, &run.deployment, record.counters.chunks)?;
    for table in [LOGS, JOURNAL, INBOX, SIGNAL_KEYS, FAILURES, CHILDREN, OPEN_CHILDREN, OPERATOR_CALLS] {
        if table == JOURNAL && keeps_journal {
            continue;
        }
        let rows = commit.scan_prefix(table, &id, *left)?;
        for (key, value) in &rows {
            if [JOURNAL, INBOX].contains(&table) {
                commit.delete_value(Some(&run.deployment), table, key)?;
                continue;
            }
            commit.delete(table, key);
            if table == LOGS {
                commit.changes.note(&run.deployment, UsageDelta::bytes(LOGS, -signed(value.len())));
            }
        }
        *left -= rows.len();
        if *left == 0 {
            return Ok(false);
        }
    }
    for table in [INPUTS, OUTPUTS, REPLAY_SNAPSHOTS] {
        commit.delete_value(Some(&run.deployment), table, &id)?;
    }
    commit.delete(CANCELS, &id);
    // A cancelled run may still wait for a person.
    commit.delete(PARKED, &id);
    commit.delete(FUEL_RUNS, &id);
    commit.delete(RUNS, &id);
    commit.changes.note(&run.deployment, UsageDelta { runs: -1, ..UsageDelta::default() });
    if let Some(parent) = run.trigger.parent {
        commit.delete(CHILDREN, &pair(parent, run.id));
    }
    commit.delete(RUNS_BY_DEPLOYMENT, &run_of(&run.deployment, run.id));
    *left = left.saturating_sub(8).max(1);
    Ok(true)
}

/// Returns components that were uploaded before `before` and that nothing refers to.
fn unnamed_components(store: &impl ReadTx, before: Timestamp, limit: usize) -> Result<Vec<ComponentDigest>> {
    let mut unnamed = BTreeSet::new();
    store.each_while(COMPONENTS, prefix_range(&[]), |_, bytes| {
        let component: Component = decode(COMPONENTS, bytes)?;
        if component.uploaded_at < before {
            unnamed.insert(component.digest);
        }
        Ok(true)
    })?;
    store.each_while(REVISIONS, prefix_range(&[]), |_, bytes| {
        unnamed.remove(&decode::<Deployment>(REVISIONS, bytes)?.component);
        Ok(!unnamed.is_empty())
    })?;
    store.each_while(RUNS, prefix_range(&[]), |_, bytes| {
        unnamed.remove(&decode::<RunRecord>(RUNS, bytes)?.run.component);
        Ok(!unnamed.is_empty())
    })?;
    Ok(unnamed.into_iter().take(limit).collect())
}

/// Removes unreferenced payload files, and the notes about them that an earlier version wrote.
async fn sweep(store: &EmbeddedStore, now: Timestamp) -> Result<()> {
    let sweeper = store.clone();
    blocking(move || blobs::sweep(&sweeper.blobs, sweeper.latest(), now)).await?;
    while store.count(UNNAMED) > 0 {
        let forget = |c: &mut WriteTx<'_, '_>| {
            let notes = c.scan_prefix(UNNAMED, &[], PIECE)?;
            notes.iter().for_each(|(key, _)| c.delete(UNNAMED, key));
            Ok(notes.len())
        };
        if paced(store.commit(forget)).await? == 0 {
            break;
        }
    }
    Ok(())
}
