//! Requests, recovers, logs and lists runs. Their transactions are in `commit`, their claims in
//! `claim`.

pub(crate) mod claim;
pub(crate) mod commit;
pub(crate) mod debounce;
pub(crate) mod failures;
pub(crate) mod inbox;
pub(crate) mod index;
pub(crate) mod journal;
pub(crate) mod lanes;
pub(crate) mod parked;
pub(crate) mod position;
pub(crate) mod record;
pub(crate) mod tree;
pub(crate) mod waits;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidemill_core::ids::Owner;
use tidemill_core::journal::JournalChange;
use tidemill_core::limits::LOG_PAGE_BYTES;
use tidemill_core::run::{Run, RunEvent, RunState};
use tidemill_core::{DeploymentName, RunId, Timestamp, batch};
use xxhash_rust::xxh3::xxh3_128;

use super::codec::{decode, encode};
use super::read_tx::{ReadTx, prefix_range};
use super::tables::{
    self, DELAYED, DEPLOYMENTS, INPUTS, KEYS, LOGS, OPEN, OUTPUTS, PARKED, READY, RUNNING, RUNS, RUNS_BY_DEPLOYMENT,
    at, placed, run_of, under,
};
use super::usage::{self, UsageDelta, signed};
use super::value::{self, ValueRef};
use super::write_tx::WriteTx;
use crate::embedded::EmbeddedStore;
use crate::embedded::runs::record::{RunRecord, existing, owned};
use crate::error::StoreError;
use crate::records::{
    ChildOutcome, LogLine, LogPage, NewRun, Page, PageRequest, RecoveryFilter, RunFilter, RunRequestResult,
};

/// The input of a run without an input.
pub(super) const NOTHING: ValueRef = ValueRef::Here(Bytes::new());

type Result<T> = std::result::Result<T, StoreError>;

/// Maximum number of delayed runs that one commit moves to the ready list.
pub(super) const PROMOTE: usize = 1_000;
/// Maximum number of log lines in one record, and the text size in bytes at which a record is full.
/// A page of a log reads few records, each as a whole.
const CHUNK_LINES: usize = 200;
const CHUNK_BYTES: usize = 32 << 10;
/// Maximum number of runs that one page of a filtered list reads.
const LOOK_AT: usize = 2_000;

/// The reservation of an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunKeyRecord {
    /// The run of the key.
    pub(super) run: RunId,
    /// The hash of the run's input.
    pub(super) input: u128,
    /// When the reservation ends; `None` while the run has not ended.
    pub(super) until: Option<Timestamp>,
}

/// The result of the look-up of an idempotency key.
pub(super) enum KeyLookup {
    /// The key is free.
    Free,
    /// The key belongs to a run with the same input.
    Taken(Box<Run>),
}

pub(super) fn look_up_key(
    store: &impl ReadTx,
    deployment: &DeploymentName,
    key: &str,
    input: &[u8],
    now: Timestamp,
) -> Result<KeyLookup> {
    let Some(reserved) = store.record::<RunKeyRecord>(KEYS, &under(deployment.as_str(), key.as_bytes()))? else {
        return Ok(KeyLookup::Free);
    };
    if reserved.until.is_some_and(|until| until <= now) {
        return Ok(KeyLookup::Free);
    }
    if reserved.input != xxh3_128(input) {
        return Err(StoreError::KeyMismatch { run: reserved.run });
    }
    match run(store, reserved.run)? {
        // The key of a debounced request ends with the run that the request joined.
        Some(run) if reserved.until.is_none() && is_forgotten(&run, key, now) => Ok(KeyLookup::Free),
        Some(run) => Ok(KeyLookup::Taken(Box::new(run))),
        // The key is reserved for longer than the run's record is stored.
        None => Err(StoreError::KeyOutlivesRun { run: reserved.run }),
    }
}

