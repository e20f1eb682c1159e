//! Retention: finds expired data outside of the committer, and deletes a bounded part in each
//! commit.

use std::collections::BTreeSet;

use tidemill_core::run::Run;
use tidemill_core::{ComponentDigest, RunId, Timestamp, Topic};

use super::codec::decode;
use super::read_tx::{ReadTx, prefix_range};
use super::tables::{
    CANCELS, CHILDREN, COMPONENTS, FAILURES, HEADS, INBOX, INPUTS, JOURNAL, LOGS, OPEN_CHILDREN, OPERATIONS, OUTPUTS,
    PARKED, REVISIONS, RUNS, RUNS_BY_DEPLOYMENT, SIGNAL_KEYS, pair, run_of,
};
use super::throttle::{PIECE, paced};
use super::usage::{UsageDelta, signed};
use super::write_tx::WriteTx;
use crate::embedded::runs::record;
use crate::embedded::runs::record::RunRecord;
use crate::embedded::topics::{replay, subscriptions};
use crate::embedded::{EmbeddedStore, blocking, modules, operations, topics};
use crate::error::StoreError;
use crate::records::{
    Component, Deployment, EventPolicy, ExpiredEvents, PageRequest, RetentionPolicy, RetentionResult,
};

type Result<T> = std::result::Result<T, StoreError>;

/// Maximum number of runs that one call reads, which bounds its duration if few of many are old
/// enough.
const LOOK_AT: usize = 50_000;
/// Number of runs that are read at once.
const BATCH: usize = 256;

