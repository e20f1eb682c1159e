//! The event feed.

use async_trait::async_trait;
use tidemill_core::Timestamp;

use crate::error::StoreError;
use crate::records::{FeedEntry, FeedEvent};

/// The feed of events.
#[async_trait]
pub trait FeedStore: Send + Sync + 'static {
    /// Adds an event to the feed that no other change adds.
    async fn announce(&self, event: FeedEvent, now: Timestamp) -> Result<(), StoreError>;
    /// Returns feed entries after `position`, in order.
    async fn feed(&self, after: u64, limit: usize) -> Result<Vec<FeedEntry>, StoreError>;
    /// Returns the first and the last position of the feed; (0, 0) if it is empty.
    async fn feed_range(&self) -> Result<(u64, u64), StoreError>;
}
