//! Findings about the ledger.

use async_trait::async_trait;
use tidemill_core::Timestamp;
use tidemill_core::money::LedgerStream;

use crate::error::StoreError;
use crate::records::{CommitEffects, DueBatch, Finding, FindingClosure, FindingFilter, Page, PageRequest};

/// What is odd about the ledger's entries.
#[async_trait]
pub trait FindingStore: Send + Sync + 'static {
    /// Lists findings, the latest first. A page may be shorter than its limit although others
    /// follow.
    async fn findings(&self, filter: FindingFilter, page: PageRequest) -> Result<Page<Finding>, StoreError>;
    /// Returns the number of open findings, those on paper included.
    async fn open_finding_count(&self) -> Result<u64, StoreError>;
    /// Closes a finding. If it is closed, returns it as it is.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn close_finding(&self, number: u64, closure: FindingClosure) -> Result<Finding, StoreError>;
    /// Opens a finding about an entry whose external id came again with other content.
    async fn note_id_conflict(
        &self,
        stream: &LedgerStream,
        external_id: &str,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Opens and closes at most `limit` findings whose time has come at `now`, and wakes at most as
    /// many of the runs that wait for budgets of fuel which changed.
    async fn update_due_findings(&self, now: Timestamp, limit: usize) -> Result<(DueBatch, CommitEffects), StoreError>;
}
