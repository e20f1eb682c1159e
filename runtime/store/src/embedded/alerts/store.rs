//! The trait of alerts over the functions of this folder.

use async_trait::async_trait;
use tidemill_core::alerts::{Acknowledgement, Alert, Notification, ServiceHistory, Silence};
use tidemill_core::{AlertId, ChannelName, DeploymentName, NotificationId, SilenceId, Timestamp};

use super::{change, expiry, get, list, notifications, silences};
use crate::embedded::codec::decode;
use crate::embedded::deployments;
use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::{SERVICE_HISTORY, SILENCES, name_key};
use crate::embedded::tx::{ReadTx, prefix_range};
use crate::error::{Result, StoreError};
use crate::records::{AlertCommit, AlertFilter, NotificationOutcome, Page, PageRequest};
use crate::traits::AlertStore;

#[async_trait]
impl AlertStore for EmbeddedStore {
    async fn change_alerts(&self, changes: Vec<AlertCommit>, now: Timestamp) -> Result<Vec<Alert>> {
        self.commit(move |c| {
            let mut changed = Vec::with_capacity(changes.len());
            for change in changes {
                changed.extend(change::apply(c, change, now)?);
            }
            Ok(changed)
        })
        .await
    }

    async fn acknowledge_alert(&self, id: AlertId, acknowledgement: Acknowledgement) -> Result<Alert> {
        self.commit(move |c| change::acknowledge(c, id, acknowledgement)).await
    }

    async fn open_alerts(&self) -> Result<Vec<Alert>> {
        list::open(&self.snapshot())
    }

    async fn resolved_alerts(&self, filter: AlertFilter, page: PageRequest) -> Result<Page<Alert>> {
        list::resolved(&self.snapshot(), &filter, &page)
    }

    async fn alert(&self, id: AlertId) -> Result<Option<Alert>> {
        get(self.latest(), id)
    }

    async fn notifications(&self, alert: AlertId, limit: usize) -> Result<Vec<Notification>> {
        notifications::of_alert(&self.snapshot(), alert, limit)
    }

    async fn waiting_notifications(&self, channel: &ChannelName, limit: usize) -> Result<Vec<Notification>> {
        notifications::waiting(&self.snapshot(), channel, limit)
    }

    async fn waiting_counts(&self) -> Result<Vec<(ChannelName, u64)>> {
        notifications::counts(&self.snapshot())
    }

    async fn settle_notification(
        &self,
        alert: AlertId,
        id: NotificationId,
        outcome: NotificationOutcome,
    ) -> Result<()> {
        self.commit(move |c| notifications::settle(c, alert, id, outcome)).await
    }

    async fn remove_alerts(&self, before: Timestamp, limit: usize) -> Result<usize> {
        self.commit(move |c| expiry::remove(c, before, limit)).await
    }

    async fn put_silence(&self, silence: Silence) -> Result<()> {
        self.commit(move |c| silences::put(c, &silence)).await
    }

    async fn silences(&self) -> Result<Vec<Silence>> {
        self.latest().records(SILENCES, &[])
    }

    async fn delete_silence(&self, id: SilenceId) -> Result<bool> {
        self.commit(move |c| silences::delete(c, id)).await
    }

    async fn put_service_histories(&self, all: Vec<(DeploymentName, ServiceHistory)>) -> Result<()> {
        self.commit(move |c| {
            for (name, history) in &all {
                if deployments::get(c, name)?.is_some() {
                    c.put_record(SERVICE_HISTORY, &name_key(name.as_str(), &[]), history)?;
                }
            }
            Ok(())
        })
        .await
    }

    async fn service_histories(&self) -> Result<Vec<(DeploymentName, ServiceHistory)>> {
        let mut all = Vec::new();
        self.snapshot().each(SERVICE_HISTORY, prefix_range(&[]), |key, bytes| {
            let name = key.split_last().and_then(|(_, name)| std::str::from_utf8(name).ok()?.parse().ok());
            let damaged = || StoreError::Damaged { what: "a key of table service-history is no name".to_owned() };
            all.push((name.ok_or_else(damaged)?, decode(SERVICE_HISTORY, bytes)?));
            Ok(())
        })?;
        Ok(all)
    }
}
