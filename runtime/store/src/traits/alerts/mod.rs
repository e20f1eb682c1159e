//! Alerts with their notifications, silences, and the counts for service level objectives.

use async_trait::async_trait;
use tidemill_core::alerts::{Acknowledgement, Alert, Notification, ServiceHistory, Silence};
use tidemill_core::{AlertId, ChannelName, DeploymentName, NotificationId, SilenceId, Timestamp};

use crate::error::StoreError;
use crate::records::{AlertCommit, AlertFilter, NotificationOutcome, Page, PageRequest};

/// What the host has found to be wrong, and who was notified of it.
#[async_trait]
pub trait AlertStore: Send + Sync + 'static {
    /// Carries out changes of alerts, each together with the notifications that it creates, and
    /// announces them on the feed. A change that another one has overtaken does nothing. A
    /// notification for a channel with too many waiting ones is dead from the start. Returns the
    /// alerts of all changes in their present state.
    async fn change_alerts(&self, changes: Vec<AlertCommit>, now: Timestamp) -> Result<Vec<Alert>, StoreError>;
    /// Records that a person has seen an alert. If one has seen it before, returns it as it is.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::EffectImpossible`] if it is over.
    async fn acknowledge_alert(&self, id: AlertId, acknowledgement: Acknowledgement) -> Result<Alert, StoreError>;
    /// Returns the alerts that are not over.
    async fn open_alerts(&self) -> Result<Vec<Alert>, StoreError>;
    /// Lists alerts that are over, the last one first. A page may be shorter than its limit
    /// although others follow.
    async fn resolved_alerts(&self, filter: AlertFilter, page: PageRequest) -> Result<Page<Alert>, StoreError>;
    /// Returns an alert.
    async fn alert(&self, id: AlertId) -> Result<Option<Alert>, StoreError>;
    /// Returns the notifications of an alert in the order of their creation, at most `limit`.
    async fn notifications(&self, alert: AlertId, limit: usize) -> Result<Vec<Notification>, StoreError>;
    /// Returns the oldest waiting notifications of a channel, at most `limit`.
    async fn waiting_notifications(&self, channel: &ChannelName, limit: usize)
    -> Result<Vec<Notification>, StoreError>;
    /// Returns the number of waiting notifications of each channel that has any, by name.
    async fn waiting_counts(&self) -> Result<Vec<(ChannelName, u64)>, StoreError>;
    /// Records what a try to send a notification led to. Does nothing if it does not wait.
    async fn settle_notification(
        &self,
        alert: AlertId,
        id: NotificationId,
        outcome: NotificationOutcome,
    ) -> Result<(), StoreError>;
    /// Removes at most `limit` alerts that were over before `before`, with their notifications.
    /// Returns how many it removed.
    async fn remove_alerts(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError>;
    /// Stores a silence, and removes those that have ended.
    ///
    /// # Errors
    /// [`StoreError::OverBound`] if there are too many.
    async fn put_silence(&self, silence: Silence) -> Result<(), StoreError>;
    /// Returns all silences by creation time, those that have ended included.
    async fn silences(&self) -> Result<Vec<Silence>, StoreError>;
    /// Removes a silence. Returns whether it existed.
    async fn delete_silence(&self, id: SilenceId) -> Result<bool, StoreError>;
    /// Stores the counts of attempts of deployments. Skips deployments that do not exist.
    async fn put_service_histories(&self, all: Vec<(DeploymentName, ServiceHistory)>) -> Result<(), StoreError>;
    /// Returns the stored counts of attempts of all deployments.
    async fn service_histories(&self) -> Result<Vec<(DeploymentName, ServiceHistory)>, StoreError>;
}
