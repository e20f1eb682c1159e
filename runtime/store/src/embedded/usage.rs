//! The usage of each deployment, counted in the commits that change it, and its quotas.
//!
//! An operation collects its changes. At its end, the usage of each changed deployment is written
//! in the same commit, so the counters are exact after any crash. A folder of a release without
//! counters is counted once, when the first epoch of this release starts.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use tidemill_core::quotas::Quotas;
use tidemill_core::{Code, DeploymentName, RunId, SubscriptionName, Timestamp, Topic};

use super::codec::decode;
use super::read_tx::{ReadTx, prefix_range};
use super::tables::{
    EVENTS, HEADS, INBOX, INPUTS, JOURNAL, LOGS, META, OUTPUTS, RUNS, STATE, TOPIC_OWNERS, USAGE, name_of,
};
use super::value;
use super::write_tx::WriteTx;
use crate::contract::Bounds;
use crate::embedded::runs::record::RunRecord;
use crate::embedded::runs::tree;
use crate::embedded::topics::replay;
use crate::embedded::{EmbeddedStore, retention, topics};
use crate::error::StoreError;
use crate::kv::Table;
use crate::records::{ExpiredEvents, Usage};

type Result<T> = std::result::Result<T, StoreError>;

/// The key in [`META`] which shows that the whole store was counted.
const COUNTED: &[u8] = b"usage-counted";
/// Number of records that are read at once during the count.
const BATCH: usize = 1_000;

#[async_trait]
impl Bounds for EmbeddedStore {
    async fn child_room(&self, parent: RunId) -> Result<Option<u32>> {
        tree::child_room(&self.kv, parent)
    }

    async fn topic_room(&self, deployment: &DeploymentName) -> Result<u64> {
        topics::room(&self.kv.view(), &self.quotas, deployment)
    }

    async fn delete_topic(&self, topic: &Topic, now: Timestamp) -> Result<ExpiredEvents> {
        retention::delete_topic(self, topic, now).await
    }

    async fn replay_size(
        &self,
        deployment: &DeploymentName,
        name: &SubscriptionName,
        since: Timestamp,
        until: Option<Timestamp>,
    ) -> Result<u64> {
        let (_, parts) = replay::parts(&self.kv.view(), (deployment, name), since, until)?;
        Ok(parts.iter().map(|part| part.to - part.from).sum())
    }

    async fn usage(&self) -> Result<Vec<(DeploymentName, Usage)>> {
        all(&self.kv.view())
    }

    fn quotas(&self) -> Quotas {
        self.quotas
    }
}

/// The changes of an operation to one deployment's usage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct UsageDelta {
    pub(super) runs: i64,
    pub(super) state_bytes: i64,
    pub(super) payload_bytes: i64,
    pub(super) log_bytes: i64,
    pub(super) events: i64,
    pub(super) topics: i64,
}

impl UsageDelta {
    /// Creates a change of the number of bytes in a table.
    pub(super) fn bytes(table: Table, bytes: i64) -> Self {
        match table {
            STATE => Self { state_bytes: bytes, ..Self::default() },
            LOGS => Self { log_bytes: bytes, ..Self::default() },
            _ => Self { payload_bytes: bytes, ..Self::default() },
        }
    }

    fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.state_bytes += other.state_bytes;
        self.payload_bytes += other.payload_bytes;
        self.log_bytes += other.log_bytes;
        self.events += other.events;
        self.topics += other.topics;
    }
}

/// The changes of one operation, by deployment.
#[derive(Debug, Default)]
pub(super) struct UsageDeltas(Vec<(DeploymentName, UsageDelta)>);

impl UsageDeltas {
    pub(super) fn note(&mut self, deployment: &DeploymentName, change: UsageDelta) {
        match self.0.iter_mut().find(|(name, _)| name == deployment) {
            Some((_, sum)) => sum.add(change),
            None => self.0.push((deployment.clone(), change)),
        }
    }