/// Returns the run of a key if its record is removed and the key is still reserved.
pub(super) fn outlived(
    store: &impl ReadTx,
    deployment: &DeploymentName,
    key: &str,
    now: Timestamp,
) -> Result<Option<RunId>> {
    let name = under(deployment.as_str(), key.as_bytes());
    let Some(reserved) = store.record::<RunKeyRecord>(KEYS, &name)? else { return Ok(None) };
    let kept = reserved.until.is_none_or(|until| until > now) && run(store, reserved.run)?.is_none();
    Ok(kept.then_some(reserved.run))
}

/// Returns whether the reservation of a debounced request's key has ended with that of the run it
/// joined.
pub(super) fn is_forgotten(run: &Run, key: &str, now: Timestamp) -> bool {
    run.key.as_deref() != Some(key) && run.ended_at.is_some_and(|ended| ended.plus_millis(run.key_millis) <= now)
}

pub(super) fn by_key(store: &impl ReadTx, deployment: &DeploymentName, key: &str) -> Result<Option<Run>> {
    match store.record::<RunKeyRecord>(KEYS, &under(deployment.as_str(), key.as_bytes()))? {
        Some(reserved) => run(store, reserved.run),
        None => Ok(None),
    }
}

/// Writes a new run: its record, input, key reservation and index entries.
pub(super) fn insert(commit: &mut WriteTx<'_, '_>, kept: &RunRecord, input: &Bytes, now: Timestamp) -> Result<()> {
    let run = &kept.run;
    let id = run.id.to_bytes();
    if commit.bytes(RUNS, &id)?.is_some() {
        return Err(StoreError::IllegalTransition(format!("run {} already exists", run.id)));
    }
    if commit.bytes(DEPLOYMENTS, run.deployment.as_str().as_bytes())?.is_none() {
        return Err(no_deployment(&run.deployment));
    }
    if !run.lanes.is_empty() {
        lanes::check(run)?;
        if !matches!(run.state, RunState::Queued { .. }) {
            return Err(StoreError::IllegalTransition(format!("run {} has lanes, so it must be queued first", run.id)));
        }
    }
    usage::check_new_run(commit, &run.deployment)?;
    commit.changes.note(&run.deployment, UsageDelta { runs: 1, ..UsageDelta::default() });
    if !input.is_empty() {
        commit.put_held(Some(&run.deployment), INPUTS, &id, &[], input)?;
    }
    if let Some(key) = &run.key {
        let reserved = RunKeyRecord { run: run.id, input: xxh3_128(input), until: None };
        commit.put_record(KEYS, &under(run.deployment.as_str(), key.as_bytes()), &reserved)?;
    }
    commit.put(RUNS_BY_DEPLOYMENT, &run_of(&run.deployment, run.id), &[]);
    index::write(commit, None, kept, now)
}

pub(super) fn request(commit: &mut WriteTx<'_, '_>, new: &NewRun) -> Result<RunRequestResult> {
    request_in_turn(commit, new, false)
}

/// Requests a run. If it `waits`, it starts after the started runs of its schedule.
pub(super) fn request_in_turn(commit: &mut WriteTx<'_, '_>, new: &NewRun, waits: bool) -> Result<RunRequestResult> {
    if let Some(key) = &new.key
        && let KeyLookup::Taken(run) = look_up_key(commit, &new.deployment, key, &new.input, new.now)?
    {
        return Ok(RunRequestResult::Existing(*run));
    }
    if let Some(run) = debounce::join(commit, new)? {
        return Ok(RunRequestResult::Joined(run));
    }
    if new.terms.queue_max < u64::MAX {
        let queued = index::queued(commit, &new.deployment)?;
        if queued >= new.terms.queue_max {
            return Err(StoreError::QueueFull { queued });
        }
    }
    let mut kept = debounce::opened(commit, new)?;
    kept.marks.turn = waits.then(|| commit.ticket());
    insert(commit, &kept, &new.input, new.now)?;
    Ok(RunRequestResult::Created(kept.run))
}

