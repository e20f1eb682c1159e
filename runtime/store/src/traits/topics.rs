//! Topics and their events.

use async_trait::async_trait;
use tidemill_core::{DeploymentName, Timestamp, Topic};

use crate::error::StoreError;
use crate::records::{Event, ExpiredEvents, NewPublication, Page, PageRequest, PublishOutcome, TopicSummary};

/// Topics and their events.
#[async_trait]
pub trait TopicStore: Send + Sync + 'static {
    /// Publishes an event of a caller outside of any run.
    ///
    /// # Errors
    /// [`StoreError::EventKeyMismatch`] if its key published another payload,
    /// [`StoreError::TooLarge`].
    async fn publish(&self, publish: NewPublication, now: Timestamp) -> Result<PublishOutcome, StoreError>;
    /// Lists all topics, sorted by name.
    async fn topics(&self, page: PageRequest) -> Result<Page<TopicSummary>, StoreError>;
    /// Returns one topic.
    async fn topic(&self, topic: &Topic) -> Result<Option<TopicSummary>, StoreError>;
    /// Returns the number of topics.
    async fn topic_count(&self) -> Result<u64, StoreError>;
    /// Returns how many more topics the runs of a deployment may create.
    async fn topic_room(&self, deployment: &DeploymentName) -> Result<u64, StoreError>;
    /// Returns events of a topic from a position on, in order. Fewer than `limit` means that there
    /// are no more.
    async fn events(&self, topic: &Topic, position: u64, limit: usize) -> Result<Vec<Event>, StoreError>;
    /// Lists the events of a topic from a time on, oldest first; empty if the topic does not exist.
    async fn topic_events(
        &self,
        topic: &Topic,
        since: Option<Timestamp>,
        page: PageRequest,
    ) -> Result<Page<Event>, StoreError>;
    /// Deletes a topic with its events. Counts and announces as lost each event that a subscription
    /// had not received.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn delete_topic(&self, topic: &Topic, now: Timestamp) -> Result<ExpiredEvents, StoreError>;
}