    /// Returns the changes of this operation to a deployment's usage so far.
    pub(super) fn of(&self, deployment: &DeploymentName) -> UsageDelta {
        self.0.iter().find(|(name, _)| name == deployment).map_or_else(UsageDelta::default, |(_, sum)| *sum)
    }
}

impl Usage {
    fn after(self, change: UsageDelta) -> Self {
        Self {
            runs: self.runs.saturating_add_signed(change.runs),
            state_bytes: self.state_bytes.saturating_add_signed(change.state_bytes),
            payload_bytes: self.payload_bytes.saturating_add_signed(change.payload_bytes),
            log_bytes: self.log_bytes.saturating_add_signed(change.log_bytes),
            events: self.events.saturating_add_signed(change.events),
            topics: self.topics.saturating_add_signed(change.topics),
        }
    }
}

pub(super) fn get(store: &impl ReadTx, deployment: &DeploymentName) -> Result<Usage> {
    Ok(store.record(USAGE, deployment.as_str().as_bytes())?.unwrap_or_default())
}

pub(super) fn all(store: &impl ReadTx) -> Result<Vec<(DeploymentName, Usage)>> {
    let mut all = Vec::new();
    for (key, bytes) in store.range(USAGE, prefix_range(&[]), false, usize::MAX)? {
        let name = std::str::from_utf8(&key).ok().and_then(|name| name.parse().ok());
        let name = name.ok_or_else(|| StoreError::Damaged { what: "a key of table usage cannot be read".into() })?;
        all.push((name, decode(USAGE, &bytes)?));
    }
    Ok(all)
}

fn put(commit: &mut WriteTx<'_, '_>, deployment: &DeploymentName, usage: &Usage) -> Result<()> {
    let name = deployment.as_str().as_bytes();
    if *usage == Usage::default() {
        commit.delete(USAGE, name);
        return Ok(());
    }
    commit.put_record(USAGE, name, usage)
}

/// Writes the changes of an operation.
///
/// # Errors
/// If state or events grow beyond their quota. The records of a run itself are not refused here:
/// limits bound a started run, and no other run starts.
pub(super) fn write(commit: &mut WriteTx<'_, '_>, changes: UsageDeltas) -> Result<()> {
    let quotas = commit.quotas;
    for (deployment, change) in changes.0 {
        if change == UsageDelta::default() {
            continue;
        }
        let usage = get(commit, &deployment)?.after(change);
        if change.state_bytes > 0 && usage.state_bytes > quotas.state_bytes {
            return Err(over(&deployment, Code::QuotaState, quotas.state_bytes, "bytes of state"));
        }
        if change.events > 0 && usage.events > quotas.events {
            return Err(over(&deployment, Code::QuotaEvents, quotas.events, "events"));
        }
        put(commit, &deployment, &usage)?;
    }
    Ok(())
}

/// Refuses a new run of a deployment that has reached a quota.
pub(super) fn check_new_run(commit: &WriteTx<'_, '_>, deployment: &DeploymentName) -> Result<()> {
    let quotas = commit.quotas;
    let usage = get(commit, deployment)?.after(commit.changes.of(deployment));
    if usage.runs >= quotas.runs {
        return Err(over(deployment, Code::QuotaRuns, quotas.runs, "runs"));
    }
    if usage.payload_bytes >= quotas.payload_bytes {
        let what = "bytes of inputs, outputs, journals and events";
        return Err(over(deployment, Code::QuotaPayloads, quotas.payload_bytes, what));
    }
    if usage.log_bytes >= quotas.log_bytes {
        return Err(over(deployment, Code::QuotaLogs, quotas.log_bytes, "bytes of log lines"));
    }
    Ok(())
}

fn over(deployment: &DeploymentName, code: Code, quota: u64, what: &str) -> StoreError {
    StoreError::OverBound { code, detail: format!("`{deployment}` has reached its quota of {quota} {what}") }
}