pub(super) fn take_over(
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
        let before = existing(commit, run_in_key(RUNNING, &key)?)?;
        if !which.fits(before.run.takeovers.saturating_add(1)) {
            continue;
        }
        let mut after = before.after(RunEvent::TakenOver(owner.clone()))?;
        after.run.takeovers = after.run.takeovers.saturating_add(1);
        index::write(commit, Some(&before.run), &after, now)?;
        let input = input(commit, after.run.id)?.unwrap_or(NOTHING);
        taken.push((after.run, input));
    }
    Ok(taken)
}

pub(super) fn save_progress(commit: &mut WriteTx<'_, '_>, owner: &Owner, run: &Run, logs: &[LogLine]) -> Result<()> {
    let mut kept = owned(commit, owner, run.id)?;
    kept.run.progress.clone_from(&run.progress);
    kept.run.status.clone_from(&run.status);
    commit.put_record(RUNS, &run.id.to_bytes(), &kept)?;
    put_logs(commit, &kept.run, logs)
}

/// Saves the records of an open transaction.
pub(super) fn save(
    commit: &mut WriteTx<'_, '_>,
    owner: &Owner,
    run: &Run,
    change: Option<&JournalChange>,
    head: Option<&Bytes>,
    logs: &[LogLine],
) -> Result<()> {
    let mut kept = owned(commit, owner, run.id)?;
    kept.run.progress.clone_from(&run.progress);
    kept.run.status.clone_from(&run.status);
    kept.run.fuel = kept.run.fuel.max(run.fuel);
    kept.run.peak_memory = kept.run.peak_memory.max(run.peak_memory);
    kept.run.journal_entries = run.journal_entries;
    if let Some(change) = change {
        journal::change(commit, &mut kept, change)?;
        // The run made progress, so the host's crashes do not count against it.
        kept.run.takeovers = 0;
    }
    journal::set_head(commit, &mut kept, head)?;
    commit.put_record(RUNS, &run.id.to_bytes(), &kept)?;
    put_logs(commit, &kept.run, logs)
}

pub(super) fn put_logs(commit: &mut WriteTx<'_, '_>, run: &Run, mut logs: &[LogLine]) -> Result<()> {
    while let Some(first) = logs.first() {
        let (chunk, rest) = logs.split_at(batch::head(logs, CHUNK_LINES, CHUNK_BYTES, LogLine::size));
        let (key, bytes) = (placed(run.id, first.seq), encode(&chunk)?);
        let before = commit.bytes(LOGS, &key)?.map_or(0, |before| signed(before.len()));
        commit.changes.note(&run.deployment, UsageDelta::bytes(LOGS, signed(bytes.len()) - before));
        commit.put(LOGS, &key, &bytes);
        logs = rest;
    }
    Ok(())
}

pub(super) fn no_deployment(name: &DeploymentName) -> StoreError {
    StoreError::NotFound { kind: "deployment", name: name.to_string() }
}

pub(super) fn run_in_key(table: crate::kv::Table, key: &[u8]) -> Result<RunId> {
    tables::run_at_end(key)
        .ok_or_else(|| StoreError::Damaged { what: format!("a key of table {} is too short", table.name) })
}

pub(super) fn run(store: &impl ReadTx, id: RunId) -> Result<Option<Run>> {
    Ok(record::kept(store, id)?.map(|kept| kept.run))
}

pub(super) fn input(store: &impl ReadTx, id: RunId) -> Result<Option<ValueRef>> {
    value::alone(store, INPUTS, &id.to_bytes())
}

pub(super) fn output(store: &impl ReadTx, id: RunId) -> Result<Option<ValueRef>> {
    value::alone(store, OUTPUTS, &id.to_bytes())
}

