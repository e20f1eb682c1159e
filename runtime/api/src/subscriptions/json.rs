//! A subscription as it is sent.

use serde::Serialize;
use tidemill_control::{ControlError, ControlPlane};
use tidemill_core::RunId;
use tidemill_store::records::Subscription;
use utoipa::ToSchema;

use crate::wire::{PauseJson, TimeJson};

/// A subscription and what it has been given. What it asks for is in its deployment's manifest.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Subscription)]
pub struct SubscriptionJson<'a> {
    /// The deployment that it belongs to.
    deployment: &'a str,
    /// Its name there.
    name: &'a str,
    /// The revision whose manifest it follows.
    revision: u64,
    /// The topic that it names, or the pattern.
    topic: &'a str,
    /// When it was made.
    created_at: TimeJson,
    /// `active` or `paused`.
    state: &'static str,
    /// There while it is given nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<PauseJson>,
    /// Events that wait for it.
    waiting: u64,
    /// Events that made a run.
    delivered: u64,
    /// Events that its filter did not let pass.
    filtered: u64,
    /// Events that were forgotten before it was given them.
    lost: u64,
    /// Events that somebody had it leave out.
    skipped: u64,
    /// The time of the last event that it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<TimeJson>,
    /// The last run that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    last_run: Option<RunId>,
}

impl<'a> SubscriptionJson<'a> {
    /// The subscription as it is sent, with how many events wait for it.
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

/// A subscription, and how many events wait for it.
///
/// # Errors
/// The store's own.
pub async fn with_waiting(
    host: &ControlPlane,
    subscription: Subscription,
) -> Result<(Subscription, u64), ControlError> {
    let waiting = host.store().lag(&subscription).await?;
    // Read after that: what it is given meanwhile is in one of the two figures, and never in neither.
    let now = host.store().subscription(&subscription.deployment, &subscription.name).await?;
    Ok((now.unwrap_or(subscription), waiting))
}