pub(super) async fn expire(store: &EmbeddedStore, policy: RetentionPolicy, limit: usize) -> Result<RetentionResult> {
    let limit = limit.max(1);
    let mut expired = RetentionResult::default();
    if let Some(before) = policy.ended_before {
        let reader = store.clone();
        let (mut runs, more) = blocking(move || ended_runs(&reader, before, limit)).await?;
        expired.more = more;
        while !runs.is_empty() {
            let part = runs.clone();
            let forgotten = paced(store.commit(move |c| forget_runs(c, &part, before))).await?;
            runs.drain(..forgotten);
            expired.runs += forgotten;
        }
        let old =
            operations::all(&store.kv)?.into_iter().filter(|one| one.ended_at.is_some_and(|ended| ended < before));
        let old: Vec<_> = old.take(limit).map(|operation| operation.id).collect();
        if !old.is_empty() {
            store.commit(move |c| forget_operations(c, &old)).await?;
        }
    }
    if let Some(before) = policy.uploaded_before.filter(|_| !expired.more) {
        let reader = store.clone();
        for digest in blocking(move || unnamed_components(&reader.kv.view(), before, limit)).await? {
            match store.commit(move |c| modules::delete(c, &digest)).await {
                Ok(()) => expired.components.push(digest),
                // A deployment started to use it, or it was deleted, since the search.
                Err(StoreError::InUse { .. } | StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(expired)
}

/// Deletes old events, at most `limit` of each topic.
pub(super) async fn expire_events(
    store: &EmbeddedStore,
    policy: EventPolicy,
    limit: usize,
    now: Timestamp,
) -> Result<ExpiredEvents> {
    let limit = limit.max(1);
    let mut expired = ExpiredEvents::default();
    let mut page = PageRequest::first(BATCH);
    loop {
        let found = topics::topics(&store.kv, &page)?;
        for topic in found.items {
            let Some(head) = topics::head(&store.kv, &topic.topic)? else { continue };
            if !subscriptions::is_over(&head, &policy) {
                continue;
            }
            let topic = topic.topic;
            let part = paced(store.commit(move |c| subscriptions::expire(c, &topic, &policy, limit, now))).await?;
            expired.events += part.events;
            expired.lost += part.lost;
            expired.more |= part.more;
        }
        match found.next {
            Some(cursor) => page = PageRequest { cursor: Some(cursor), limit: BATCH },
            None => return Ok(expired),
        }
    }
}

/// Deletes a topic with its events, one piece in each commit.
pub(super) async fn delete_topic(store: &EmbeddedStore, topic: &Topic, now: Timestamp) -> Result<ExpiredEvents> {
    let mut deleted = ExpiredEvents::default();
    loop {
        let name = topic.clone();
        let part = paced(store.commit(move |c| subscriptions::delete_topic(c, &name, now))).await?;
        deleted.events += part.events;
        deleted.lost += part.lost;
        if !part.more {
            return Ok(deleted);
        }
    }
}

fn forget_operations(commit: &mut WriteTx<'_, '_>, ids: &[String]) -> Result<()> {
    for id in ids {
        replay::forget(commit, id)?;
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
    if let Some(last) = store.swept() {
        range.start = [last.to_bytes().as_slice(), &[0]].concat();
    }
    // Runs sort by creation time: after the first run that is too new, there are only newer ones.
    range.end = RunId::new(before, 0).to_bytes().to_vec();
    while range.start < range.end {
        let batch = store.kv.range(RUNS, range.clone(), false, BATCH)?;
        let Some((last, _)) = batch.last() else { break };
        range.start = [last.as_ref(), &[0]].concat();
        for (_, bytes) in &batch {
            let kept: RunRecord = decode(RUNS, bytes)?;
            looked_at += 1;
            if is_expired(&store.kv, &kept.run, before)? {
                found.push(kept.run.id);
            }
            if found.len() == limit || looked_at == LOOK_AT {
                store.sweep_from(Some(kept.run.id));
                return Ok((found, true));
            }
        }
    }
    store.sweep_from(None);
    Ok((found, false))
}

/// Returns whether a run has ended before `before`, and no unended parent can ask for its outcome.
fn is_expired(store: &impl ReadTx, run: &Run, before: Timestamp) -> Result<bool> {
    if !run.state.has_ended() || run.ended_at.is_none_or(|ended| ended >= before) {
        return Ok(false);
    }
    let Some(parent) = run.trigger.parent else { return Ok(true) };
    Ok(record::kept(store, parent)?.is_none_or(|parent| parent.run.state.has_ended()))
}

/// Deletes runs with all their rows, within the limits of a commit. Returns how many are gone. A
/// partly deleted run keeps its record, so it is found again.
fn forget_runs(commit: &mut WriteTx<'_, '_>, ids: &[RunId], before: Timestamp) -> Result<usize> {
    let mut left = PIECE;
    for (done, id) in ids.iter().enumerate() {
        let Some(kept) = record::kept(commit, *id)? else { continue };
        // It may have been retried since the search.
        if is_expired(commit, &kept.run, before)? && !forget(commit, &kept.run, &mut left)? {
            return Ok(done);
        }
    }
    Ok(ids.len())
}

fn forget(commit: &mut WriteTx<'_, '_>, run: &Run, left: &mut usize) -> Result<bool> {
    let id = run.id.to_bytes();
    for table in [LOGS, JOURNAL, INBOX, SIGNAL_KEYS, FAILURES, CHILDREN, OPEN_CHILDREN] {
        let rows = commit.scan_prefix(table, &id, *left)?;
        for (key, value) in &rows {
            if [JOURNAL, INBOX].contains(&table) {
                commit.delete_held(Some(&run.deployment), table, key)?;
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
    for table in [INPUTS, OUTPUTS, HEADS] {
        commit.delete_held(Some(&run.deployment), table, &id)?;
    }
    commit.delete(CANCELS, &id);
    // A cancelled run may still wait for a person.
    commit.delete(PARKED, &id);
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
    each(store, COMPONENTS, |bytes| {
        let component: Component = decode(COMPONENTS, bytes)?;
        if component.uploaded_at < before {
            unnamed.insert(component.digest);
        }
        Ok(true)
    })?;
    each(store, REVISIONS, |bytes| {
        unnamed.remove(&decode::<Deployment>(REVISIONS, bytes)?.component);
        Ok(!unnamed.is_empty())
    })?;
    each(store, RUNS, |bytes| {
        unnamed.remove(&decode::<RunRecord>(RUNS, bytes)?.run.component);
        Ok(!unnamed.is_empty())
    })?;
    Ok(unnamed.into_iter().take(limit).collect())
}

/// Visits every record of a table until `visit` returns `false`.
fn each(store: &impl ReadTx, table: crate::kv::Table, mut visit: impl FnMut(&[u8]) -> Result<bool>) -> Result<()> {
    let mut range = prefix_range(&[]);
    loop {
        let batch = store.range(table, range.clone(), false, BATCH)?;
        let Some((last, _)) = batch.last() else { return Ok(()) };
        range.start = [last.as_ref(), &[0]].concat();
        for (_, bytes) in &batch {
            if !visit(bytes)? {
                return Ok(());
            }
        }
    }
}
