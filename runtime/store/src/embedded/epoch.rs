//! The epochs of nodes: each lifetime of a node has a number, which is durable before any other
//! write of that lifetime.
//!
//! A node can start on a full disk; its epoch is then written with its first commit.

use std::sync::Arc;

use parking_lot::Mutex;
use tidemill_core::{Epoch, NodeId};

use crate::embedded::tables::META;
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;

/// An epoch that is not written yet.
#[derive(Debug, Clone)]
pub(crate) struct EpochRecord {
    key: Vec<u8>,
    epoch: u64,
}

/// The current epoch, if it is not written yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct PendingEpoch(Arc<Mutex<Option<EpochRecord>>>);

impl PendingEpoch {
    /// Returns the epoch that the next commit must write.
    pub(crate) fn now(&self) -> Option<EpochRecord> {
        self.0.lock().clone()
    }

    /// Starts an epoch greater than all earlier ones, without writing it.
    pub(crate) fn begin(&self, store: &impl ReadTx, node: &NodeId) -> Result<Epoch> {
        let key = key(node);
        let written = store.record::<u64>(META, &key)?.unwrap_or_default();
        let mut unwritten = self.0.lock();
        let epoch = unwritten.as_ref().map_or(written, |life| life.epoch.max(written)) + 1;
        *unwritten = Some(EpochRecord { key, epoch });
        Ok(Epoch::new(epoch))
    }

    /// Records that a commit has written an epoch.
    pub(crate) fn written(&self, life: &EpochRecord) {
        let mut unwritten = self.0.lock();
        unwritten.take_if(|present| present.epoch <= life.epoch);
    }
}

/// Starts an epoch in a commit of its own.
pub(crate) fn begin(commit: &mut WriteTx<'_, '_>, node: &NodeId) -> Result<Epoch> {
    let key = key(node);
    let epoch = commit.record::<u64>(META, &key)?.unwrap_or_default() + 1;
    commit.put_record(META, &key, &epoch)?;
    Ok(Epoch::new(epoch))
}

/// Writes an epoch in the first commit of its lifetime.
pub(crate) fn write(commit: &mut WriteTx<'_, '_>, life: &EpochRecord) -> Result<()> {
    if commit.record::<u64>(META, &life.key)?.is_none_or(|written| written < life.epoch) {
        commit.put_record(META, &life.key, &life.epoch)?;
    }
    Ok(())
}

fn key(node: &NodeId) -> Vec<u8> {
    format!("life/{node}").into_bytes()
}
