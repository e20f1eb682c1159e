//! Subscriptions and their replays.

use async_trait::async_trait;
use tidemill_core::{DeploymentName, SubscriptionName, Timestamp, Topic};

use crate::error::StoreError;
use crate::records::{
    DeliveryCommit, Operation, Page, PageRequest, Pause, ReplayCommit, Subscription, SubscriptionLag,
    SubscriptionReplay,
};

/// Subscriptions with their positions.
#[async_trait]
pub trait SubscriptionStore: Send + Sync + 'static {
    /// Lists subscriptions, sorted by deployment and name.
    async fn subscriptions(
        &self,
        deployment: Option<&DeploymentName>,
        page: PageRequest,
    ) -> Result<Page<Subscription>, StoreError>;
    /// Returns one subscription.
    async fn subscription(
        &self,
        deployment: &DeploymentName,
        name: &SubscriptionName,
    ) -> Result<Option<Subscription>, StoreError>;
    /// Returns the position of a subscription in a topic; `None` if either does not exist or the
    /// subscription's pattern does not match the topic.
    async fn subscription_lag(
        &self,
        deployment: &DeploymentName,
        name: &SubscriptionName,
        topic: &Topic,
    ) -> Result<Option<SubscriptionLag>, StoreError>;
    /// Returns how many events wait for a subscription, over all its topics.
    async fn lag(&self, subscription: &Subscription) -> Result<u64, StoreError>;
    /// Pauses a subscription. `None` resumes it at its position. A new revision keeps the pause.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the subscription does not exist.
    async fn pause_subscription(
        &self,
        deployment: &DeploymentName,
        name: &SubscriptionName,
        pause: Option<Pause>,
        now: Timestamp,
    ) -> Result<Subscription, StoreError>;
    /// Creates the runs of some events and advances the subscription past them. Returns `false`
    /// without an effect if the subscription has another position, it or its deployment is paused,
    /// or the deployment has another revision.
    async fn deliver(&self, delivery: DeliveryCommit) -> Result<bool, StoreError>;
    /// Advances a subscription past all waiting events. Returns the number of these events.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn skip(
        &self,
        deployment: &DeploymentName,
        name: &SubscriptionName,
        now: Timestamp,
    ) -> Result<u64, StoreError>;
}

/// Replays: events that a subscription receives again.
#[async_trait]
pub trait ReplayStore: Send + Sync + 'static {
    /// Returns how many events a subscription replay of a range covers: those published at or after
    /// `since` and before `until` that the subscription has already passed, delivered or filtered.
    /// Without `until` the range has no end.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn replay_size(
        &self,
        deployment: &DeploymentName,
        name: &SubscriptionName,
        since: Timestamp,
        until: Option<Timestamp>,
    ) -> Result<u64, StoreError>;
    /// Adds a replay operation and determines the events that it covers. Returns the stored
    /// operation with the number of events. The operation is done at once if there are none.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn begin_replay(&self, operation: Operation) -> Result<Operation, StoreError>;
    /// Returns the next events of a replay; `None` if the replay is complete.
    async fn next_replay(&self, operation: &str) -> Result<Option<SubscriptionReplay>, StoreError>;
    /// Creates the runs of one part of a replay, advances the replay past it and writes the
    /// operation. Returns `false` without an effect if the replay has another position.
    async fn replay(&self, replayed: ReplayCommit) -> Result<bool, StoreError>;
}