/// Refuses another topic if the runs of a deployment have created the maximum number.
pub(super) fn check_topic(commit: &WriteTx<'_, '_>, deployment: &DeploymentName) -> Result<()> {
    let own = get(commit, deployment)?.after(commit.changes.of(deployment)).topics;
    if own >= commit.quotas.topics {
        let detail =
            format!("runs of `{deployment}` have created {own} topics; the maximum is {}", commit.quotas.topics);
        return Err(StoreError::OverBound { code: Code::LimitTopics, detail });
    }
    topics::check_total(commit, 1)
}

/// Counts the usage of the whole store once, for a folder of a release without counters.
pub(super) async fn count_once(store: &EmbeddedStore) {
    if let Err(error) = store.commit(count).await {
        // The next epoch counts again. Until then only new changes are counted.
        tracing::warn!(%error, "the usage of deployments could not be counted");
    }
}

fn count(commit: &mut WriteTx<'_, '_>) -> Result<()> {
    if commit.bytes(META, COUNTED)?.is_some() {
        return Ok(());
    }
    for (deployment, usage) in counted(commit)? {
        put(commit, &deployment, &usage)?;
    }
    commit.put(META, COUNTED, &[]);
    Ok(())
}

/// Computes the usage of every deployment from the stored records.
pub(super) fn counted(store: &impl ReadTx) -> Result<BTreeMap<DeploymentName, Usage>> {
    let mut changes: BTreeMap<DeploymentName, UsageDelta> = BTreeMap::new();
    let mut owners: HashMap<RunId, DeploymentName> = HashMap::new();
    each(store, RUNS, |key, bytes| {
        let run = decode::<RunRecord>(RUNS, bytes)?.run;
        changes.entry(run.deployment.clone()).or_default().runs += 1;
        if let Some(id) = run_at_start(key) {
            owners.insert(id, run.deployment);
        }
        Ok(())
    })?;
    for table in [INPUTS, OUTPUTS, HEADS, JOURNAL, INBOX, LOGS] {
        each(store, table, |key, bytes| {
            if let Some(owner) = run_at_start(key).and_then(|id| owners.get(&id)) {
                let size = if table == LOGS { bytes.len() } else { value::size(bytes) };
                changes.entry(owner.clone()).or_default().add(UsageDelta::bytes(table, signed(size)));
            }
            Ok(())
        })?;
    }
    each(store, STATE, |key, bytes| {
        if let Some(owner) = name_of(key) {
            let size = signed(key.len() + value::size(bytes));
            changes.entry(owner).or_default().add(UsageDelta::bytes(STATE, size));
        }
        Ok(())
    })?;
    each(store, EVENTS, |_, bytes| {
        if let Some(owner) = topics::publisher(bytes)? {
            let change = UsageDelta { events: 1, ..UsageDelta::bytes(EVENTS, signed(value::size(bytes))) };
            changes.entry(owner).or_default().add(change);
        }
        Ok(())
    })?;
    each(store, TOPIC_OWNERS, |_, bytes| {
        changes.entry(decode(TOPIC_OWNERS, bytes)?).or_default().topics += 1;
        Ok(())
    })?;
    let usage = changes.into_iter().map(|(name, change)| (name, Usage::default().after(change)));
    Ok(usage.filter(|(_, usage)| *usage != Usage::default()).collect())
}

/// Converts a size to a signed change.
pub(super) fn signed(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn run_at_start(key: &[u8]) -> Option<RunId> {
    key.first_chunk::<16>().map(|bytes| RunId::from_bytes(*bytes))
}

/// Visits every record of a table.
fn each(store: &impl ReadTx, table: Table, mut visit: impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
    let mut range = prefix_range(&[]);
    loop {
        let batch = store.range(table, range.clone(), false, BATCH)?;
        let Some((last, _)) = batch.last() else { return Ok(()) };
        range.start = [last.as_ref(), &[0]].concat();
        for (key, bytes) in &batch {
            visit(key, bytes)?;
        }
    }
}
