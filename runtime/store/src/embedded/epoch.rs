//! The epochs of nodes: each lifetime of a node has a number, which is durable before any other
//! write of that lifetime.
//!
//! A node can start on a full disk; its epoch is then written with its first commit.

use std::sync::{Arc, Mutex, PoisonError};

use tidemill_core::{Epoch, NodeId};

use super::read_tx::ReadTx;
use super::tables::META;
use super::write_tx::WriteTx;
use super::{EmbeddedStore, deployments, usage};
use crate::contract::Result;
use crate::error::StoreError;

/// An epoch that is not written yet.
#[derive(Debug, Clone)]
pub(super) struct EpochRecord {
    key: Vec<u8>,
    epoch: u64,
}

/// The current epoch, if it is not written yet.
#[derive(Debug, Clone, Default)]
pub(super) struct PendingEpoch(Arc<Mutex<Option<EpochRecord>>>);

impl PendingEpoch {
    /// Returns the epoch that the next commit must write.
    pub(super) fn now(&self) -> Option<EpochRecord> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts an epoch greater than all earlier ones, without writing it.
    pub(super) fn begin(&self, store: &impl ReadTx, node: &NodeId) -> Result<Epoch> {
        let key = key(node);
        let written = store.record::<u64>(META, &key)?.unwrap_or_default();
        let mut unwritten = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let epoch = unwritten.as_ref().map_or(written, |life| life.epoch.max(written)) + 1;
        *unwritten = Some(EpochRecord { key, epoch });
        Ok(Epoch::new(epoch))
    }

    /// Records that a commit has written an epoch.
    pub(super) fn written(&self, life: &EpochRecord) {
        let mut unwritten = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        unwritten.take_if(|present| present.epoch <= life.epoch);
    }
}

/// Starts an epoch in a commit of its own.
pub(super) fn begin(commit: &mut WriteTx<'_, '_>, node: &NodeId) -> Result<Epoch> {
    let key = key(node);
    let epoch = commit.record::<u64>(META, &key)?.unwrap_or_default() + 1;
    commit.put_record(META, &key, &epoch)?;
    Ok(Epoch::new(epoch))
}

/// Writes an epoch in the first commit of its lifetime.
pub(super) fn write(commit: &mut WriteTx<'_, '_>, life: &EpochRecord) -> Result<()> {
    if commit.record::<u64>(META, &life.key)?.is_none_or(|written| written < life.epoch) {
        commit.put_record(META, &life.key, &life.epoch)?;
    }
    Ok(())
}

fn key(node: &NodeId) -> Vec<u8> {
    format!("life/{node}").into_bytes()
}

/// Starts a new epoch of `node`, and removes the remaining data of deleted deployments.
pub(super) async fn begin_next(store: &EmbeddedStore, node: &NodeId) -> Result<Epoch> {
    let of = node.clone();
    let epoch = match store.commit(move |c| begin(c, &of)).await {
        // The first commit that the disk has space for writes it. The folder belongs to this
        // process, so no other process starts an epoch in between.
        Err(StoreError::DiskFull) => return store.unwritten.begin(&store.kv, node),
        begun => begun?,
    };
    usage::count_once(store).await;
    for name in deployments::purges(&store.kv)? {
        store.purge(&name).await?;
    }
    Ok(epoch)
}
