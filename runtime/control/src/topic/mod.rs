//! Topics: publishing, subscriptions and replays.

pub(crate) mod deliveries;
pub(crate) mod event_runs;
pub(crate) mod publish;
pub(crate) mod replay;
pub(crate) mod subscription_index;
