//! Removal of old data.

use async_trait::async_trait;
use tidemill_core::Timestamp;

use crate::error::StoreError;
use crate::records::{EventPolicy, ExpiredEvents, ExpiredEvidence, RetentionPolicy, RetentionResult};

/// Removes what no longer has to be stored.
#[async_trait]
pub trait RetentionStore: Send + Sync + 'static {
    /// Deletes all but the newest `keep` feed entries, expired idempotency keys and unreferenced
    /// payload files. Deletes a little in each commit and rests in between, so that it takes long
    /// if there is much to delete, and delays no caller.
    async fn trim(&self, keep: usize, now: Timestamp) -> Result<(), StoreError>;
    /// Deletes what the policy selects, at most `limit` runs and `limit` components.
    async fn expire(&self, policy: RetentionPolicy, limit: usize) -> Result<RetentionResult, StoreError>;
    /// Deletes evidence of ledger entries that is due: journals of runs that
    /// [`RetentionStore::expire`] has deleted, and deliveries. Stops after `limit` of them.
    async fn expire_evidence(&self, now: Timestamp, limit: usize) -> Result<ExpiredEvidence, StoreError>;
    /// Deletes events that the policy selects, at most `limit` of each topic, and topics without
    /// events. Counts events that a subscription had not received as lost, and announces them on
    /// the feed.
    async fn expire_events(
        &self,
        policy: EventPolicy,
        limit: usize,
        now: Timestamp,
    ) -> Result<ExpiredEvents, StoreError>;
}
