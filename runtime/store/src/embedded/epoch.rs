//! The lives of a node: each has a number of its own, durable before anything else that the life writes.
//!
//! On a full disk a life begins all the same; its number is then written with its first commit.

use std::sync::{Arc, Mutex, PoisonError};

use tidemill_core::{Epoch, NodeId};

use super::read_tx::ReadTx;
use super::tables::META;
use super::write_tx::WriteTx;
use super::{EmbeddedStore, deployments, usage};
use crate::contract::Result;
use crate::error::StoreError;

/// A life that is not written yet.
#[derive(Debug, Clone)]
pub(super) struct EpochRecord {
    key: Vec<u8>,
    epoch: u64,
}

/// The present life, where it is not written yet.
#[derive(Debug, Clone, Default)]
pub(super) struct PendingEpoch(Arc<Mutex<Option<EpochRecord>>>);

impl PendingEpoch {
    /// The life that the next commit has to write.
    pub(super) fn now(&self) -> Option<EpochRecord> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins the life after all that were begun, without writing it.
    pub(super) fn begin(&self, store: &impl ReadTx, node: &NodeId) -> Result<Epoch> {
        let key = key(node);
        let written = store.record::<u64>(META, &key)?.unwrap_or_default();
        let mut unwritten = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let epoch = unwritten.as_ref().map_or(written, |life| life.epoch.max(written)) + 1;
        *unwritten = Some(EpochRecord { key, epoch });
        Ok(Epoch::new(epoch))
    }

    /// A commit has written it.
    pub(super) fn written(&self, life: &EpochRecord) {
        let mut unwritten = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        unwritten.take_if(|present| present.epoch <= life.epoch);
    }
}

/// Begins a life in a commit of its own.
pub(super) fn begin(commit: &mut WriteTx<'_, '_>, node: &NodeId) -> Result<Epoch> {
    let key = key(node);
    let epoch = commit.record::<u64>(META, &key)?.unwrap_or_default() + 1;
    commit.put_record(META, &key, &epoch)?;
    Ok(Epoch::new(epoch))
}

/// Writes a life together with what it commits first.
pub(super) fn write(commit: &mut WriteTx<'_, '_>, life: &EpochRecord) -> Result<()> {
    if commit.record::<u64>(META, &life.key)?.is_none_or(|written| written < life.epoch) {
        commit.put_record(META, &life.key, &life.epoch)?;
    }
    Ok(())
}

fn key(node: &NodeId) -> Vec<u8> {
    format!("life/{node}").into_bytes()
}

/// Begins a new life of `node`, and removes what deployments that were deleted left.
pub(super) async fn begin_next(store: &EmbeddedStore, node: &NodeId) -> Result<Epoch> {
    let of = node.clone();
    let epoch = match store.commit(move |c| begin(c, &of)).await {
        // It is written with the first commit that there is room for. The folder is this process's: nobody else
        // begins one meanwhile.
        Err(StoreError::DiskFull) => return store.unwritten.begin(&store.kv, node),
        begun => begun?,
    };
    usage::count_once(store).await;
    for name in deployments::purges(&store.kv)? {
        store.purge(&name).await?;
    }
    Ok(epoch)
}
