//! Counts the usage of a whole store once, for a folder of a release without counters.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use tidemill_core::quotas::Quotas;
use tidemill_core::{DeploymentName, RunId};

use crate::embedded::codec::decode;
use crate::embedded::runs::record::RunRecord;
use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::{
    EVENTS, INBOX, INPUTS, JOURNAL, LOGS, META, OUTPUTS, REPLAY_SNAPSHOTS, RUNS, STATE, TOPIC_OWNERS, name_of,
};
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::embedded::usage::{UsageDelta, quotas, signed};
use crate::embedded::{topics, value};
use crate::error::Result;
use crate::records::Usage;
use crate::traits::UsageStore;

/// The key in [`META`] which shows that the whole store was counted.
const COUNTED: &[u8] = b"usage-counted";

#[async_trait]
impl UsageStore for EmbeddedStore {
    async fn usage(&self) -> Result<Vec<(DeploymentName, Usage)>> {
        quotas::all(&self.snapshot())
    }

    fn quotas(&self) -> Quotas {
        self.quotas
    }
}

/// Counts the usage of the whole store once, for a folder of a release without counters.
pub(crate) async fn count_once(store: &EmbeddedStore) {
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
        quotas::put(commit, &deployment, &usage)?;
    }
    commit.put(META, COUNTED, &[]);
    Ok(())
}

/// Computes the usage of every deployment from the stored records.
fn counted(store: &impl ReadTx) -> Result<BTreeMap<DeploymentName, Usage>> {
    let mut changes: BTreeMap<DeploymentName, UsageDelta> = BTreeMap::new();
    let mut owners: HashMap<RunId, DeploymentName> = HashMap::new();
    store.each(RUNS, prefix_range(&[]), |key, bytes| {
        let run = decode::<RunRecord>(RUNS, bytes)?.run;
        changes.entry(run.deployment.clone()).or_default().runs += 1;
        if let Some(id) = run_at_start(key) {
            owners.insert(id, run.deployment);
        }
        Ok(())
    })?;
    for table in [INPUTS, OUTPUTS, REPLAY_SNAPSHOTS, JOURNAL, INBOX, LOGS] {
        store.each(table, prefix_range(&[]), |key, bytes| {
            if let Some(owner) = run_at_start(key).and_then(|id| owners.get(&id)) {
                let size = if table == LOGS { bytes.len() } else { value::size(bytes) };
                changes.entry(owner.clone()).or_default().add(UsageDelta::bytes(table, signed(size)));
            }
            Ok(())
        })?;
    }
    store.each(STATE, prefix_range(&[]), |key, bytes| {
        if let Some(owner) = name_of(key) {
            let size = signed(key.len() + value::size(bytes));
            changes.entry(owner).or_default().add(UsageDelta::bytes(STATE, size));
        }
        Ok(())
    })?;
    store.each(EVENTS, prefix_range(&[]), |_, bytes| {
        if let Some(owner) = topics::publisher(bytes)? {
            let change = UsageDelta { events: 1, ..UsageDelta::bytes(EVENTS, signed(value::size(bytes))) };
            changes.entry(owner).or_default().add(change);
        }
        Ok(())
    })?;
    store.each(TOPIC_OWNERS, prefix_range(&[]), |_, bytes| {
        changes.entry(decode(TOPIC_OWNERS, bytes)?).or_default().topics += 1;
        Ok(())
    })?;
    let usage = changes.into_iter().map(|(name, change)| (name, Usage::default().after(change)));
    Ok(usage.filter(|(_, usage)| *usage != Usage::default()).collect())
}

fn run_at_start(key: &[u8]) -> Option<RunId> {
    key.first_chunk::<16>().map(|bytes| RunId::from_bytes(*bytes))
}
