//! Operations.

use async_trait::async_trait;
use tidemill_core::Timestamp;

use crate::error::StoreError;
use crate::records::{Operation, Page, PageRequest};

/// The stored progress of operations.
#[async_trait]
pub trait OperationStore: Send + Sync + 'static {
    /// Writes the progress of an operation and returns the stored record. A cancelled operation
    /// stays cancelled and updates only its counters. A finished operation does not change.
    async fn put_operation(&self, operation: Operation) -> Result<Operation, StoreError>;
    /// Cancels an operation, so that it acts on no further object. An operation that is not running
    /// does not change.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn cancel_operation(&self, id: &str, now: Timestamp) -> Result<Operation, StoreError>;
    /// Lists all stored operations in every state, sorted by id.
    async fn operations(&self, page: PageRequest) -> Result<Page<Operation>, StoreError>;
    /// Adds an operation, unless one with its id exists. Returns the stored operation.
    async fn add_operation(&self, operation: Operation) -> Result<Operation, StoreError>;
    /// Returns one operation.
    async fn operation(&self, id: &str) -> Result<Option<Operation>, StoreError>;
    /// Returns the running operations, sorted by id.
    async fn open_operations(&self) -> Result<Vec<Operation>, StoreError>;
}
