//! The wire form of a subscription.

use tidemill_api_types as shapes;
use tidemill_control::{ControlError, ControlPlane};
use tidemill_store::records::Subscription;

use crate::wire::FromRecord;

/// The record, with the number of events that wait.
impl<'a> FromRecord<&'a (Subscription, u64)> for shapes::Subscription<'a> {
    fn of((subscription, waiting): &'a (Subscription, u64)) -> Self {
        Self {
            deployment: subscription.deployment.as_str().into(),
            name: subscription.name.as_str().into(),
            revision: subscription.revision.get(),
            topic: subscription.topic.as_str().into(),
            created_at: subscription.created_at.into(),
            state: if subscription.paused.is_some() { "paused" } else { "active" }.into(),
            paused: subscription.paused.as_ref().map(shapes::Pause::of),
            waiting: *waiting,
            delivered: subscription.delivered,
            filtered: subscription.filtered,
            lost: subscription.lost,
            skipped: subscription.skipped,
            last: subscription.last.map(shapes::Time),
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
