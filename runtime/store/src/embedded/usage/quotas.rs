//! The usage of each deployment, which each operation updates, and the quotas that bound it.

use tidemill_core::{Code, DeploymentName};

use crate::embedded::codec::decode;
use crate::embedded::tables::USAGE;
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::embedded::usage::UsageDelta;
use crate::error::{Result, StoreError};
use crate::records::Usage;

impl Usage {
    pub(crate) fn after(self, change: UsageDelta) -> Self {
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

pub(crate) fn get(store: &impl ReadTx, deployment: &DeploymentName) -> Result<Usage> {
    Ok(store.record(USAGE, deployment.as_str().as_bytes())?.unwrap_or_default())
}

pub(crate) fn all(store: &impl ReadTx) -> Result<Vec<(DeploymentName, Usage)>> {
    let mut all = Vec::new();
    for (key, bytes) in store.range(USAGE, prefix_range(&[]), false, usize::MAX)? {
        let name = std::str::from_utf8(&key).ok().and_then(|name| name.parse().ok());
        let name = name.ok_or_else(|| StoreError::Damaged { what: "a key of table usage cannot be read".into() })?;
        all.push((name, decode(USAGE, &bytes)?));
    }
    Ok(all)
}

pub(crate) fn put(commit: &mut WriteTx<'_, '_>, deployment: &DeploymentName, usage: &Usage) -> Result<()> {
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
pub(crate) fn write(commit: &mut WriteTx<'_, '_>) -> Result<()> {
    let (quotas, changes) = (commit.quotas, std::mem::take(&mut commit.changes));
    for (deployment, change) in changes.into_iter() {
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
pub(crate) fn check_new_run(commit: &WriteTx<'_, '_>, deployment: &DeploymentName) -> Result<()> {
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

/// Refuses another topic if the runs of a deployment have created the maximum number.
pub(crate) fn check_topic(commit: &WriteTx<'_, '_>, deployment: &DeploymentName) -> Result<()> {
    let own = get(commit, deployment)?.after(commit.changes.of(deployment)).topics;
    if own >= commit.quotas.topics {
        let detail =
            format!("runs of `{deployment}` have created {own} topics; the maximum is {}", commit.quotas.topics);
        return Err(StoreError::OverBound { code: Code::LimitTopics, detail });
    }
    Ok(())
}

fn over(deployment: &DeploymentName, code: Code, quota: u64, what: &str) -> StoreError {
    StoreError::OverBound { code, detail: format!("`{deployment}` has reached its quota of {quota} {what}") }
}
