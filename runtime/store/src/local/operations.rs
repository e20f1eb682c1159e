//! Operations, as far as they have come.

use super::codec::decode;
use super::commit::Commit;
use super::reads::{Reads, prefix_range};
use super::tables::OPERATIONS;
use crate::error::StoreError;
use crate::records::{Operation, OperationState};

type Result<T> = std::result::Result<T, StoreError>;

/// The longest id, in bytes.
const ID: usize = 63;

pub(super) fn put(commit: &mut Commit<'_, '_>, operation: &Operation) -> Result<()> {
    if operation.id.is_empty() || operation.id.len() > ID {
        return Err(StoreError::TooLarge(format!("an operation's id has 1 to {ID} bytes")));
    }
    commit.put_record(OPERATIONS, operation.id.as_bytes(), operation)
}

/// Writes one, unless there is one of its id.
pub(super) fn add(commit: &mut Commit<'_, '_>, operation: Operation) -> Result<Operation> {
    match get(commit, &operation.id)? {
        Some(there) => Ok(there),
        None => put(commit, &operation).map(|()| operation),
    }
}

pub(super) fn get(store: &impl Reads, id: &str) -> Result<Option<Operation>> {
    store.record(OPERATIONS, id.as_bytes())
}

/// All operations.
pub(super) fn all(store: &impl Reads) -> Result<Vec<Operation>> {
    let found = store.range(OPERATIONS, prefix_range(&[]), false, usize::MAX)?;
    found.iter().map(|(_, bytes)| decode(OPERATIONS, bytes)).collect()
}

/// Those that are not done.
pub(super) fn open(store: &impl Reads) -> Result<Vec<Operation>> {
    Ok(all(store)?.into_iter().filter(|operation| operation.state != OperationState::Done).collect())
}
