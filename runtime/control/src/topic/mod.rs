//! Topics: publishing, subscriptions and replays.

pub(crate) mod publish;
pub(crate) mod replay;
pub(crate) mod subscription_index;