/// Returns how a run ended, with its output; `None` if it has not ended.
pub(super) async fn child_outcome(store: &EmbeddedStore, id: RunId) -> Result<Option<ChildOutcome>> {
    let lease = store.lease();
    let Some((ended_at, state, output)) = outcome(&store.kv.view(), id)? else { return Ok(None) };
    Ok(Some(ChildOutcome { ended_at, state, output: store.maybe(lease, output).await? }))
}

/// Returns how a run ended; `None` if it has not ended.
pub(super) fn outcome(store: &impl ReadTx, id: RunId) -> Result<Option<(Timestamp, RunState, Option<ValueRef>)>> {
    let Run { state, ended_at, .. } = existing(store, id)?.run;
    if !state.has_ended() {
        return Ok(None);
    }
    let output = if state == RunState::Succeeded { output(store, id)? } else { None };
    Ok(Some((ended_at.unwrap_or_default(), state, output)))
}

pub(super) fn logs(store: &impl ReadTx, id: RunId, seq: u64, limit: usize) -> Result<LogPage> {
    // The chunk that contains `seq` may start before it.
    let prefix = id.to_bytes();
    let before = store.range(LOGS, prefix.to_vec()..placed(id, seq.saturating_add(1)), true, 1)?;
    let start = before.first().map_or_else(|| prefix.to_vec(), |(key, _)| key.to_vec());
    let mut page = LogPage::default();
    let mut bytes = 0;
    let mut range = start..prefix_range(&prefix).end;
    loop {
        let chunks = store.range(LOGS, range.clone(), false, 4)?;
        let Some((last, _)) = chunks.last() else { return Ok(page) };
        range.start = [last.as_ref(), &[0]].concat();
        for (_, chunk) in &chunks {
            let chunk: Vec<LogLine> = decode(LOGS, chunk)?;
            for line in chunk.into_iter().filter(|line| line.seq >= seq) {
                bytes += line.size();
                if page.lines.len() >= limit || (bytes > LOG_PAGE_BYTES && !page.lines.is_empty()) {
                    page.next = Some(line.seq);
                    return Ok(page);
                }
                page.lines.push(line);
            }
        }
    }
}

pub(super) fn waiting(store: &impl ReadTx, now: Timestamp) -> Result<Vec<DeploymentName>> {
    let mut names = Vec::new();
    let mut range = prefix_range(&[]);
    // One read for each deployment, regardless of its number of runs.
    while let Some((key, _)) = store.range(READY, range.clone(), false, 1)?.first() {
        let Some(name) = tables::name_of(key) else { break };
        range.start = prefix_range(&under(name.as_str(), &[])).end;
        names.push(name);
    }
    for (_, ready) in store.range(DELAYED, Vec::new()..at(now.plus_millis(1), &[]), false, PROMOTE)? {
        names.extend(tables::name_of(&ready));
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

pub(super) fn next_delayed(store: &impl ReadTx, now: Timestamp) -> Result<Option<Timestamp>> {
    let range = at(now.plus_millis(1), &[])..prefix_range(&[]).end;
    Ok(store.range(DELAYED, range, false, 1)?.first().and_then(|(key, _)| tables::time_of(key)))
}

pub(super) fn queued(store: &impl ReadTx, deployment: &DeploymentName, max: usize) -> Result<usize> {
    Ok(store.scan_prefix(READY, &under(deployment.as_str(), &[]), max)?.len())
}

/// Lists runs, newest first. A page ends early if few of many runs match.
pub(super) fn list(store: &impl ReadTx, filter: &RunFilter, page: &PageRequest) -> Result<Page<Run>> {
    let open_only = !filter.states.is_empty()
        && filter.states.iter().all(|state| !["succeeded", "failed", "cancelled"].contains(&state.as_str()));
    let (table, prefix) = match &filter.deployment {
        _ if parked::alone(filter) => (PARKED, Vec::new()),
        Some(name) if open_only => (OPEN, under(name.as_str(), &[])),
        Some(name) => (RUNS_BY_DEPLOYMENT, under(name.as_str(), &[])),
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
                run(store, run_in_key(table, key)?)?
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
