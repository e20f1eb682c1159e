//! Publishes events from outside, and manages topics and subscriptions.

use std::sync::Arc;

use bytes::Bytes;
use tidemill_core::topics::EVENT_BYTES;
use tidemill_core::{Code, DeploymentName, EventId, SubscriptionName, Topic};
use tidemill_store::records::{ExpiredEvents, NewEvent, NewPublication, Pause, PublishOutcome, Subscription, TOPICS};

use crate::error::ControlError;
use crate::run_to_completion::run_to_completion;
use crate::state::ControlPlane;
use crate::validate::{check_json, check_key, checked_note};

/// The result of publishing an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishResult {
    /// The event.
    pub event: EventId,
    /// Whether it was published before with the same idempotency key.
    pub duplicate: bool,
}

impl ControlPlane {
    /// Publishes an event. It is stored when this returns, and is delivered once to each
    /// subscription.
    ///
    /// # Errors
    /// `host/limit-topics` if it would exceed the maximum number of topics; `host/bad-json`;
    /// `host/bad-field`; `host/idempotency-mismatch` if the key published another payload.
    pub async fn publish(
        &self,
        topic: Topic,
        payload: Bytes,
        key: Option<String>,
    ) -> Result<PublishResult, ControlError> {
        self.0.shutdown.check_open()?;
        key.as_deref().map_or(Ok(()), check_key)?;
        let payload = if payload.is_empty() { Bytes::from_static(b"null") } else { payload };
        check_json("the payload", &payload, EVENT_BYTES, Code::BadField)?;
        let store = &self.0.store;
        if store.topic(&topic).await?.is_none() && store.topic_count().await? >= TOPICS {
            let detail = format!("`{topic}` would be one topic more than {TOPICS}");
            return Err(ControlError::refused(Code::LimitTopics, detail));
        }
        let host = Arc::clone(&self.0);
        run_to_completion(async move {
            let now = host.clock.now();
            let event = crate::random::event_id(now);
            let publish = NewPublication { event: NewEvent { id: event, topic: topic.clone(), payload }, key };
            match host.store.publish(publish, now).await.inspect_err(|error| host.store_failures.record(error))? {
                PublishOutcome::Accepted => {
                    host.deliveries.note_published(vec![topic]);
                    Ok(PublishResult { event, duplicate: false })
                }
                PublishOutcome::Duplicate(event) => Ok(PublishResult { event, duplicate: true }),
            }
        })
        .await
    }

    /// Deletes a topic with its events. Undelivered events count as lost.
    ///
    /// # Errors
    /// `host/topic-not-found`.
    pub async fn delete_topic(&self, topic: Topic) -> Result<ExpiredEvents, ControlError> {
        self.0.shutdown.check_open()?;
        let host = Arc::clone(&self.0);
        run_to_completion(async move {
            let deleted = host.store.delete_topic(&topic, host.clock.now()).await;
            let deleted = deleted.inspect_err(|error| host.store_failures.record(error))?;
            tracing::info!(%topic, events = deleted.events, lost = deleted.lost, "deleted topic");
            host.metrics.events_lost.inc_by(deleted.lost);
            host.deliveries.note_published(vec![topic]);
            Ok(deleted)
        })
        .await
    }

    /// Skips all events that wait for a subscription, and returns their number.
    ///
    /// # Errors
    /// `host/deployment-not-found`, `host/subscription-not-found`.
    pub async fn skip(&self, deployment: &DeploymentName, name: &SubscriptionName) -> Result<u64, ControlError> {
        self.0.shutdown.check_open()?;
        self.subscribed(deployment, name)?;
        let (host, deployment, name) = (Arc::clone(&self.0), deployment.clone(), name.clone());
        run_to_completion(async move {
            let skipped = host.store.skip(&deployment, &name, host.clock.now()).await?;
            tracing::info!(%deployment, subscription = %name, skipped, "skipped events of subscription");
            host.deliveries.note_changed(&deployment);
            Ok(skipped)
        })
        .await
    }

    /// Pauses the deliveries of a subscription. Its events wait in their topics, for as long as
    /// these keep them. Replays continue, because they are requested by hand.
    ///
    /// # Errors
    /// `host/deployment-not-found`, `host/subscription-not-found`; `host/bad-field` if the note is
    /// too long.
    pub async fn pause_subscription(
        &self,
        deployment: &DeploymentName,
        name: &SubscriptionName,
        note: String,
    ) -> Result<Subscription, ControlError> {
        let pause = Pause { since: self.0.clock.now(), note: checked_note(note)? };
        self.set_subscription_pause(deployment, name, Some(pause)).await
    }

    /// Resumes a subscription at its position, with all waiting events.
    ///
    /// # Errors
    /// `host/deployment-not-found`, `host/subscription-not-found`; `host/run-state` if it is not
    /// paused.
    pub async fn resume_subscription(
        &self,
        deployment: &DeploymentName,
        name: &SubscriptionName,
    ) -> Result<Subscription, ControlError> {
        self.set_subscription_pause(deployment, name, None).await
    }

    async fn set_subscription_pause(
        &self,
        deployment: &DeploymentName,
        name: &SubscriptionName,
        pause: Option<Pause>,
    ) -> Result<Subscription, ControlError> {
        self.0.shutdown.check_open()?;
        let (host, deployment, name) = (self.clone(), deployment.clone(), name.clone());
        run_to_completion(async move {
            let _turn = host.0.changes.lock().await;
            host.subscribed(&deployment, &name)?;
            let (store, now) = (&host.0.store, host.0.clock.now());
            let stored = store.subscription(&deployment, &name).await?;
            if pause.is_none() && stored.is_some_and(|stored| stored.paused.is_none()) {
                return Err(ControlError::refused_with(
                    Code::RunState,
                    "the subscription is not paused",
                    "There is nothing to do: `tidemill subscriptions list` shows what waits for it.",
                ));
            }
            let note = pause.as_ref().map(|pause| pause.note.clone());
            let subscription = store.pause_subscription(&deployment, &name, pause, now).await?;
            match note {
                Some(note) => tracing::info!(%deployment, subscription = %name, ?note, "paused subscription"),
                None => tracing::info!(%deployment, subscription = %name, "resumed subscription"),
            }
            host.0.deliveries.note_changed(&deployment);
            Ok(subscription)
        })
        .await
    }
}
