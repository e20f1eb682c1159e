//! The wire form of a subscription.

use serde::Serialize;
use tidemill_control::{ControlError, ControlPlane};
use tidemill_core::RunId;
use tidemill_store::records::Subscription;
use utoipa::ToSchema;

use crate::wire::{PauseJson, TimeJson};

/// A subscription and its delivery counters. Its definition is in the deployment's manifest.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Subscription)]
pub struct SubscriptionJson<'a> {
    /// The deployment of the subscription.
    deployment: &'a str,
    /// The name of the subscription in its deployment.
    name: &'a str,
    /// The revision whose manifest defines the subscription.
    revision: u64,
    /// The topic, or the pattern of topics.
    topic: &'a str,
    /// When the subscription was created.
    created_at: TimeJson,
    /// `active` or `paused`.
    state: &'static str,
    /// Present while the subscription is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<PauseJson>,
    /// Number of events that wait for delivery.
    waiting: u64,
    /// Number of events that made a run.
    delivered: u64,
    /// Number of events that the filter rejected.
    filtered: u64,
    /// Number of events that were removed before delivery.
    lost: u64,
    /// Number of events that an operator skipped.
    skipped: u64,
    /// The time of the last delivered event.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<TimeJson>,
    /// The last run that the subscription made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    last_run: Option<RunId>,
}

impl<'a> SubscriptionJson<'a> {
    /// Builds the wire form of a subscription, with the number of events that wait.
    #[must_use]
    pub fn of((subscription, waiting): &'a (Subscription, u64)) -> Self {
        Self {
            deployment: subscription.deployment.as_str(),
            name: subscription.name.as_str(),
            revision: subscription.revision.get(),
            topic: subscription.topic.as_str(),
            created_at: subscription.created_at.into(),
            state: if subscription.paused.is_some() { "paused" } else { "active" },
            paused: subscription.paused.as_ref().map(PauseJson::from),
            waiting: *waiting,
            delivered: subscription.delivered,
            filtered: subscription.filtered,
            lost: subscription.lost,
            skipped: subscription.skipped,
            last: subscription.last.map(TimeJson),
            last_run: subscription.last_run,
        }
    }
}

/// Returns a subscription, and the number of events that wait for it.
///
/// # Errors
/// An error of the store.
pub async fn with_waiting(
    host: &ControlPlane,
    subscription: Subscription,
) -> Result<(Subscription, u64), ControlError> {
    let waiting = host.store().lag(&subscription).await?;
    // Read the subscription second: an event delivered in between is in at least one figure.
    let now = host.store().subscription(&subscription.deployment, &subscription.name).await?;
    Ok((now.unwrap_or(subscription), waiting))
}
