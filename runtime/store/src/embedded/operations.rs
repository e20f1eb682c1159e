//! The stored progress of operations. Does not execute them.

use async_trait::async_trait;
use tidemill_core::Timestamp;

use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::{OPERATIONS, REPLAYS, name_key};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::{Result, StoreError};
use crate::records::{Operation, OperationState, Page, PageRequest};
use crate::traits::OperationStore;

/// Maximum size of an id, in bytes.
const ID: usize = 63;

#[async_trait]
impl OperationStore for EmbeddedStore {
    async fn put_operation(&self, operation: Operation) -> Result<Operation> {
        self.commit(move |c| advance(c, operation)).await
    }

    async fn cancel_operation(&self, id: &str, now: Timestamp) -> Result<Operation> {
        let id = id.to_owned();
        self.commit(move |c| cancel(c, &id, now)).await
    }

    async fn operations(&self, page: PageRequest) -> Result<Page<Operation>> {
        self.latest().record_page(OPERATIONS, &[], false, &page)
    }

    async fn add_operation(&self, operation: Operation) -> Result<Operation> {
        let add = move |c: &mut WriteTx<'_, '_>| match get(c, &operation.id)? {
            Some(present) => Ok(present),
            None => put(c, &operation).map(|()| operation),
        };
        self.commit(add).await
    }

    async fn operation(&self, id: &str) -> Result<Option<Operation>> {
        get(self.latest(), id)
    }

    async fn open_operations(&self) -> Result<Vec<Operation>> {
        Ok(all(self.latest())?.into_iter().filter(|operation| operation.state == OperationState::Running).collect())
    }
}

pub(crate) fn put(commit: &mut WriteTx<'_, '_>, operation: &Operation) -> Result<()> {
    if operation.id.is_empty() || operation.id.len() > ID {
        return Err(StoreError::TooLarge(format!("an operation's id must have 1 to {ID} bytes")));
    }
    commit.put_record(OPERATIONS, operation.id.as_bytes(), operation)
}

/// Writes the progress of an operation. One that was cancelled before this commit stays cancelled
/// and only updates its counters.
fn advance(commit: &mut WriteTx<'_, '_>, operation: Operation) -> Result<Operation> {
    let moved = match get(commit, &operation.id)? {
        Some(stored) if stored.state == OperationState::Done => return Ok(stored),
        Some(stored) if stored.state == OperationState::Cancelled => {
            Operation { state: stored.state, ended_at: stored.ended_at, cursor: None, ..operation }
        }
        _ => operation,
    };
    put(commit, &moved)?;
    Ok(moved)
}

/// Cancels a running operation.
pub(crate) fn cancel(commit: &mut WriteTx<'_, '_>, id: &str, now: Timestamp) -> Result<Operation> {
    let stored = get(commit, id)?;
    let stored = stored.ok_or_else(|| StoreError::NotFound { kind: "operation", name: id.to_owned() })?;
    if stored.state != OperationState::Running {
        return Ok(stored);
    }
    let cancelled = Operation { state: OperationState::Cancelled, cursor: None, ended_at: Some(now), ..stored };
    delete_replay(commit, id)?;
    put(commit, &cancelled)?;
    Ok(cancelled)
}

pub(crate) fn get(store: &impl ReadTx, id: &str) -> Result<Option<Operation>> {
    store.record(OPERATIONS, id.as_bytes())
}

/// Returns all operations.
pub(crate) fn all(store: &impl ReadTx) -> Result<Vec<Operation>> {
    store.records(OPERATIONS, &[])
}

/// Deletes the remaining parts of a replay.
pub(crate) fn delete_replay(commit: &mut WriteTx<'_, '_>, operation: &str) -> Result<()> {
    for (key, _) in commit.scan_prefix(REPLAYS, &name_key(operation, &[]), usize::MAX)? {
        commit.delete(REPLAYS, &key);
    }
    Ok(())
}
