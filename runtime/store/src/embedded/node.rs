//! The epochs of nodes, and the health and the scrubs of the whole store.

use async_trait::async_trait;
use tidemill_core::{Epoch, NodeId, Timestamp};
use tokio::sync::watch;

use crate::embedded::store::{EmbeddedStore, blocking};
use crate::embedded::tables::{META, OPEN, PARKED, RUNNING};
use crate::embedded::tx::ReadTx;
use crate::embedded::{blobs, deployments, epoch, ledger, usage};
use crate::error::{Result, StoreError};
use crate::kv::{CommitPosition, IndexSpace, KvHealth};
use crate::records::{RunCounts, Scrub};
use crate::traits::{NodeStore, StoreHealth};

/// The key of the last scrub of everything.
const ALL_SCRUB: &[u8] = b"scrub";
/// The key of the last scrub of the index alone.
const INDEX_SCRUB: &[u8] = b"index-scrub";

#[async_trait]
impl NodeStore for EmbeddedStore {
    async fn begin_epoch(&self, node: &NodeId) -> Result<Epoch> {
        let of = node.clone();
        let epoch = match self.commit(move |c| epoch::begin(c, &of)).await {
            // The first commit that the disk has space for writes it. The folder belongs to this
            // process, so no other process starts an epoch in between.
            Err(StoreError::DiskFull) if ledger::entries::is_converted(self.latest())? => {
                return self.pending_epoch.begin(self.latest(), node);
            }
            begun => begun?,
        };
        ledger::convert::convert_once(self).await?;
        usage::count_once(self).await;
        for name in deployments::deleted(self.latest())? {
            deployments::purge(self, &name).await?;
        }
        Ok(epoch)
    }

    fn health(&self) -> StoreHealth {
        match self.kv().health() {
            KvHealth::Healthy => StoreHealth::Good,
            KvHealth::DiskFull { .. } => StoreHealth::DiskFull,
            KvHealth::ReadOnly { why, .. } => StoreHealth::ReadOnly(why),
        }
    }

    fn space(&self) -> Option<IndexSpace> {
        Some(self.kv().space())
    }

    fn committed(&self) -> watch::Receiver<CommitPosition> {
        self.kv().commits()
    }

    fn sync_count(&self) -> u64 {
        self.kv().sync_count()
    }

    async fn scrub(&self, now: Timestamp) -> Result<Scrub> {
        let store = self.clone();
        let verify = move || Ok((store.kv().scrub()?, blobs::verify(&store.blobs, store.latest())?));
        let (found, (_, blob_bytes)) = blocking(verify).await.inspect_err(|error| self.stop_if_damaged(error))?;
        let scrub = Scrub { at: now, records: found.records, bytes: found.bytes.saturating_add(blob_bytes) };
        put_scrub(self, ALL_SCRUB, scrub).await;
        Ok(scrub)
    }

    async fn last_scrub(&self) -> Result<Option<Scrub>> {
        self.latest().record(META, ALL_SCRUB)
    }

    async fn index_scrub(&self, now: Timestamp) -> Result<Option<Scrub>> {
        let Some(found) = self.kv().take_scrub() else { return self.latest().record(META, INDEX_SCRUB) };
        let scrub = Scrub { at: now, records: found.records, bytes: found.bytes };
        put_scrub(self, INDEX_SCRUB, scrub).await;
        Ok(Some(scrub))
    }

    fn run_counts(&self) -> RunCounts {
        let count = |table| self.count(table);
        RunCounts { unended: count(OPEN), running: count(RUNNING), parked: count(PARKED) }
    }

    async fn close(&self) -> Result<()> {
        self.blobs.stop_removing();
        Ok(self.kv().close().await?)
    }
}

/// Stores a result. If that fails, the scrub still counts, because it found no damage.
async fn put_scrub(store: &EmbeddedStore, key: &'static [u8], scrub: Scrub) {
    if let Err(error) = store.commit(move |c| c.put_record(META, key, &scrub)).await {
        tracing::warn!(%error, "the result of the scrub could not be stored");
    }
}
