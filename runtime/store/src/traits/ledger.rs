//! The ledger.

use async_trait::async_trait;
use tidemill_core::{DeploymentName, Timestamp};

use crate::error::StoreError;
use crate::records::{AccountTotal, ExternalId, LedgerCheck, LedgerEntry, Page, PageRequest, StreamTotal};

/// The ledger of revenue streams.
#[async_trait]
pub trait LedgerStore: Send + Sync + 'static {
    /// Returns the record of an external id of a stream.
    async fn external_id(&self, stream: &DeploymentName, external_id: &str) -> Result<ExternalId, StoreError>;
    /// Lists ledger entries of one stream or of all, by the time of their occurrence, newest first.
    async fn ledger_entries(
        &self,
        stream: Option<&DeploymentName>,
        page: PageRequest,
    ) -> Result<Page<LedgerEntry>, StoreError>;
    /// Returns the net revenue of a stream in the half-open range `start..end`, for each currency,
    /// summed from the entries.
    async fn revenue(
        &self,
        stream: &DeploymentName,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<StreamTotal>, StoreError>;
    /// Returns the net revenue of each stream in each currency.
    async fn stream_totals(&self) -> Result<Vec<StreamTotal>, StoreError>;
    /// Returns the balance of each account of one stream or of all.
    async fn account_totals(&self, stream: Option<&DeploymentName>) -> Result<Vec<AccountTotal>, StoreError>;
    /// Recomputes every total from the entries and reports differences.
    async fn check_ledger(&self) -> Result<LedgerCheck, StoreError>;
    /// Returns where the last successful collection of a stream ended.
    async fn watermark(&self, stream: &DeploymentName) -> Result<Option<Timestamp>, StoreError>;
}
