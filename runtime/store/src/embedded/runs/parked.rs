//! The list of runs that wait for a person, updated by the commit that parks, resumes or retries a
//! run. It includes cancelled runs that could not undo their work, until they are dismissed or
//! deleted.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tidemill_core::run::{Run, RunState};
use tidemill_core::{DeploymentName, Failure, RunId, Timestamp};

use crate::embedded::codec::decode;
use crate::embedded::runs::{failures, record};
use crate::embedded::store::{EmbeddedStore, blocking};
use crate::embedded::tables::{PARKED, run_at_end};
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::error::{Result, StoreError};
use crate::records::{NumberedFailure, Page, PageRequest, ParkRecord, ParkedFilter, ParkedGroup, ParkedRun, RunFilter};
use crate::traits::FailureStore;

/// Number of entries that are read at once.
const BATCH: usize = 1_000;
/// Maximum number of entries that one page reads.
const LOOK_AT: usize = 20_000;

/// Returns the failure for which a run waits for a person, or that ended it.
pub(crate) fn failure(store: &impl ReadTx, run: &Run) -> Result<Option<Failure>> {
    match &run.state {
        RunState::Cancelled => failures::of_cancellation(store, run.id),
        state => Ok(state.failure().cloned()),
    }
}

#[async_trait]
impl FailureStore for EmbeddedStore {
    async fn failures(&self, id: RunId) -> Result<Vec<NumberedFailure>> {
        failures::list(self.latest(), id)
    }

    async fn parked(&self, filter: ParkedFilter, page: PageRequest) -> Result<Page<ParkedRun>> {
        list(self.latest(), &filter, &page)
    }

    async fn parked_groups(&self, filter: ParkedFilter) -> Result<Vec<ParkedGroup>> {
        let store = self.clone();
        blocking(move || groups(store.latest(), &filter)).await
    }

    async fn dismiss(&self, id: RunId) -> Result<bool> {
        let dismiss = move |c: &mut WriteTx<'_, '_>| {
            let cancelled = record::get(c, id)?.run.state == RunState::Cancelled;
            let listed = cancelled && c.bytes(PARKED, &id.to_bytes())?.is_some();
            if listed {
                c.delete(PARKED, &id.to_bytes());
            }
            Ok(listed)
        };
        self.commit(dismiss).await
    }
}

/// Adds a run that now waits for a person, with the code of its failure; removes a run that was
/// parked before.
pub(crate) fn keep(
    commit: &mut WriteTx<'_, '_>,
    before: Option<&Run>,
    run: &Run,
    code: Option<&String>,
    now: Timestamp,
) -> Result<()> {
    if let (RunState::Parked(_) | RunState::Cancelled, Some(code)) = (&run.state, code) {
        let entry = ParkRecord { deployment: run.deployment.clone(), code: code.clone(), since: now };
        commit.put_record(PARKED, &run.id.to_bytes(), &entry)?;
    } else if before.is_some_and(|before| matches!(before.state, RunState::Parked(_))) {
        commit.delete(PARKED, &run.id.to_bytes());
    }
    Ok(())
}

/// Returns whether a filter selects only parked runs, which this list contains.
pub(crate) fn alone(filter: &RunFilter) -> bool {
    filter.states.as_slice() == ["parked"]
}

/// Returns whether an entry can match a filter, so that the run's record must be read.
pub(crate) fn may_fit(bytes: &[u8], filter: &RunFilter) -> Result<bool> {
    let entry: ParkRecord = decode(PARKED, bytes)?;
    Ok(fits(&entry, filter.deployment.as_ref(), &filter.codes))
}

fn fits(entry: &ParkRecord, deployment: Option<&DeploymentName>, codes: &[String]) -> bool {
    deployment.is_none_or(|name| entry.deployment == *name) && (codes.is_empty() || codes.contains(&entry.code))
}

/// Lists matching runs, newest first. A page ends early if few of many entries match.
fn list(store: &impl ReadTx, filter: &ParkedFilter, page: &PageRequest) -> Result<Page<ParkedRun>> {
    let mut range = prefix_range(&[]);
    if let Some(cursor) = &page.cursor {
        range.end = range.end.min(cursor.clone());
    }
    let (mut found, mut looked_at) = (Page::default(), 0);
    while range.start < range.end {
        let batch = store.range(PARKED, range.clone(), true, BATCH)?;
        let Some((last, _)) = batch.last() else { break };
        range.end = last.to_vec();
        for (key, bytes) in &batch {
            looked_at += 1;
            let why: ParkRecord = decode(PARKED, bytes)?;
            if fits(&why, filter.deployment.as_ref(), &filter.codes) {
                found.items.push(ParkedRun { run: run(key)?, why });
            }
            if found.items.len() == page.limit.max(1) || looked_at == LOOK_AT {
                let rest = range.start.clone()..key.to_vec();
                let more = !store.range(PARKED, rest, true, 1)?.is_empty();
                found.next = more.then(|| key.to_vec());
                return Ok(found);
            }
        }
    }
    Ok(found)
}

fn run(key: &[u8]) -> Result<RunId> {
    run_at_end(key).ok_or_else(|| StoreError::Damaged { what: "a key of table parked-runs is too short".into() })
}

/// Counts matching runs by deployment and code, largest group first.
fn groups(store: &impl ReadTx, filter: &ParkedFilter) -> Result<Vec<ParkedGroup>> {
    let mut groups: BTreeMap<(DeploymentName, String), ParkedGroup> = BTreeMap::new();
    store.each(PARKED, prefix_range(&[]), |_, bytes| {
        let entry: ParkRecord = decode(PARKED, bytes)?;
        if fits(&entry, filter.deployment.as_ref(), &filter.codes) {
            let ParkRecord { deployment, code, since } = entry;
            let group = groups.entry((deployment.clone(), code.clone())).or_insert(ParkedGroup {
                deployment,
                code,
                runs: 0,
                oldest: since,
                newest: since,
            });
            group.runs += 1;
            group.oldest = group.oldest.min(since);
            group.newest = group.newest.max(since);
        }
        Ok(())
    })?;
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.runs));
    Ok(groups)
}
