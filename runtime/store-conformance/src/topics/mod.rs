//! Claims about topics and subscriptions.

pub(crate) mod events;
pub(crate) mod subscriptions;
