//! Lists runs, and reads what is stored with a run.

use async_trait::async_trait;
use bytes::Bytes;
use tidemill_core::run::{Run, RunState};
use tidemill_core::{DeploymentName, RunId, Timestamp};

use crate::embedded::codec::decode;
use crate::embedded::runs::record::{self, RunRecord};
use crate::embedded::runs::{self, RunKeyRecord, logs, parked};
use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::{KEYS, OPEN, PARKED, RUNS, RUNS_BY_DEPLOYMENT, name_key};
use crate::embedded::tx::{ReadTx, prefix_range};
use crate::embedded::value;
use crate::error::Result;
use crate::records::{ChildOutcome, LogPage, NewRun, Page, PageRequest, RunFilter, RunRequestResult};
use crate::traits::RunStore;

/// Maximum number of runs that one page of a filtered list reads.
const LOOK_AT: usize = 2_000;

#[async_trait]
impl RunStore for EmbeddedStore {
    async fn request_run(&self, new: NewRun) -> Result<RunRequestResult> {
        self.commit_with(value::long([&new.input]), move |c| runs::request(c, &new)).await
    }

    async fn run_by_key(&self, deployment: &DeploymentName, key: &str) -> Result<Option<Run>> {
        match self.latest().record::<RunKeyRecord>(KEYS, &name_key(deployment.as_str(), key.as_bytes()))? {
            Some(reserved) => runs::run(self.latest(), reserved.run),
            None => Ok(None),
        }
    }

    async fn key_outlives(&self, deployment: &DeploymentName, key: &str, now: Timestamp) -> Result<Option<RunId>> {
        let store = self.latest();
        let name = name_key(deployment.as_str(), key.as_bytes());
        let Some(reserved) = store.record::<RunKeyRecord>(KEYS, &name)? else { return Ok(None) };
        let removed = reserved.until.is_none_or(|until| until > now) && runs::run(store, reserved.run)?.is_none();
        Ok(removed.then_some(reserved.run))
    }

    async fn run(&self, id: RunId) -> Result<Option<Run>> {
        runs::run(self.latest(), id)
    }

    async fn input(&self, id: RunId) -> Result<Option<Bytes>> {
        let lease = self.lease();
        self.maybe(lease, runs::input(self.latest(), id)?).await
    }

    async fn output(&self, id: RunId) -> Result<Option<Bytes>> {
        let lease = self.lease();
        self.maybe(lease, runs::output(self.latest(), id)?).await
    }

    async fn logs(&self, id: RunId, seq: u64, limit: usize) -> Result<LogPage> {
        logs::logs(self.latest(), id, seq, limit)
    }

    async fn runs(&self, filter: RunFilter, page: PageRequest) -> Result<Page<Run>> {
        // A list is not a snapshot: a run that changes during the read is shown in its old or new
        // state.
        list(self.latest(), &filter, &page)
    }

    async fn outcome(&self, id: RunId) -> Result<Option<ChildOutcome>> {
        let (lease, store) = (self.lease(), self.snapshot());
        let Run { state, ended_at, .. } = record::get(&store, id)?.run;
        if !state.has_ended() {
            return Ok(None);
        }
        let output = if state == RunState::Succeeded { runs::output(&store, id)? } else { None };
        drop(store);
        Ok(Some(ChildOutcome {
            ended_at: ended_at.unwrap_or_default(),
            state,
            output: self.maybe(lease, output).await?,
        }))
    }
}

/// Lists runs, newest first. A page ends early if few of many runs match.
fn list(store: &impl ReadTx, filter: &RunFilter, page: &PageRequest) -> Result<Page<Run>> {
    let open_only = !filter.states.is_empty()
        && filter.states.iter().all(|state| !["succeeded", "failed", "cancelled"].contains(&state.as_str()));
    let (table, prefix) = match &filter.deployment {
        _ if parked::alone(filter) => (PARKED, Vec::new()),
        Some(name) if open_only => (OPEN, name_key(name.as_str(), &[])),
        Some(name) => (RUNS_BY_DEPLOYMENT, name_key(name.as_str(), &[])),
        None => (RUNS, Vec::new()),
    };
    let edge = |time: Timestamp| [prefix.as_slice(), &RunId::new(time, 0).to_bytes()].concat();
    let mut range = prefix_range(&prefix);
    if let Some(since) = filter.since {
        range.start = edge(since);
    }
    if let Some(until) = filter.until {
        range.end = range.end.min(edge(until));
    }
    if let Some(cursor) = &page.cursor {
        range.end = range.end.min(cursor.clone());
    }
    let mut found = Page::default();
    let mut looked_at = 0;
    let limit = page.limit.max(1);
    while range.start < range.end {
        let batch = store.range(table, range.clone(), true, (limit + 1).min(200))?;
        let Some((last, _)) = batch.last() else { break };
        range.end = last.to_vec();
        for (key, bytes) in &batch {
            looked_at += 1;
            let run = if table == RUNS {
                Some(decode::<RunRecord>(RUNS, bytes)?.run)
            } else if table == PARKED && !parked::may_fit(bytes, filter)? {
                None
            } else {
                runs::run(store, runs::run_in_key(table, key)?)?
            };
            if let Some(run) = run
                && matches(store, filter, &run)?
            {
                found.items.push(run);
            }
            if found.items.len() == limit || looked_at == LOOK_AT {
                found.next = Some(key.to_vec());
                // A full page may be the last one.
                let rest = range.start.clone()..key.to_vec();
                if store.range(table, rest, true, 1)?.is_empty() {
                    found.next = None;
                }
                return Ok(found);
            }
        }
    }
    Ok(found)
}

fn matches(store: &impl ReadTx, filter: &RunFilter, run: &Run) -> Result<bool> {
    let plain = (filter.states.is_empty() || filter.states.iter().any(|state| state == run.state.name()))
        && filter.labels.iter().all(|label| run.labels.contains(label));
    Ok(plain
        && (filter.codes.is_empty()
            || parked::failure(store, run)?.is_some_and(|failure| filter.codes.contains(&failure.code))))
}
